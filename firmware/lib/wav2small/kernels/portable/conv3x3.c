// SPDX-License-Identifier: Apache-2.0
//
// conv3x3.c: a 3x3 convolution, one row at a time, in plain C.
//
// With rows [band][channel] and a column of padding on both sides, the taps of an output lie in
// three runs of 3 * in_channels bytes, one a line. Two bands and two channels at once: four loads
// feed four multiply-accumulates, and the accumulators stay in registers.
#include "../../requant.h"
#include "layers.h"

#include <string.h>

static unsigned bands_of(unsigned layer) { return layer < 3 ? W2S_MEL : W2S_BANDS; }

static int8_t *line_of(w2s_kernel_state *state, unsigned layer, unsigned line) {
    if (layer == 0) return state->first[line];
    return layer < 3 ? state->wide[layer - 1][line] : state->narrow[layer - 3][line];
}

void w2s_portable_reset(w2s_kernel_state *state, const w2s_model *model) {
    memset(state, 0, sizeof *state);
    for (unsigned layer = 0; layer < W2S_CONVS; layer++) {
        const w2s_layer *conv = &model->conv[layer];
        size_t bytes = (size_t)(bands_of(layer) + 2) * conv->in_channels;
        for (unsigned line = 0; line < 3; line++) {
            memset(line_of(state, layer, line), conv->zero_in, bytes);
        }
    }
}

typedef struct {
    const int8_t *above, *here, *below;
} lines;

static int8_t finish(const w2s_layer *layer, unsigned channel, int32_t sum) {
    int32_t q = w2s_requantise(sum, layer->multiplier[channel], layer->shift[channel]);
    return w2s_clamp_int8(q + layer->zero_out, layer->minimum);
}

// Two output channels at two neighbouring bands; `step` is a band's bytes.
static void block_2x2(const w2s_layer *layer, lines in, unsigned channel, int8_t *out) {
    const unsigned step = layer->in_channels, run = 3 * step;
    const int8_t *w0 = layer->weight + channel * 3 * run, *w1 = w0 + 3 * run;
    const int8_t *line[3] = {in.above, in.here, in.below};
    int32_t a00 = layer->bias[channel], a01 = layer->bias[channel + 1], a10 = a00, a11 = a01;
    for (unsigned ky = 0; ky < 3; ky++) {
        const int8_t *x = line[ky];
        for (unsigned i = 0; i < run; i++) {
            int32_t x0 = x[i], x1 = x[i + step], v0 = w0[i], v1 = w1[i];
            a00 += x0 * v0;
            a01 += x0 * v1;
            a10 += x1 * v0;
            a11 += x1 * v1;
        }
        w0 += run;
        w1 += run;
    }
    out[0] = finish(layer, channel, a00);
    out[1] = finish(layer, channel + 1, a01);
    out[W2S_CHANNELS] = finish(layer, channel, a10);
    out[W2S_CHANNELS + 1] = finish(layer, channel + 1, a11);
}

static int8_t single(const w2s_layer *layer, lines in, unsigned channel) {
    const unsigned run = 3u * layer->in_channels;
    const int8_t *w = layer->weight + channel * 3 * run;
    const int8_t *line[3] = {in.above, in.here, in.below};
    int32_t sum = layer->bias[channel];
    for (unsigned ky = 0; ky < 3; ky++) {
        for (unsigned i = 0; i < run; i++) sum += line[ky][i] * w[i];
        w += run;
    }
    return finish(layer, channel, sum);
}

static void convolve(const w2s_layer *layer, lines in, unsigned bands, int8_t *out) {
    const unsigned step = layer->in_channels;
    for (unsigned band = 0; band < bands; band += 2) {
        bool pair = band + 1 < bands;
        unsigned channel = 0;
        if (pair) {
            for (; channel + 1 < W2S_CHANNELS; channel += 2) {
                block_2x2(layer, in, channel, out + channel);
            }
        }
        for (; channel < W2S_CHANNELS; channel++) {
            out[channel] = single(layer, in, channel);
            if (pair) {
                lines next = {in.above + step, in.here + step, in.below + step};
                out[W2S_CHANNELS + channel] = single(layer, next, channel);
            }
        }
        in.above += 2 * step;
        in.here += 2 * step;
        in.below += 2 * step;
        out += 2 * W2S_CHANNELS;
    }
}

const int8_t *w2s_conv3x3(w2s_kernel_state *state, const w2s_model *model, unsigned layer,
                          const int8_t *row) {
    const w2s_layer *conv = &model->conv[layer];
    const unsigned bands = bands_of(layer), step = conv->in_channels;
    const uint32_t n = state->rows[layer]++;
    int8_t *newest = line_of(state, layer, n % 3) + step;
    if (row != NULL) {
        memcpy(newest, row, (size_t)bands * step);
    } else {
        memset(newest, conv->zero_in, (size_t)bands * step);
    }
    if (n == 0) return NULL;
    // Row n - 1 has both neighbours now. Line (n + 1) % 3 is row n - 2, or still padding.
    lines in = {line_of(state, layer, (n + 1) % 3), line_of(state, layer, (n + 2) % 3),
                line_of(state, layer, n % 3)};
    convolve(conv, in, bands, state->out[layer]);
    return state->out[layer];
}
