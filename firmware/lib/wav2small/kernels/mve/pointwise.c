// SPDX-License-Identifier: Apache-2.0
//
// pointwise.c: `lin` and `sof` of 17K, a 1x1 convolution 13->13: an output is one VMLADAV.S8.
//
// A pixel is read as 16 bytes, with three of the next one; the weights there are 0.
#include "layers.h"
#include "requantise.h"

void w2s_mve_pointwise(const w2s_mve_point *points, const int8_t in[W2S_MVE_BATCH][W2S_MVE_ROW],
                       int8_t out[W2S_MVE_BATCH][W2S_MVE_ROW]) {
    const uint32x4_t rows = w2s_mve_steps(W2S_MVE_ROW);
    for (unsigned at = 0; at < W2S_WIDE; at += W2S_CHANNELS) {
        const int8x16_t x0 = vldrbq_s8(in[0] + at), x1 = vldrbq_s8(in[1] + at);
        const int8x16_t x2 = vldrbq_s8(in[2] + at), x3 = vldrbq_s8(in[3] + at);
        const w2s_mve_point *point = points;
        int8_t *to = out[0] + at;
        for (unsigned channel = 0; channel < W2S_CHANNELS; channel++, point++, to++) {
            const int8x16_t w = vldrbq_s8(point->weight);
            int32x4_t sums = w2s_mve_lanes(vmladavq_s8(x0, w), vmladavq_s8(x1, w),
                                           vmladavq_s8(x2, w), vmladavq_s8(x3, w));
            w2s_mve_store(to, rows, w2s_mve_add_signed(sums, point->requant));
        }
    }
}
