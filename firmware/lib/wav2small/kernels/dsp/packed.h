// SPDX-License-Identifier: Apache-2.0
//
// packed.h: pixels and weights of the kernels for the DSP extension, for the sets that have them.
//
// An activation is q + 128: 0 .. 255, real 0 (what padding holds) being 0, so that a saturation to
// 8 bits is the clamp of a ReLU. A pixel is 14 of them in int16: 13 channels, and channel 12 of the
// pixel to the right once more, so that two of its three taps are one multiply-accumulate. A row
// has a pixel of padding on both sides.
#ifndef W2S_DSP_PACKED_H
#define W2S_DSP_PACKED_H

#define W2S_DSP_PIXEL 14
#define W2S_DSP_WIDE ((W2S_MEL + 2) * W2S_DSP_PIXEL)      // a row up to l3
#define W2S_DSP_NARROW ((W2S_BANDS + 2) * W2S_DSP_PIXEL)  // a row from the pool on

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

// A batch of rows that fills up, and then runs through the layers.
typedef struct {
    int32_t next;     // of the block under way: the row that its first slot holds
    uint32_t filled;  // slots filled
    int32_t limit;    // rows of the utterance at this point; INT32_MAX until it ends
} w2s_dsp_block;

#endif
