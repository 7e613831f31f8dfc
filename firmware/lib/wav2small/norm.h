// SPDX-License-Identifier: Apache-2.0
//
// norm.h: the mean and variance that normalise a frame, given ahead or running.
#ifndef W2S_NORM_H
#define W2S_NORM_H

#include "wav2small.h"

// Hops (2 ms) after which the running statistics stop growing and begin to forget: 5 s.
#define W2S_LIVE_HOPS 2500

void w2s_norm_reset(w2s_norm_state *state);

// False where the sums cannot be those of int16 samples.
bool w2s_norm_given(w2s_norm_state *state, const w2s_stats *stats);

// One sample of a stream.
void w2s_norm_sample(w2s_norm_state *state, int16_t sample);

// After each hop of 32 samples: moves the running mean and power, and with them the state's
// mean_q14 and log2_scale.
void w2s_norm_hop(w2s_norm_state *state);

#endif
