// SPDX-License-Identifier: Apache-2.0
//
// compact.h: state of the kernels for small chips with the DSP extension: 11 KB instead of 22.
//
// Between layers a row is bytes (q + 128, see ../dsp/packed.h): `bands` pixels of 12 channels, then
// channel 12 of all bands, without padding. Only what a convolution works on is halfwords: the V
// rows of Winograd F(4,3) along time (winograd.S), four rows at a time. One block of four rows
// serves all layers of a width, since a layer has read its input when it writes its output; what a
// layer keeps is the last two rows of its input.
#ifndef W2S_COMPACT_H
#define W2S_COMPACT_H

#define W2S_KERNELS_NAME "compact"
#define W2S_PLAIN_WEIGHTS 0

#include "../dsp/packed.h"

#define W2S_COMPACT_ROWS 4    // rows in a batch
#define W2S_COMPACT_RING 4    // rows of the input: l1 takes two, and one before and behind
#define W2S_COMPACT_POINTS 6  // V rows
#define W2S_COMPACT_ROW(bands) ((bands)*12 + ((bands) + 3) / 4 * 4)         // bytes
#define W2S_COMPACT_SLAB(bands) (40 + ((bands) + 2) * 28 + (bands)*8)       // ../dsp/products.inc
#define W2S_COMPACT_WORDS(rows, bands) ((rows)*W2S_COMPACT_ROW(bands) / 4)  // of so many rows

typedef struct {
    uint8_t input[W2S_COMPACT_RING][W2S_MEL + 2];  // the last rows into l1
    uint32_t frames;                   // rows that have come, padding after the end included
    int32_t wide_first, narrow_first;  // numbers of the blocks' first rows
    int32_t pooled;                    // of the next row from the pool
    int32_t wide_limit, narrow_limit;  // rows of the utterance; INT32_MAX until it ends
    uint32_t step;                     // of the narrow layers
    // From here on rows of bytes, read and written in words.
    uint32_t pool_above[W2S_COMPACT_WORDS(1, W2S_BANDS)];  // the odd row above, reduced along bands
    uint32_t pool_out[W2S_COMPACT_WORDS(2, W2S_BANDS)];    // wait for the narrow block
    uint32_t wide[W2S_COMPACT_WORDS(W2S_COMPACT_ROWS, W2S_MEL)];
    uint32_t narrow[W2S_COMPACT_WORDS(W2S_COMPACT_ROWS, W2S_BANDS)];
    uint32_t wide_past[2][W2S_COMPACT_WORDS(2, W2S_MEL)];      // two rows each: into l2, l3
    uint32_t narrow_past[4][W2S_COMPACT_WORDS(2, W2S_BANDS)];  // l4 .. l7
    // V rows and products; between convolutions room for rows of halfwords and for int8 rows.
    uint32_t slabs[W2S_COMPACT_POINTS * W2S_COMPACT_SLAB(W2S_MEL) / 4];
} w2s_kernel_state;

#endif
