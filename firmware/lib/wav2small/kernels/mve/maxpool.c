// SPDX-License-Identifier: Apache-2.0
//
// maxpool.c: 3x3 maximum, stride 2, padding 1. Six lines hold what two rows of the output need:
// lines 0 .. 2 and 2 .. 4. A band of the output sees three columns and shares the last with the
// next one.
//
// The padding holds real 0, the least value after a ReLU.
#include "layers.h"

#include <arm_mve.h>

// Of the column's six lines, the maximum of 0 .. 2 and of 2 .. 4.
static inline void reduce(const int8_t column[W2S_MVE_LINES][W2S_MVE_LANES], int8x16_t *early,
                          int8x16_t *late) {
    const int8x16_t shared = vldrbq_s8(column[2]);
    *early = vmaxq_s8(vmaxq_s8(vldrbq_s8(column[0]), vldrbq_s8(column[1])), shared);
    *late = vmaxq_s8(vmaxq_s8(vldrbq_s8(column[3]), vldrbq_s8(column[4])), shared);
}

void w2s_mve_maxpool(const w2s_mve_column *in, w2s_mve_column *out, unsigned line) {
    int8x16_t early[3], late[3];
    reduce(in[0], &early[0], &late[0]);
    for (unsigned band = 0; band < W2S_BANDS; band++, in += 2, out++) {
        reduce(in[1], &early[1], &late[1]);
        reduce(in[2], &early[2], &late[2]);
        vstrbq_s8(out[0][line], vmaxq_s8(vmaxq_s8(early[0], early[1]), early[2]));
        vstrbq_s8(out[0][line + 1], vmaxq_s8(vmaxq_s8(late[0], late[1]), late[2]));
        early[0] = early[2];
        late[0] = late[2];
    }
}
