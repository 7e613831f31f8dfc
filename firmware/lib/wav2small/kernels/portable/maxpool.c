// SPDX-License-Identifier: Apache-2.0
//
// maxpool.c: 3x3 maximum, stride 2, padding 1, one row at a time: rows 2t-1, 2t, 2t+1 give row t.
//
// The padding is never looked at: it holds real 0, the least value after a ReLU (the generator
// refuses a model where it is not).
#include "layers.h"

// Maximum over bands 2b-1, 2b, 2b+1 of a row of 26.
static void reduce_bands(const int8_t *row, int8_t *out) {
    for (unsigned band = 0; band < W2S_BANDS; band++) {
        const int8_t *x = row + 2 * band * W2S_CHANNELS;
        for (unsigned c = 0; c < W2S_CHANNELS; c++) {
            int8_t most = x[c] > x[W2S_CHANNELS + c] ? x[c] : x[W2S_CHANNELS + c];
            if (band > 0) {
                int8_t left = (x - W2S_CHANNELS)[c];
                if (left > most) most = left;
            }
            out[band * W2S_CHANNELS + c] = most;
        }
    }
}

static void keep_larger(int8_t *into, const int8_t *from) {
    for (unsigned i = 0; i < W2S_WIDE; i++) {
        if (from[i] > into[i]) into[i] = from[i];
    }
}

const int8_t *w2s_maxpool(w2s_kernel_state *state, const int8_t *row) {
    int8_t *above = state->pooled[0], *out = state->pooled[1];
    const bool even = state->pool_rows % 2 == 0;
    // An odd number of rows leaves one output under way.
    if (row == NULL) return even ? NULL : out;
    state->pool_rows++;
    if (even) {
        reduce_bands(row, out);
        if (state->pool_rows > 1) keep_larger(out, above);
        return NULL;
    }
    reduce_bands(row, above);
    keep_larger(out, above);
    return out;
}
