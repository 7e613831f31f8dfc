// SPDX-License-Identifier: Apache-2.0
//
// portable.h: state and layers of the plain C kernels. Rows are int8, [band][channel], as in the
// .tflite; each layer takes a row and gives one as soon as it can.
#ifndef W2S_PORTABLE_H
#define W2S_PORTABLE_H

#define W2S_KERNELS_NAME "portable"
#define W2S_PLAIN_WEIGHTS 1

// The last three input rows of every convolution, a column of padding on both sides of each; the
// pool's columns are reduced as they come, so it keeps narrow rows.
typedef struct {
    int8_t first[3][W2S_MEL + 2];                         // into l1
    int8_t wide[2][3][(W2S_MEL + 2) * W2S_CHANNELS];      // into l2, l3
    int8_t narrow[4][3][(W2S_BANDS + 2) * W2S_CHANNELS];  // into l4 .. l7
    uint32_t rows[W2S_CONVS];                             // pushed, padding included
    int8_t pooled[2][W2S_WIDE];  // the odd row above, and the output under way
    uint32_t pool_rows;
    int8_t out[W2S_CONVS][W2S_MEL * W2S_CHANNELS];
} w2s_kernel_state;

#endif
