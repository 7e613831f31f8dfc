// SPDX-License-Identifier: Apache-2.0
//
// kernels.h: the seam. A kernel set is a folder beside this file that runs the network, from int8
// log-mel rows to rows of lin and sof, in its own memory layout and order. Its header gives the
// state that it keeps between rows (w2s_kernel_state). Every set returns the bits of the portable
// one, whatever the length of the audio.
//
// Included by wav2small.h in the middle, where the shapes and w2s_model are known; the interface
// at the end of this file is for wav2small.c, see flow.h for the other direction.
#ifndef W2S_KERNELS_H
#define W2S_KERNELS_H

// The build chooses: it compiles one folder, and defines W2S_KERNELS_<NAME>. A set's header says
// whether the set reads the plain int8 weights of w2s_layer (W2S_PLAIN_WEIGHTS 1) or its own
// packed ones, w2s_model.packed (0): then the plain ones need no flash.
#if defined(W2S_KERNELS_DSP)
#include "dsp/dsp.h"
#elif defined(W2S_KERNELS_COMPACT)
#include "compact/compact.h"
#elif defined(W2S_KERNELS_MVE)
#include "mve/mve.h"
#else
#include "portable/portable.h"
#endif

struct w2s_context;

// Is the model of a shape, and with weights, that this set runs?
bool w2s_network_runs(const w2s_model *model);

// Forgets all rows.
void w2s_network_reset(struct w2s_context *ctx);

// The next row of the input, which the caller has offered (w2s_offer) and so counted. Whatever it
// completes is offered to the taps and ends in w2s_attend.
void w2s_network_row(struct w2s_context *ctx, const int8_t row[W2S_MEL]);

// No more rows: zero padding follows the last one, and what is still in the layers comes out.
void w2s_network_finish(struct w2s_context *ctx);

#endif
