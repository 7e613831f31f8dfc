// SPDX-License-Identifier: Apache-2.0
//
// dense.c: `lin` and `sof` of one row, in plain C. 72K: every output sees the whole row of 169.
// 17K: a 1x1 convolution, every band on its own.
#include "../../requant.h"
#include "layers.h"

static void product(const w2s_layer *layer, const int8_t *in, unsigned inputs, unsigned outputs,
                    int8_t *out) {
    const int8_t *w = layer->weight;
    for (unsigned o = 0; o < outputs; o++) {
        int32_t sum = layer->bias[o];
        for (unsigned i = 0; i < inputs; i++) sum += in[i] * w[i];
        w += inputs;
        int32_t q = w2s_requantise(sum, layer->multiplier[o], layer->shift[o]);
        out[o] = w2s_clamp_int8(q + layer->zero_out, layer->minimum);
    }
}

void w2s_dense(const w2s_model *model, const w2s_layer *layer, const int8_t *row, int8_t *out) {
    if (model->architecture == W2S_ARCH_72K) {
        product(layer, row, W2S_WIDE, W2S_WIDE, out);
        return;
    }
    for (unsigned band = 0; band < W2S_BANDS; band++) {
        product(layer, row + band * W2S_CHANNELS, W2S_CHANNELS, W2S_CHANNELS,
                out + band * W2S_CHANNELS);
    }
}
