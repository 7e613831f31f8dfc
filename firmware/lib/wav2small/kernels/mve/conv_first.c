// SPDX-License-Identifier: Apache-2.0
//
// conv_first.c: l1, the 3x3 convolution of the one-channel input, four rows at a time.
//
// A vector is a patch of 4 bands x 4 rows; it holds all that 2 bands x 2 rows of outputs need.
// With the filter's nine taps at the four places that they can have in the patch, zeros around
// them, an output is one VMLADAV.S8. Two patches, two rows apart, give two bands x four rows.
#include "layers.h"
#include "requantise.h"

// Lines 0 .. 3 are in the first array, 2 .. 5 in the second; lines 2 .. 5 are new.
void w2s_mve_first_row(int8_t input[2][W2S_MEL + 2][4], unsigned number,
                       const int8_t row[W2S_MEL]) {
    enum { REST = W2S_MEL - 16 };
    const uint8x16_t bands = vshlq_n_u8(vidupq_n_u8(0, 1), 2);
    const int8x16_t low = vldrbq_s8(row), high = vldrbq_s8(row + REST);
    if (number < 2) {
        int8_t *early = &input[0][1][number + 2];
        vstrbq_scatter_offset_s8(early, bands, low);
        vstrbq_scatter_offset_s8(early + 4 * REST, bands, high);
    }
    int8_t *late = &input[1][1][number];
    vstrbq_scatter_offset_s8(late, bands, low);
    vstrbq_scatter_offset_s8(late + 4 * REST, bands, high);
}

void w2s_mve_first_age(int8_t input[2][W2S_MEL + 2][4]) {
    // A band is a word; its upper half goes into the lower one of the other array's.
    for (unsigned band = 0; band < W2S_MEL + 2; band += 4) {
        uint32x4_t early = vreinterpretq_u32_s8(vldrbq_s8(input[0][band]));
        uint32x4_t late = vreinterpretq_u32_s8(vldrbq_s8(input[1][band]));
        vstrbq_s8(input[0][band], vreinterpretq_s8_u32(vsriq_n_u32(early, late, 16)));
    }
}

void w2s_mve_conv_first(const w2s_mve_first *filters, const int8_t input[2][W2S_MEL + 2][4],
                        w2s_mve_column *out) {
    const uint32x4_t rows = w2s_mve_steps(W2S_MVE_LANES);
    for (unsigned band = 0; band < W2S_MEL; band += 2, out += 2) {
        const int8x16_t early = vldrbq_s8(input[0][band]), late = vldrbq_s8(input[1][band]);
        const w2s_mve_first *filter = filters;
        int8_t *to = out[0][2];
        for (unsigned channel = 0; channel < W2S_CHANNELS; channel++, filter++, to++) {
            const w2s_mve_relu relu = filter->relu;
            const int8x16_t w00 = vldrbq_s8(filter->patch[0][0][0]);
            const int8x16_t w01 = vldrbq_s8(filter->patch[0][1][0]);
            const int8x16_t w10 = vldrbq_s8(filter->patch[1][0][0]);
            const int8x16_t w11 = vldrbq_s8(filter->patch[1][1][0]);
            int32x4_t left = w2s_mve_lanes(vmladavq_s8(early, w00), vmladavq_s8(early, w01),
                                           vmladavq_s8(late, w00), vmladavq_s8(late, w01));
            int32x4_t right = w2s_mve_lanes(vmladavq_s8(early, w10), vmladavq_s8(early, w11),
                                            vmladavq_s8(late, w10), vmladavq_s8(late, w11));
            w2s_mve_store(to, rows, w2s_mve_add_relu(left, relu));
            w2s_mve_store(to + W2S_MVE_COLUMN, rows, w2s_mve_add_relu(right, relu));
        }
    }
}
