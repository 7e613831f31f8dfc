// SPDX-License-Identifier: Apache-2.0
//
// twin_winograd.c: transform.S and winograd.S in plain C, see twin.c.
#include "layers.h"
#include "product.h"
#include "requantise.h"

#if !(defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP)

enum { PIXEL = W2S_DSP_PIXEL, WORDS = PIXEL / 2, POINTS = 8, HEADER_WORDS = 16 };

static unsigned slab_words(unsigned bands) { return W2S_DSP_SLAB(bands) / 4; }

static void transform(const uint32_t *rows, uint32_t *slabs, uint32_t *past, unsigned bands) {
    const unsigned words = (bands + 2) * WORDS, slab = slab_words(bands);
    for (unsigned i = 0; i < 2 * words; i++) {
        int32_t d[8];
        for (unsigned r = 0; r < 8; r++) {
            d[r] = w2s_dsp_get(r < 2 ? past + r * words : rows + (r - 2) * words, i);
        }
        int32_t e1 = 4 * (d[2] + d[6]) - 17 * d[4], o1 = 4 * (d[1] + d[5]) - 17 * d[3];
        int32_t e3 = d[2] + 4 * d[6] - 5 * d[4], o3 = 2 * (d[1] + 4 * d[5] - 5 * d[3]);
        int32_t e5 = 2 * (4 * d[2] + d[6] - 5 * d[4]), o5 = 4 * d[1] + d[5] - 5 * d[3];
        int32_t v[POINTS] = {4 * (d[0] - d[6]) + 21 * (d[4] - d[2]),
                             e1 + o1,
                             e1 - o1,
                             e3 + o3,
                             e3 - o3,
                             e5 + o5,
                             e5 - o5,
                             4 * (d[7] - d[1]) + 21 * (d[3] - d[5])};
        for (unsigned p = 0; p < POINTS; p++) {
            w2s_dsp_set(slabs + p * slab + HEADER_WORDS, i, (int16_t)v[p]);
        }
    }
    memcpy(past, rows + 4 * words, 2 * words * sizeof *past);
}

void w2s_dsp_transform_26(const uint32_t *rows, uint32_t *slabs, uint32_t *past) {
    transform(rows, slabs, past, W2S_MEL);
}
void w2s_dsp_transform_13(const uint32_t *rows, uint32_t *slabs, uint32_t *past) {
    transform(rows, slabs, past, W2S_BANDS);
}

// Six outputs from the eight points, times 360.
static void untransform(const int32_t m[POINTS], int32_t y[W2S_DSP_ROWS]) {
    uint32_t u[POINTS];
    for (unsigned p = 0; p < POINTS; p++) u[p] = (uint32_t)m[p];
    uint32_t s1 = u[1] + u[2], d1 = u[1] - u[2], s2 = u[3] + u[4], d2 = u[3] - u[4],
             s3 = u[5] + u[6], d3 = u[5] - u[6];
    y[0] = (int32_t)(u[0] + s1 + s2 + 32 * s3);
    y[1] = (int32_t)(d1 + 2 * d2 + 16 * d3);
    y[2] = (int32_t)(s1 + 4 * s2 + 8 * s3);
    y[3] = (int32_t)(d1 + 8 * d2 + 4 * d3);
    y[4] = (int32_t)(s1 + 16 * s2 + 2 * s3);
    y[5] = (int32_t)(d1 + 32 * d2 + d3 + u[7]);
}

// `count` channels, 1 or 2, whose weights are interleaved; returns what follows them.
static const uint32_t *channels(uint32_t *slabs, const uint32_t *weights, uint32_t *rows,
                                unsigned bands, unsigned channel, unsigned count) {
    const unsigned slab = slab_words(bands), words = (bands + 2) * WORDS;
    const uint32_t *record = weights + POINTS * 20 * count;
    for (unsigned c = 0; c < count; c++, record += 4) {
        for (unsigned x = 0; x < bands; x++) {
            int32_t m[POINTS], y[W2S_DSP_ROWS];
            for (unsigned p = 0; p < POINTS; p++) {
                m[p] = w2s_dsp_product(slabs + p * slab + HEADER_WORDS + x * WORDS,
                                       weights + p * 20 * count + c, count);
            }
            untransform(m, y);
            for (unsigned r = 0; r < W2S_DSP_ROWS; r++) {
                int32_t a = (int32_t)((uint32_t)y[r] * record[0] + record[1]);
                int16_t q = w2s_dsp_relu(a, record + 2);
                w2s_dsp_set(rows + r * words, (x + 1) * PIXEL + channel + c, q);
                if (channel + c == 12) w2s_dsp_set(rows + r * words, x * PIXEL + 13, q);
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

void w2s_dsp_winograd_26(uint32_t *slabs, const uint32_t *weights, uint32_t *rows) {
    winograd(slabs, weights, rows, W2S_MEL);
}
void w2s_dsp_winograd_13(uint32_t *slabs, const uint32_t *weights, uint32_t *rows) {
    winograd(slabs, weights, rows, W2S_BANDS);
}

#endif
