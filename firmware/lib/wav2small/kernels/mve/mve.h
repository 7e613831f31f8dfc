// SPDX-License-Identifier: Apache-2.0
//
// mve.h: state and weights of the kernels for Cortex-M55 and others with Helium (M-profile Vector
// Extension).
//
// A pixel is 16 bytes: 13 channels of int8, and three more whose weights are 0, so that one tap of
// a 3x3 filter is one vector and one VMLADAVA.S8 is its 13 multiply-accumulates. Rows come in
// batches of four: the input of a layer is six rows, the last two of the batch before and four new
// ones, which lie side by side in time, [band][6][16]. All that four outputs in time need of a
// band are then 96 bytes in a row. A column of padding is on both sides.
#ifndef W2S_MVE_H
#define W2S_MVE_H

#define W2S_KERNELS_NAME "mve"
#define W2S_PLAIN_WEIGHTS 0

#define W2S_MVE_LANES 16
#define W2S_MVE_BATCH 4
#define W2S_MVE_LINES 6                                 // two old rows and a batch
#define W2S_MVE_COLUMN (W2S_MVE_LINES * W2S_MVE_LANES)  // bytes of a band
#define W2S_MVE_DENSE 11                                // vectors in a row of 169
#define W2S_MVE_ROW (W2S_MVE_DENSE * W2S_MVE_LANES)     // 176
#define W2S_MVE_PAIRS ((W2S_WIDE + 1) / 2)              // of outputs of lin, of sof

/// Weights, as host/wav2small_micro/packing/mve.py writes them ///

// What requantisation under a ReLU needs of a channel; see requantise.h.
typedef struct {
    int32_t bias, multiplier, offset, shift;
} w2s_mve_relu;

// The same for lin and sof, whose outputs are signed.
typedef struct {
    int32_t bias, multiplier, shift, zero;
} w2s_mve_signed;

// A filter of l1: four patches of 4 bands x 4 rows that hold its 3x3 taps, shifted by 0 or 1 band
// and 0 or 1 row; [band shift][row shift][band][row].
typedef struct {
    int8_t patch[2][2][4][4];
    w2s_mve_relu relu;
} w2s_mve_first;

// A filter of l2 .. l7: [kx][ky][channel]. kx is the band, ky the time.
typedef struct {
    int8_t tap[3][3][W2S_MVE_LANES];
    w2s_mve_relu relu;
} w2s_mve_filter;

// Two outputs of lin or sof, 72K.
typedef struct {
    int8_t weight[W2S_MVE_DENSE][2][W2S_MVE_LANES];
    w2s_mve_signed requant[2];
} w2s_mve_pair;

// One output of lin or sof, 17K.
typedef struct {
    int8_t weight[W2S_MVE_LANES];
    w2s_mve_signed requant;
} w2s_mve_point;

typedef struct {
    const w2s_mve_first *first;                    // [13]
    const w2s_mve_filter *conv[W2S_CONVS - 1];     // [13] each: l2 .. l7
    const w2s_mve_pair *lin_pairs, *sof_pairs;     // [W2S_MVE_PAIRS], 72K; else NULL
    const w2s_mve_point *lin_points, *sof_points;  // [13], 17K; else NULL
} w2s_packed_weights;

/// State ///

typedef struct {
    // Into l1, [band][row] of one byte: rows 0 .. 3 and 2 .. 5 of the six.
    int8_t first[2][W2S_MEL + 2][4];
    int8_t wide[3][W2S_MEL + 2][W2S_MVE_LINES][W2S_MVE_LANES];      // into l2, l3, pool
    int8_t narrow[4][W2S_BANDS + 2][W2S_MVE_LINES][W2S_MVE_LANES];  // into l4 .. l7
    int8_t dense[W2S_MVE_BATCH][W2S_MVE_ROW];                       // into lin, sof
    int64_t rows;     // input rows so far, the padding after the last one included
    int64_t limit;    // input rows of the utterance; INT64_MAX until it ends
    int64_t answers;  // rows of lin and sof so far
} w2s_kernel_state;

#endif
