// SPDX-License-Identifier: Apache-2.0
//
// twin_winograd.c: transform.S and winograd.S in plain C: the same data, the same algebra, the same
// bits. For hosts, where the whole set is tested, and for readers.
#include "../dsp/product.h"
#include "../dsp/requantise.h"
#include "layers.h"

#if !(defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP)

enum {
    WORDS = W2S_DSP_PIXEL / 2,
    HEADER_WORDS = 10,
    ROWS = W2S_COMPACT_ROWS,
    POINTS = W2S_COMPACT_POINTS,
};

static void transform(const uint32_t *rows, uint32_t *slabs, uint32_t *past, unsigned bands) {
    const unsigned row = W2S_COMPACT_ROW(bands) / 4, slab = W2S_COMPACT_SLAB(bands) / 4;
    uint32_t pixels[ROWS + 2][(W2S_MEL + 2) * WORDS];
    for (unsigned r = 0; r < ROWS + 2; r++) {
        w2s_compact_widen(r < 2 ? past + r * row : rows + (r - 2) * row, bands, pixels[r]);
    }
    for (unsigned i = 0; i < 2 * WORDS * (bands + 2); i++) {
        int32_t d[ROWS + 2];
        for (unsigned r = 0; r < ROWS + 2; r++) d[r] = w2s_dsp_get(pixels[r], i);
        int32_t v[POINTS] = {4 * d[0] - 5 * d[2] + d[4],        d[3] + d[4] - 4 * (d[1] + d[2]),
                             d[4] + 4 * d[1] - d[3] - 4 * d[2], d[4] + 2 * d[3] - d[2] - 2 * d[1],
                             d[4] + 2 * d[1] - d[2] - 2 * d[3], d[5] + 4 * d[1] - 5 * d[3]};
        for (unsigned p = 0; p < POINTS; p++) {
            w2s_dsp_set(slabs + p * slab + HEADER_WORDS, i, (int16_t)v[p]);
        }
    }
    memcpy(past, rows + 2 * row, 2 * row * sizeof *past);
}

void w2s_compact_transform_26(const uint32_t *rows, uint32_t *slabs, uint32_t *past) {
    transform(rows, slabs, past, W2S_MEL);
}
void w2s_compact_transform_13(const uint32_t *rows, uint32_t *slabs, uint32_t *past) {
    transform(rows, slabs, past, W2S_BANDS);
}

// Four outputs from the six points, times 24.
static void untransform(const int32_t m[POINTS], int32_t y[ROWS]) {
    uint32_t u[POINTS];
    for (unsigned p = 0; p < POINTS; p++) u[p] = (uint32_t)m[p];
    uint32_t s1 = u[1] + u[2], d1 = u[1] - u[2], s2 = u[3] + u[4], d2 = u[3] - u[4];
    y[0] = (int32_t)(u[0] + s1 + s2);
    y[1] = (int32_t)(d1 + 2 * d2);
    y[2] = (int32_t)(s1 + 4 * s2);
    y[3] = (int32_t)(d1 + 8 * d2 + u[5]);
}

// `count` channels, 1 or 2, whose weights are interleaved; returns what follows them.
static const uint32_t *channels(uint32_t *slabs, const uint32_t *weights, uint32_t *rows,
                                unsigned bands, unsigned channel, unsigned count) {
    const unsigned slab = W2S_COMPACT_SLAB(bands) / 4;
    const uint32_t *record = weights + POINTS * 20 * count;
    for (unsigned c = 0; c < count; c++, record += 4) {
        for (unsigned x = 0; x < bands; x++) {
            int32_t m[POINTS], y[ROWS];
            for (unsigned p = 0; p < POINTS; p++) {
                m[p] = w2s_dsp_product(slabs + p * slab + HEADER_WORDS + x * WORDS,
                                       weights + p * 20 * count + c, count);
            }
            untransform(m, y);
            unsigned at = channel + c < 12 ? 12 * x + channel + c : 12 * bands + x;
            for (unsigned r = 0; r < ROWS; r++, at += W2S_COMPACT_ROW(bands)) {
                int32_t a = (int32_t)((uint32_t)y[r] * record[0] + record[1]);
                ((uint8_t *)rows)[at] = (uint8_t)w2s_dsp_relu(a, record + 2);
            }
        }
    }
    return record;
}

static void winograd(uint32_t *slabs, const uint32_t *weights, uint32_t *rows, unsigned bands) {
    for (unsigned channel = 0; channel < 12; channel += 2) {
        weights = channels(slabs, weights, rows, bands, channel, 2);
    }
    channels(slabs, weights, rows, bands, 12, 1);
}

void w2s_compact_winograd_26(uint32_t *slabs, const uint32_t *weights, uint32_t *rows) {
    winograd(slabs, weights, rows, W2S_MEL);
}
void w2s_compact_winograd_13(uint32_t *slabs, const uint32_t *weights, uint32_t *rows) {
    winograd(slabs, weights, rows, W2S_BANDS);
}

#endif
