// SPDX-License-Identifier: Apache-2.0
//
// twin.c: first.S and dense.S in plain C: the same data, the same algebra, the same bits. For
// hosts, where the whole set is tested, and for readers.
#include "layers.h"
#include "requantise.h"
#include "simd.h"

#if !(defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP)

enum { PIXEL = W2S_DSP_PIXEL, WORDS = PIXEL / 2 };

void w2s_dsp_first(const uint32_t words[2 * (W2S_MEL + 2)], const uint32_t *weights,
                   uint32_t *row) {
    const uint32_t *upper = words, *lower = words + W2S_MEL + 2;
    for (unsigned channel = 0; channel < W2S_CHANNELS; channel++, weights += 8) {
        for (unsigned x = 0; x < W2S_MEL; x++) {
            int32_t a = (int32_t)weights[0];
            for (unsigned k = 0; k < 3; k++) a = w2s_smlad(upper[x + k], weights[1 + k], a);
            a = w2s_smlad(lower[x], weights[4], a);
            a = w2s_smlad(lower[x + 2], weights[5], a);
            w2s_dsp_set(row, (x + 1) * PIXEL + channel, w2s_dsp_relu(a, weights + 6));
        }
    }
}

void w2s_dsp_dense_bands(const uint32_t *row, const uint32_t *weights, int8_t *out) {
    for (unsigned channel = 0; channel < W2S_CHANNELS; channel++) {
        const uint32_t *pair = weights + channel / 2 * (2 * WORDS + 8);
        for (unsigned band = 0; band < W2S_BANDS; band++) {
            const uint32_t *x = row + (band + 1) * WORDS;
            int32_t sum = 0;
            for (unsigned i = 0; i < WORDS; i++) {
                sum = w2s_smlad(x[i], pair[2 * i + channel % 2], sum);
            }
            out[band * W2S_CHANNELS + channel] =
                w2s_dsp_requantise(sum, pair + 2 * WORDS + channel % 2 * 4);
        }
    }
}

// A word's offset in a row of 13 pixels: two pixels share the word of their channels 12.
static unsigned dense_word(unsigned i) { return i + i / 13; }

void w2s_dsp_dense(const uint32_t *rows, const uint32_t *weights, int8_t out[2 * W2S_WIDE]) {
    const uint32_t *row0 = rows + WORDS, *row1 = row0 + W2S_DSP_NARROW / 2;
    for (unsigned first = 0; first < W2S_WIDE; first += 4) {
        int32_t sum[2][4] = {{0}};
        for (unsigned i = 0; i < 85; i++, weights += 2) {
            const uint32_t x[2] = {row0[dense_word(i)], row1[dense_word(i)]};
            for (unsigned pair = 0; pair < 2; pair++) {
                uint32_t both = weights[pair];
                uint32_t low = (uint16_t)(int8_t)(both & 0xFF) |
                               (uint32_t)(uint16_t)(int8_t)(both >> 16 & 0xFF) << 16;
                for (unsigned r = 0; r < 2; r++) {
                    sum[r][2 * pair] = w2s_smlad(x[r], low, sum[r][2 * pair]);
                    sum[r][2 * pair + 1] = w2s_smlad(x[r], both, sum[r][2 * pair + 1]);
                }
            }
        }
        for (unsigned o = 0; o < 4; o++, weights += 4) {
            for (unsigned r = 0; r < 2 && first + o < W2S_WIDE; r++) {
                int32_t s = o % 2 ? (sum[r][o] - sum[r][o - 1]) >> 8 : sum[r][o];
                out[r * W2S_WIDE + first + o] = w2s_dsp_requantise(s, weights);
            }
        }
    }
}

#endif
