// SPDX-License-Identifier: Apache-2.0
//
// product.h: one M of products.inc in plain C, for the twins.
#ifndef W2S_DSP_PRODUCT_H
#define W2S_DSP_PRODUCT_H

#include "layers.h"
#include "simd.h"

// `v`: three pixels of a V row; `w`: 20 words of weights of a channel, each `step` after the last.
static inline int32_t w2s_dsp_product(const uint32_t *v, const uint32_t *w, unsigned step) {
    enum { WORDS = W2S_DSP_PIXEL / 2 };
    int32_t m = 0;
    for (unsigned pair = 0; pair < 6; pair++) {
        for (unsigned kx = 0; kx < 3; kx++, w += step) {
            m = w2s_smlad(v[kx * WORDS + pair], *w, m);
        }
    }
    m = w2s_smlad(v[6], w[0], m);  // channel 12: taps 0 and 1 in one
    return w2s_smlad(v[2 * WORDS + 6], w[step], m);
}

#endif
