// SPDX-License-Identifier: Apache-2.0
//
// logmel.h: a frame of 64 samples to 26 mel bands in decibels, on integers.
#ifndef W2S_LOGMEL_H
#define W2S_LOGMEL_H

#include "wav2small.h"

// Decibels are in 1/128: int16 spans +-256 dB.
#define W2S_DB 128
#define W2S_DB_FLOOR (-100 * W2S_DB)  // 10 log10(1e-10), the floor of the network's log-mel

// log2(v) in Q16, within 0.0001; v > 0.
int32_t w2s_log2_q16(uint64_t v);

// Log-mel of a frame whose samples use the bits `used` (w2s_norm_hop) and have mean `mean_q14`
// (Q14), divided by a variance given as log2_scale, its log2 in Q16 (w2s_norm_state). Band 0 is at
// the floor, always. With `floor` false the bands are not floored, and empty ones are INT16_MIN:
// the raw log-mel.
void w2s_logmel(const int16_t frame[W2S_FRAME], uint32_t used, int32_t mean_q14, int32_t log2_scale,
                bool floor, int16_t out[W2S_MEL]);

#endif
