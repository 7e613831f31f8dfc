// SPDX-License-Identifier: Apache-2.0
//
// dense_bands.c: lin or sof of 17K, a 1x1 convolution: every band on its own. Weights: for each of
// 13 outputs 7 words, the slot behind channel 12 being 0, then a record of requantise.h.
#include "layers.h"
#include "requantise.h"
#include "simd.h"

enum { WORDS = W2S_DSP_PIXEL / 2, RECORD = WORDS + 4 };

void w2s_dsp_dense_bands(const uint32_t *row, const uint32_t *weights, int8_t *out) {
    for (unsigned channel = 0; channel < W2S_CHANNELS; channel++, weights += RECORD) {
        const uint32_t *x = row + WORDS;
        const uint32_t w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3],
                       w4 = weights[4], w5 = weights[5], w6 = weights[6];
        int8_t *to = out + channel;
        for (unsigned band = 0; band < W2S_BANDS; band++, x += WORDS, to += W2S_CHANNELS) {
            int32_t sum = w2s_smlad(x[0], w0, 0);
            sum = w2s_smlad(x[1], w1, sum);
            sum = w2s_smlad(x[2], w2, sum);
            sum = w2s_smlad(x[3], w3, sum);
            sum = w2s_smlad(x[4], w4, sum);
            sum = w2s_smlad(x[5], w5, sum);
            sum = w2s_smlad(x[6], w6, sum);
            *to = w2s_dsp_requantise(sum, weights + WORDS);
        }
    }
}
