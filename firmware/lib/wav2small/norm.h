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

// A hop of 32 samples: adds it to the total and, if `running`, moves the running mean and power,
// and with them mean_q14 and log2_scale. Returns the magnitude of its samples, ORed: all have the
// sign's value in the bits that it leaves free.
uint32_t w2s_norm_hop(w2s_norm_state *state, const int16_t hop[W2S_HOP], bool running);

#endif
