// SPDX-License-Identifier: Apache-2.0
//
// direct.c: six rows of a 3x3 convolution by the direct kernel (direct.h).
#include "direct.h"

enum { PIXEL = W2S_DSP_PIXEL, WORDS = PIXEL / 2 };

// One band of one row: all channels.
static void pixel(const w2s_dsp_conv *conv, const uint32_t *const line[3], uint32_t *row,
                  unsigned band) {
    for (unsigned channel = 0; channel < W2S_CHANNELS; channel++) {
        int16_t a = w2s_dsp_direct_output(conv, line, channel);
        w2s_dsp_set(row, (band + 1) * PIXEL + channel, a);
        if (channel == 12) w2s_dsp_set(row, band * PIXEL + 13, a);
    }
}

void w2s_dsp_direct(const w2s_dsp_conv *conv, unsigned bands, uint32_t *rows, uint32_t *past,
                    uint32_t *scratch) {
    const size_t words = (size_t)(bands + 2) * WORDS;
    // Output i stands on inputs i, i + 1, i + 2 of the two past rows and the six new ones.
    for (unsigned i = 0; i < W2S_DSP_ROWS; i++) {
        const uint32_t *in[3];
        for (unsigned ky = 0; ky < 3; ky++) {
            in[ky] = i + ky < 2 ? past + (i + ky) * words : rows + (i + ky - 2) * words;
        }
        uint32_t *out = scratch + i * words;
        memset(out, 0, words * sizeof *out);
        for (unsigned band = 0; band < bands; band++) {
            const uint32_t *line[3];
            for (unsigned ky = 0; ky < 3; ky++) line[ky] = in[ky] + band * WORDS;
            pixel(conv, line, out, band);
        }
    }
    memcpy(past, rows + 4 * words, 2 * words * sizeof *past);
    memcpy(rows, scratch, W2S_DSP_ROWS * words * sizeof *rows);
}
