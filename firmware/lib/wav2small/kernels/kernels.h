// SPDX-License-Identifier: Apache-2.0
//
// kernels.h: the seam. A kernel set is a folder beside this file. Its header chooses how rows lie
// in memory (w2s_act, W2S_PIXEL) and what the layers keep between rows (w2s_kernel_state); its
// sources implement the functions below. Every set returns the bits of the portable one.
//
// Included by wav2small.h, in the middle: the shapes and w2s_model are known here.
#ifndef W2S_KERNELS_H
#define W2S_KERNELS_H

#include "portable/portable.h"

// Forgets all rows: the next row of every layer is the first of an utterance.
void w2s_kernel_reset(w2s_kernel_state *state, const w2s_model *model);

// One row into convolution `layer` (0 is l1); NULL is the zero padding that follows the last row.
// l1 takes int8[26]; the others take what the layer before gave. Returns the output rows that this
// completes, w2s_row_acts(layer) apart, and their number in `count`, 0 .. W2S_ROWS_OUT.
const w2s_act *w2s_conv_push(w2s_kernel_state *state, const w2s_model *model, unsigned layer,
                             const void *row, unsigned *count);

// The same for the 3x3 pool of stride 2 between l3 and l4.
const w2s_act *w2s_pool_push(w2s_kernel_state *state, const w2s_act *row, unsigned *count);

// `lin` or `sof` of one row of l7: int8[169].
void w2s_dense(const w2s_model *model, const w2s_layer *layer, const w2s_act *row, int8_t *out);

// A row of `bands` bands in the int8 values of the .tflite, [band][channel]; for taps.
void w2s_export_row(const w2s_act *row, unsigned bands, int8_t *out);

#endif
