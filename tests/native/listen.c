/*
 * firmware/lib/pdm over a pipe: listen CLOCK LAYOUT GAIN CALL, bits or slots in, samples out. CLOCK
 * in kHz, 0 for I2S (whose right slot it takes); CALL is the bytes that a call takes. Buffers are
 * of exactly the promised sizes, for the address sanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "i2s.h"
#include "pdm.h"

int main(int argc, char **argv) {
    if (argc != 5) {
        return 2;
    }
    const unsigned khz = (unsigned)atoi(argv[1]), layout = (unsigned)atoi(argv[2]);
    const uint16_t gain = (uint16_t)atoi(argv[3]);
    const size_t call = (size_t)atoi(argv[4]);
    const size_t a_sample = khz == 0 ? I2S_FRAME : khz / 8u / 16u;
    pdm_t *const pdm = malloc(sizeof *pdm);
    i2s_t *const i2s = malloc(sizeof *i2s);
    pdm_init(pdm, khz == 2048 ? &pdm_2048khz : &pdm_1024khz, (pdm_layout)layout, gain);
    i2s_init(i2s, (i2s_layout)layout, I2S_RIGHT, gain);
    for (size_t got = call; got == call;) {
        uint8_t *const in = malloc(call);
        got = fread(in, 1, call, stdin);
        uint8_t *const exact = malloc(got);
        memcpy(exact, in, got);
        int16_t *const pcm = malloc((got / a_sample + PDM_SAMPLES) * sizeof *pcm);
        size_t made = got / I2S_FRAME;
        if (khz == 0) {
            i2s_to_pcm(i2s, exact, made, pcm);
        } else {
            made = pdm_to_pcm(pdm, exact, got, pcm);
        }
        fwrite(pcm, sizeof *pcm, made, stdout);
        free(pcm);
        free(exact);
        free(in);
    }
    free(i2s);
    free(pdm);
    return 0;
}
