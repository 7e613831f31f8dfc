// SPDX-License-Identifier: Apache-2.0
//
// dsp.h: state and weights of the kernels for Cortex-M4, M7 and M33 (DSP extension).
//
// An activation is q + 128 in an int16: 0 .. 255, real 0 (what padding holds) being 0, so that a
// saturation to 8 bits is the clamp of a ReLU. A pixel is 14 of them: 13 channels, and channel 12
// of the pixel to the right once more, so that two of its three taps are one multiply-accumulate.
// A row has a pixel of padding on both sides. Convolutions take and give six rows at a time
// (winograd.S); one block of six rows serves all layers of a width, since a layer has read its
// input when it writes its output. What a layer keeps is the last two rows of its input.
#ifndef W2S_DSP_H
#define W2S_DSP_H

#define W2S_KERNELS_NAME "dsp"
#define W2S_PLAIN_WEIGHTS 0

#define W2S_DSP_PIXEL 14
#define W2S_DSP_ROWS 6                                             // F(6,3): rows in a batch
#define W2S_DSP_WIDE ((W2S_MEL + 2) * W2S_DSP_PIXEL)               // a row up to l3
#define W2S_DSP_NARROW ((W2S_BANDS + 2) * W2S_DSP_PIXEL)           // a row from the pool on
#define W2S_DSP_SLAB(bands) (64 + ((bands) + 2) * 28 + (bands)*8)  // bytes; see winograd.S

// Weights of a 3x3 convolution 13->13. Winograd where its ranges allow, which the generator proves
// for every layer; else the direct kernel.
typedef struct {
    const uint32_t *winograd;  // NULL: direct
    const int16_t *direct;     // [13][9][14]; NULL: Winograd
    const int32_t *bias;       // [13] for the direct kernel: of sums over q + 128
    const int32_t *multiplier;
    const int8_t *shift;
} w2s_dsp_conv;

typedef struct {
    const uint32_t *first;      // l1: [13] x {bias, 5 words of weights, multiplier, rounding}
    w2s_dsp_conv conv[6];       // l2 .. l7
    const uint32_t *lin, *sof;  // dense.S
} w2s_packed_weights;

typedef struct {
    int32_t next;     // of the block under way: the row that its first slot holds
    uint32_t filled;  // slots filled
    int32_t limit;    // rows of the utterance at this point; INT32_MAX until it ends
} w2s_dsp_block;

typedef struct {
    int16_t input[3][W2S_MEL + 2];  // a ring of the last rows into l1
    uint32_t input_rows;
    w2s_dsp_block wide_block, narrow_block;
    // From here on pairs of int16, read and written in words.
    uint32_t pool_above[W2S_BANDS * W2S_DSP_PIXEL / 2];  // the odd row above, reduced along bands
    uint32_t wide[W2S_DSP_ROWS * W2S_DSP_WIDE / 2];
    uint32_t narrow[W2S_DSP_ROWS * W2S_DSP_NARROW / 2];
    uint32_t wide_past[2][W2S_DSP_WIDE];      // two rows each: of the input of l2, l3
    uint32_t narrow_past[4][W2S_DSP_NARROW];  // l4 .. l7
    uint32_t slabs[8 * W2S_DSP_SLAB(W2S_MEL) / 4];
} w2s_kernel_state;

#endif
