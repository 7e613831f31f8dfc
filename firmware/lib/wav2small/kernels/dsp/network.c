// SPDX-License-Identifier: Apache-2.0
//
// network.c: the network in batches of six rows.
//
// l1 runs row by row and fills the wide block. When it holds six rows, l2 and l3 run over it, the
// pool makes three rows of the six and appends them to the narrow block; when that holds six, l4
// .. l7 and lin/sof run. Each convolution's output lags its input by one row, so a block's first
// row may lie before the utterance, and while it drains the last ones behind it: such rows are
// padding, and are zeroed after every layer.
#include "../../flow.h"
#include "layers.h"
#include "simd.h"

#include <string.h>

enum { PIXEL = W2S_DSP_PIXEL, PIXEL_WORDS = PIXEL / 2, ROWS = W2S_DSP_ROWS };

static const w2s_packed_weights *packed(const w2s_context *ctx) { return ctx->model->packed; }

static void begin(w2s_dsp_block *block, int32_t first) {
    block->next = first;
    block->filled = 0;
    block->limit = INT32_MAX;
}

bool w2s_network_runs(const w2s_model *model) { return model->packed != NULL; }

void w2s_network_reset(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    memset(state, 0, sizeof *state);
    const int16_t zero = (int16_t)(ctx->model->input_zero + 128);
    for (unsigned line = 0; line < 3; line++) {
        for (unsigned i = 0; i < W2S_MEL + 2; i++) state->input[line][i] = zero;
    }
    begin(&state->wide_block, 0);
    // The pool's rows follow from those of l3, which lag the wide block by two: the first is -1.
    begin(&state->narrow_block, -1);
}

// Zeroes those of `count` rows that lie outside the utterance, and shows the others to the tap.
static void settle(w2s_context *ctx, w2s_tap layer, uint32_t *rows, int32_t count, unsigned bands,
                   int32_t first, int32_t limit) {
    const size_t words = (size_t)(bands + 2) * PIXEL / 2;
    for (int32_t i = 0; i < count; i++, rows += words) {
        if (first + i < 0 || first + i >= limit) {
            memset(rows, 0, words * sizeof *rows);
            continue;
        }
        int8_t plain[W2S_MEL * W2S_CHANNELS];
        if (w2s_tapped(ctx, layer)) {
            for (unsigned band = 0, j = 0; band < bands; band++) {
                for (unsigned c = 0; c < W2S_CHANNELS; c++) {
                    plain[j++] = (int8_t)(w2s_dsp_get(rows, (band + 1) * PIXEL + c) - 128);
                }
            }
        }
        w2s_offer(ctx, layer, plain, (size_t)bands * W2S_CHANNELS);
    }
}

// Slot 13 of every pixel repeats channel 12 of the pixel to its right; the last one has none.
static void repeat_channel_12(uint32_t *row, unsigned bands) {
    for (unsigned p = 0; p < bands; p++) {
        w2s_dsp_set(row, p * PIXEL + 13, w2s_dsp_get(row, (p + 1) * PIXEL + 12));
    }
    w2s_dsp_set(row, bands * PIXEL + 13, 0);
}

// Convolution `index` of l2 .. l7, over the block in place.
static void convolve(w2s_context *ctx, unsigned index, uint32_t *rows, uint32_t *past) {
    const w2s_dsp_conv *conv = &packed(ctx)->conv[index];
    uint32_t *slabs = ctx->kernel.slabs;
    const w2s_tap tap = (w2s_tap)(W2S_TAP_L1 + 1 + index);
    const bool wide = index < 2;
    uint64_t t = w2s_now(ctx);
    if (conv->winograd == NULL) {
        w2s_dsp_direct(conv, wide ? W2S_MEL : W2S_BANDS, rows, past, slabs);
    } else if (wide) {
        w2s_dsp_transform_26(rows, slabs, past);
        w2s_dsp_winograd_26(slabs, conv->winograd, rows);
    } else {
        w2s_dsp_transform_13(rows, slabs, past);
        w2s_dsp_winograd_13(slabs, conv->winograd, rows);
    }
    w2s_charge(ctx, tap, t);
}

static void attend(w2s_context *ctx, int32_t first, int32_t limit) {
    const uint32_t *row = ctx->kernel.narrow;
    const unsigned words = W2S_DSP_NARROW / 2;
    int8_t lin[2 * W2S_WIDE], sof[2 * W2S_WIDE];
    for (int32_t i = 0; i < ROWS; i += 2, row += 2 * words) {
        if (first + i + 1 < 0 || first + i >= limit) continue;
        uint64_t t = w2s_now(ctx);
        if (ctx->model->architecture == W2S_ARCH_72K) {
            w2s_dsp_dense(row, packed(ctx)->lin, lin);
            w2s_charge(ctx, W2S_TAP_LIN, t);
            t = w2s_now(ctx);
            w2s_dsp_dense(row, packed(ctx)->sof, sof);
        } else {
            w2s_dsp_dense_bands(row, packed(ctx)->lin, lin);
            w2s_dsp_dense_bands(row + words, packed(ctx)->lin, lin + W2S_WIDE);
            w2s_charge(ctx, W2S_TAP_LIN, t);
            t = w2s_now(ctx);
            w2s_dsp_dense_bands(row, packed(ctx)->sof, sof);
            w2s_dsp_dense_bands(row + words, packed(ctx)->sof, sof + W2S_WIDE);
        }
        w2s_charge(ctx, W2S_TAP_SOF, t);
        for (int32_t j = 0; j < 2; j++) {
            if (first + i + j >= 0 && first + i + j < limit) {
                w2s_attend(ctx, lin + j * W2S_WIDE, sof + j * W2S_WIDE);
            }
        }
    }
}

static void narrow_batch(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    w2s_dsp_block *block = &state->narrow_block;
    for (unsigned i = 0; i < 4; i++) {
        block->next--;
        convolve(ctx, 2 + i, state->narrow, state->narrow_past[i]);
        settle(ctx, (w2s_tap)(W2S_TAP_L4 + i), state->narrow, ROWS, W2S_BANDS, block->next,
               block->limit);
    }
    attend(ctx, block->next, block->limit);
    block->next += 4 + ROWS;
    block->filled = 0;
}

// Maximum over bands 2b-1, 2b, 2b+1 of a row of l3, from the pixel of the first on (the padding
// pixel is band -1): word `c` of it.
static uint32_t largest(const uint32_t *pixel, unsigned c) {
    return w2s_max16(w2s_max16(pixel[c], pixel[c + PIXEL_WORDS]), pixel[c + 2 * PIXEL_WORDS]);
}

// Rows 2t-1, 2t, 2t+1 of l3 to row t: three rows of six. The rows of the utterance are not negative
// and padding is 0, so it never wins.
static void pool(w2s_context *ctx, const uint32_t *rows, uint32_t *out) {
    const unsigned row = W2S_DSP_WIDE / 2;
    for (unsigned i = 0; i < ROWS; i += 2, rows += 2 * row, out += W2S_DSP_NARROW / 2) {
        uint32_t *above = ctx->kernel.pool_above, *to = out + PIXEL_WORDS;
        const uint32_t *pixel = rows;
        for (unsigned band = 0; band < W2S_BANDS; band++, pixel += 2 * PIXEL_WORDS) {
            for (unsigned c = 0; c < PIXEL_WORDS; c++) {
                uint32_t odd = largest(pixel + row, c);
                *to++ = w2s_max16(w2s_max16(largest(pixel, c), odd), *above);
                *above++ = odd;
            }
        }
        repeat_channel_12(out, W2S_BANDS);
    }
}

static void wide_batch(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    w2s_dsp_block *wide = &state->wide_block, *narrow = &state->narrow_block;
    for (unsigned i = 0; i < 2; i++) {
        wide->next--;
        convolve(ctx, i, state->wide, state->wide_past[i]);
        settle(ctx, (w2s_tap)(W2S_TAP_L1 + 1 + i), state->wide, ROWS, W2S_MEL, wide->next,
               wide->limit);
    }
    uint64_t t = w2s_now(ctx);
    uint32_t *out = state->narrow + narrow->filled * (W2S_DSP_NARROW / 2);
    pool(ctx, state->wide, out);
    w2s_charge(ctx, W2S_TAP_POOL, t);
    settle(ctx, W2S_TAP_POOL, out, ROWS / 2, W2S_BANDS, narrow->next + (int32_t)narrow->filled,
           narrow->limit);
    narrow->filled += ROWS / 2;
    wide->next += 2 + ROWS;
    wide->filled = 0;
    if (narrow->filled == ROWS) narrow_batch(ctx);
}

// Row `row` of l1 from the ring of inputs, into the next slot of the wide block.
static void first_layer(w2s_context *ctx, uint32_t row) {
    w2s_kernel_state *state = &ctx->kernel;
    uint32_t *out = state->wide + state->wide_block.filled * (W2S_DSP_WIDE / 2);
    const int16_t *above = state->input[(row + 2) % 3], *here = state->input[row % 3],
                  *below = state->input[(row + 1) % 3];
    uint32_t words[2 * (W2S_MEL + 2)];
    uint64_t t = w2s_now(ctx);
    for (unsigned x = 0; x < W2S_MEL + 2; x++) {
        uint32_t right = x < W2S_MEL + 1 ? (uint16_t)below[x + 1] : 0;
        words[x] = (uint16_t)above[x] | (uint32_t)(uint16_t)here[x] << 16;
        words[W2S_MEL + 2 + x] = (uint16_t)below[x] | right << 16;
    }
    w2s_dsp_first(words, packed(ctx)->first, out);
    repeat_channel_12(out, W2S_MEL);
    w2s_charge(ctx, W2S_TAP_L1, t);
    settle(ctx, W2S_TAP_L1, out, 1, W2S_MEL, (int32_t)row, INT32_MAX);
}

static void take(w2s_context *ctx) {
    if (++ctx->kernel.wide_block.filled == ROWS) wide_batch(ctx);
}

// `row` NULL: the padding after the last one.
static void input_row(w2s_context *ctx, const int8_t *row) {
    w2s_kernel_state *state = &ctx->kernel;
    const uint32_t n = state->input_rows++;
    int16_t *line = state->input[n % 3];
    for (unsigned band = 0; band < W2S_MEL; band++) {
        line[band + 1] = (int16_t)((row != NULL ? row[band] : ctx->model->input_zero) + 128);
    }
    if (n == 0) return;
    first_layer(ctx, n - 1);
    take(ctx);
}

void w2s_network_row(w2s_context *ctx, const int8_t row[W2S_MEL]) { input_row(ctx, row); }

void w2s_network_finish(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    const int32_t rows = (int32_t)state->input_rows;
    state->wide_block.limit = rows;
    state->narrow_block.limit = (rows + 1) / 2;
    input_row(ctx, NULL);
    while (w2s_rows(ctx, W2S_TAP_LIN) < (uint32_t)state->narrow_block.limit) {
        uint32_t *slot = state->wide + state->wide_block.filled * (W2S_DSP_WIDE / 2);
        memset(slot, 0, W2S_DSP_WIDE / 2 * sizeof *slot);
        take(ctx);
    }
}
