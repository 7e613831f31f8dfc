// SPDX-License-Identifier: Apache-2.0
//
// pdm.c: decimation by table to 64 kHz, and by a FIR to 16 kHz.
//
// First filter: 4 R taps that are not negative, of sum 65535 at most, where R is the decimation.
// Each bit then counts in four samples. table[p][b] holds what byte b, the p-th of a sample's
// bytes, adds to those four, as lanes of 16 bits in one word: a lane's sum cannot leave it, so
// that whole words can be added, and after the bytes of a sample its lane is shifted out.
//
// Second filter: 16 bits times 16 bits; the sum of the taps' magnitudes is below 65536, so that 32
// bits hold the sum whatever comes in.
#include "pdm.h"

#include <stdbool.h>
#include <string.h>

#include "pdm_tables.h"

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#include <arm_acle.h>
#endif

const pdm_clock pdm_1024khz = {1024000, 2, pdm_table_1024khz};
const pdm_clock pdm_2048khz = {2048000, 4, pdm_table_2048khz};

/// First filter ///

static int16_t take_sample(uint64_t *lanes) {
    const int32_t sample = (int32_t)(*lanes & 0xFFFF) - 32768;
    *lanes >>= 16;
    return (int16_t)sample;
}

// `bytes` of bits, a multiple of 4, to samples; returns their end.
static int16_t *decimate(pdm_t *pdm, const uint8_t *bits, size_t bytes, int16_t *samples) {
    const uint64_t(*const table)[256] = pdm->clock->table;
    const bool two = pdm->clock->bytes == 2;  // samples in 4 bytes, instead of one
    const uint64_t(*const second)[256] = two ? table : table + 2;
    const unsigned layout = pdm->layout;
    uint64_t lanes = pdm->lanes;
    for (const uint8_t *const end = bits + bytes; bits != end; bits += 4) {
        lanes += table[0][bits[layout]] + table[1][bits[1 ^ layout]];
        if (two) *samples++ = take_sample(&lanes);
        lanes += second[0][bits[2 ^ layout]] + second[1][bits[3 ^ layout]];
        *samples++ = take_sample(&lanes);
    }
    pdm->lanes = lanes;
    return samples;
}

/// Second filter ///

// Two samples, or two taps, as they lie in memory.
static uint32_t pair(const int16_t *at) {
    uint32_t two;
    memcpy(&two, at, sizeof two);
    return two;
}

// sum + a[0] b[0] + a[1] b[1].
static int32_t multiply(uint32_t a, uint32_t b, int32_t sum) {
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
    return __smlad((int16x2_t)a, (int16x2_t)b, sum);
#else
    return sum + (int16_t)(a & 0xFFFF) * (int16_t)(b & 0xFFFF) +
           (int16_t)(a >> 16) * (int16_t)(b >> 16);
#endif
}

// Two neighbours at 16 kHz at once: a tap that was loaded serves both.
static void filter(pdm_t *pdm, int16_t pcm[PDM_SAMPLES]) {
    for (const int16_t *x = pdm->samples; x < pdm->samples + PDM_BLOCK; x += 8) {
        int32_t first = 0, second = 0;
        uint32_t x0 = pair(x), x1 = pair(x + 2);
        for (unsigned i = 0; i < PDM_TAPS; i += 4) {
            const uint32_t c0 = pair(pdm_taps + i), c1 = pair(pdm_taps + i + 2);
            first = multiply(x1, c1, multiply(x0, c0, first));
            x0 = pair(x + i + 4);
            x1 = pair(x + i + 6);
            second = multiply(x1, c1, multiply(x0, c0, second));
        }
        *pcm++ = level_sample(&pdm->level, first >> 1);
        *pcm++ = level_sample(&pdm->level, second >> 1);
    }
    memmove(pdm->samples, pdm->samples + PDM_BLOCK, (PDM_TAPS - 4) * sizeof *pdm->samples);
}

/// The stream ///

size_t pdm_to_pcm(pdm_t *pdm, const uint8_t *bits, size_t bytes, int16_t *pcm) {
    int16_t *const samples = pdm->samples + PDM_TAPS - 4;
    size_t made = 0;
    bytes &= ~(size_t)3;
    while (bytes > 0) {
        const size_t room = (PDM_BLOCK - pdm->waiting) * pdm->clock->bytes;
        const size_t now = bytes < room ? bytes : room;
        pdm->waiting = (uint32_t)(decimate(pdm, bits, now, samples + pdm->waiting) - samples);
        bits += now;
        bytes -= now;
        if (pdm->waiting == PDM_BLOCK) {
            filter(pdm, pcm + made);
            made += PDM_SAMPLES;
            pdm->waiting = 0;
        }
    }
    return made;
}

void pdm_init(pdm_t *pdm, const pdm_clock *clock, pdm_layout layout, uint16_t gain) {
    static const uint8_t silence[16] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                        0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
    memset(pdm, 0, sizeof *pdm);
    pdm->clock = clock;
    pdm->layout = layout;
    pdm->level.multiplier = gain * PDM_MULTIPLIER;
    // As if silence had gone before: the first filter's sums would else begin at one end.
    pdm_to_pcm(pdm, silence, sizeof silence, NULL);
    memset(pdm->samples, 0, sizeof pdm->samples);
    pdm->waiting = 0;
}
