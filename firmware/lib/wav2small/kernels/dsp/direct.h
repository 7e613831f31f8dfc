// SPDX-License-Identifier: Apache-2.0
//
// direct.h: one output of a 3x3 convolution without Winograd, for layers outside its ranges: any
// multiplier and shift that TFLite allows. Pairs of channels by SMLAD, requantisation written out.
#ifndef W2S_DSP_DIRECT_H
#define W2S_DSP_DIRECT_H

#include "../../requant.h"
#include "layers.h"
#include "simd.h"

// `line`: the rows above, at and below, from the band's left neighbour on. To 0 .. 255.
static inline int16_t w2s_dsp_direct_output(const w2s_dsp_conv *conv, const uint32_t *const line[3],
                                            unsigned channel) {
    enum { RUN = 3 * W2S_DSP_PIXEL / 2 };  // words of three neighbouring pixels
    const int16_t *w = conv->direct + (size_t)channel * 3 * 2 * RUN;
    int32_t sum = conv->bias[channel];
    for (unsigned ky = 0; ky < 3; ky++) {
        for (unsigned i = 0; i < RUN; i++, w += 2) {
            uint32_t pair = (uint16_t)w[0] | (uint32_t)(uint16_t)w[1] << 16;
            sum = w2s_smlad(line[ky][i], pair, sum);
        }
    }
    int32_t q = w2s_requantise(sum, conv->multiplier[channel], conv->shift[channel]);
    return (int16_t)(q < 0 ? 0 : q > 255 ? 255 : q);
}

#endif
