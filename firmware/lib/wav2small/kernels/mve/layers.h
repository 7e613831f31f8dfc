// SPDX-License-Identifier: Apache-2.0
//
// layers.h: the layers of the Helium kernels, for network.c. Each takes four rows, the pool gives
// two; mve.h has the layouts.
#ifndef W2S_MVE_LAYERS_H
#define W2S_MVE_LAYERS_H

#include "../../wav2small.h"

typedef int8_t w2s_mve_column[W2S_MVE_LINES][W2S_MVE_LANES];  // six rows of a band

// The next row into l1, number 0 .. 3 of its batch; after the batch, the last two become the first.
void w2s_mve_first_row(int8_t input[2][W2S_MEL + 2][4], unsigned number, const int8_t row[W2S_MEL]);
void w2s_mve_first_age(int8_t input[2][W2S_MEL + 2][4]);

// l1: patches of the input, to lines 2 .. 5 of 26 columns.
void w2s_mve_conv_first(const w2s_mve_first *filters, const int8_t input[2][W2S_MEL + 2][4],
                        w2s_mve_column *out);

// l2 .. l7: `bands` outputs from bands + 2 columns; lines 0 .. 5 give four rows. The output of band
// b, row t, channel c goes to out[b * band_step + t * row_step + c].
void w2s_mve_conv3x3(const w2s_mve_filter *filters, const w2s_mve_column *in, unsigned bands,
                     int8_t *out, unsigned band_step, unsigned row_step);

// 3x3 maximum, stride 2: 26 bands, and the padding before them, to lines `line` and `line` + 1 of
// 13 columns.
void w2s_mve_maxpool(const w2s_mve_column *in, w2s_mve_column *out, unsigned line);

// lin or sof of 72K, four rows.
void w2s_mve_dense(const w2s_mve_pair *pairs, const int8_t in[W2S_MVE_BATCH][W2S_MVE_ROW],
                   int8_t out[W2S_MVE_BATCH][W2S_MVE_ROW]);

// lin or sof of 17K, four rows: a 1x1 convolution.
void w2s_mve_pointwise(const w2s_mve_point *points, const int8_t in[W2S_MVE_BATCH][W2S_MVE_ROW],
                       int8_t out[W2S_MVE_BATCH][W2S_MVE_ROW]);

#endif
