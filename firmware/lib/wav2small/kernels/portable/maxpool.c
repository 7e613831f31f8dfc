// SPDX-License-Identifier: Apache-2.0
//
// maxpool.c: 3x3 maximum, stride 2, padding 1, one row at a time: rows 2t-1, 2t, 2t+1 give row t.
//
// The padding is never looked at: it holds real 0, the least value after a ReLU (the generator
// refuses a model where it is not).
#include "../../wav2small.h"

#include <string.h>

// Maximum over bands 2b-1, 2b, 2b+1 of a row of 26.
static void reduce_bands(const w2s_act *row, int8_t *out) {
    for (unsigned band = 0; band < W2S_BANDS; band++) {
        const int8_t *x = row + 2 * band * W2S_PIXEL;
        for (unsigned c = 0; c < W2S_CHANNELS; c++) {
            int8_t most = x[c] > x[W2S_PIXEL + c] ? x[c] : x[W2S_PIXEL + c];
            if (band > 0) {
                int8_t left = (x - W2S_PIXEL)[c];
                if (left > most) most = left;
            }
            out[band * W2S_PIXEL + c] = most;
        }
    }
}

static void keep_larger(int8_t *into, const int8_t *from) {
    for (unsigned i = 0; i < W2S_WIDE; i++) {
        if (from[i] > into[i]) into[i] = from[i];
    }
}

const w2s_act *w2s_pool_push(w2s_kernel_state *state, const w2s_act *row, unsigned *count) {
    int8_t *above = state->pooled[0], *out = state->pooled[1];
    *count = 0;
    if (row == NULL) {  // an odd number of rows leaves one output under way
        *count = state->pool_rows % 2;
        return out;
    }
    if (state->pool_rows % 2 == 0) {
        reduce_bands(row, out);
        if (state->pool_rows > 0) keep_larger(out, above);
    } else {
        reduce_bands(row, above);
        keep_larger(out, above);
        *count = 1;
    }
    state->pool_rows++;
    return out;
}
