// SPDX-License-Identifier: Apache-2.0
//
// flow.h: what wav2small.c offers to the kernel sets.
#ifndef W2S_FLOW_H
#define W2S_FLOW_H

#include "wav2small.h"

// Is somebody listening to this layer? Spares a kernel set the conversion of a row.
bool w2s_tapped(const w2s_context *ctx, w2s_tap layer);

// Counts a row of a layer and shows it to the tap. Every row of every layer, in order, once.
void w2s_offer(w2s_context *ctx, w2s_tap layer, const void *data, size_t bytes);

// Time spent on a layer: t = w2s_now(ctx); ...; w2s_charge(ctx, layer, t).
uint64_t w2s_now(const w2s_context *ctx);
void w2s_charge(w2s_context *ctx, w2s_tap layer, uint64_t since);

// The end of the network: a row of lin and of sof, int8 as in the .tflite, into the attention sums.
void w2s_attend(w2s_context *ctx, const int8_t lin[W2S_WIDE], const int8_t sof[W2S_WIDE]);

#endif
