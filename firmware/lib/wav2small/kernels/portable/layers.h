// SPDX-License-Identifier: Apache-2.0
//
// layers.h: the layers of the portable kernels, for network.c.
#ifndef W2S_PORTABLE_LAYERS_H
#define W2S_PORTABLE_LAYERS_H

#include "../../wav2small.h"

// Zero padding everywhere: the next row of every layer is its first.
void w2s_portable_reset(w2s_kernel_state *state, const w2s_model *model);

// One row into convolution `layer` (0 is l1), or NULL, the zero padding after the last row.
// Returns the output row that this completes, or NULL.
const int8_t *w2s_conv3x3(w2s_kernel_state *state, const w2s_model *model, unsigned layer,
                          const int8_t *row);

// The same for the 3x3 pool of stride 2 between l3 and l4.
const int8_t *w2s_maxpool(w2s_kernel_state *state, const int8_t *row);

// `lin` or `sof` of one row of l7: int8[169].
void w2s_dense(const w2s_model *model, const w2s_layer *layer, const int8_t *row, int8_t *out);

#endif
