// SPDX-License-Identifier: Apache-2.0
//
// dsp.h: state of the kernels for Cortex-M4, M7 and M33 (DSP extension).
//
// Rows are pixels of int16 (packed.h). Convolutions take and give six rows at a time (winograd.S);
// one block of six rows serves all layers of a width, since a layer has read its input when it
// writes its output. What a layer keeps is the last two rows of its input. The pool fills one
// narrow block while l4 .. l7, lin and sof, in small steps, still work on the other (network.c).
#ifndef W2S_DSP_H
#define W2S_DSP_H

#define W2S_KERNELS_NAME "dsp"
#define W2S_PLAIN_WEIGHTS 0

#include "packed.h"

#define W2S_DSP_ROWS 6                                             // F(6,3): rows in a batch
#define W2S_DSP_WAITING 7                                          // rows, at most, before l1
#define W2S_DSP_SLAB(bands) (64 + ((bands) + 2) * 28 + (bands)*8)  // bytes; see winograd.S

typedef struct {
    int8_t waiting[W2S_DSP_WAITING][W2S_MEL];  // rows that l1 has not seen
    uint32_t waiting_rows;
    uint32_t frames;                // rows that have come, padding after the end included
    int16_t input[3][W2S_MEL + 2];  // a ring of the last rows into l1
    uint32_t input_rows;
    w2s_dsp_block wide_block;
    w2s_dsp_block narrow_block[2];
    unsigned filling;          // the one that the pool fills; the other is at `step`
    unsigned step;             // of the narrow layers
    int8_t lin[2 * W2S_WIDE];  // of two rows, until sof follows
    // From here on pairs of int16, read and written in words.
    uint32_t pool_above[W2S_BANDS * W2S_DSP_PIXEL / 2];  // the odd row above, reduced along bands
    uint32_t wide[W2S_DSP_ROWS * W2S_DSP_WIDE / 2];
    uint32_t narrow[2][W2S_DSP_ROWS * W2S_DSP_NARROW / 2];
    uint32_t wide_past[2][W2S_DSP_WIDE];      // two rows each: of the input of l2, l3
    uint32_t narrow_past[4][W2S_DSP_NARROW];  // l4 .. l7
    uint32_t slabs[8 * W2S_DSP_SLAB(W2S_MEL) / 4];
} w2s_kernel_state;

#endif
