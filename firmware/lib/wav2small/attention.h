// SPDX-License-Identifier: Apache-2.0
//
// attention.h: softmax over time of `sof`, the sum over time of `lin` under it, and the linear
// head, in integers: what TFLite's int8 SOFTMAX and SUM cannot do over hundreds of rows.
#ifndef W2S_ATTENTION_H
#define W2S_ATTENTION_H

#include "wav2small.h"

void w2s_segment_reset(w2s_segment *segment);

// Adds a row: weight exp(sof - peak), where peak is the largest sof so far. A new peak scales what
// is there. Ranges: a weight is at most 2^16 and |lin - zero| at most 255, so after
// W2S_SEGMENT_ROWS <= 128 rows |weighted| <= 128 * 65536 * 255 < 2^31.
void w2s_segment_add(w2s_segment *segment, const w2s_model *model, const int8_t *lin,
                     const int8_t *sof);

void w2s_sums_reset(w2s_sums *sums);

// Adds a segment. After W2S_MAX_ROWS = 2^22 rows |weighted| < 2^46, and 2^62 times a weight.
void w2s_sums_add(w2s_sums *sums, const w2s_model *model, const w2s_segment *segment);

// Their attention average: x = weighted / weight, in steps of lin, Q12. Every sum must hold a row.
void w2s_sums_average(const w2s_sums *sums, int32_t x[W2S_WIDE]);

// The average over the `count` segments of the ring before number `end`.
void w2s_window_average(const w2s_segment ring[W2S_SEGMENTS], uint32_t end, uint32_t count,
                        const w2s_model *model, int32_t x[W2S_WIDE]);

void w2s_head(const int32_t x[W2S_WIDE], const w2s_model *model, w2s_adv *adv);

#endif
