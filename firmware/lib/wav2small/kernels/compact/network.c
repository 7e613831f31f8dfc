// SPDX-License-Identifier: Apache-2.0
//
// network.c: the network in batches of four rows, in steps spread evenly over time.
//
// Four rows of l1 fill the wide block; l2 and l3 run over it, and the pool makes two rows of the
// four. Four of those fill the narrow block, over which l4 .. l7, lin and sof run. Each
// convolution's output lags its input by one row, so a block's first row may lie before the
// utterance, and while it drains the last ones behind it: such rows are padding, and are zeroed
// after every layer.
//
// Two wide blocks and a narrow one are the work of eight frames, 16 ms. Done at once it would come
// in bursts, and a block of audio would wait for it. So every frame does one of eight slots of
// about the same length:
//
//     frame % 8    0      1        2           3      4      5      6           7
//     wide         l1 l2           l3 pool l1         l1 l2         l3 pool l1
//     narrow              lin sof              l4 l5         l6 l7              lin sof
//
// with l1 for two rows, and lin and sof for two as well.
// The narrow block that the pool fills in slot 2 is worked on from slot 3 to slot 1 after the next
// turn; what the pool gives in slot 6 waits beside it.
#include "../../flow.h"
#include "layers.h"

enum {
    ROWS = W2S_COMPACT_ROWS,
    WIDE_WORDS = W2S_COMPACT_WORDS(1, W2S_MEL),
    NARROW_WORDS = W2S_COMPACT_WORDS(1, W2S_BANDS),
    INPUT = W2S_MEL + 2,
    RING = W2S_COMPACT_RING,
};

static const w2s_packed_weights *packed(const w2s_context *ctx) { return ctx->model->packed; }

bool w2s_network_runs(const w2s_model *model) { return model->packed != NULL; }

// Steps of the narrow layers: l4 l5, l6 l7, then lin and sof of two rows, twice.
enum { STEPS = 4 };

void w2s_network_reset(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    memset(state, 0, sizeof *state);
    memset(state->input, ctx->model->input_zero + 128, sizeof state->input);
    state->wide_limit = state->narrow_limit = INT32_MAX;
    // The pool's rows follow from those of l3, which lag the wide block by two: the first is -1.
    state->pooled = -1;
    state->step = STEPS;
}

// A row of bytes as the tap wants it: int8[bands][13].
static void to_plain(const uint32_t *row, unsigned bands, int8_t *plain) {
    const uint8_t *x = (const uint8_t *)row, *last = x + 12 * bands;
    for (unsigned band = 0; band < bands; band++) {
        for (unsigned c = 0; c < 12; c++) *plain++ = (int8_t)(*x++ - 128);
        *plain++ = (int8_t)(*last++ - 128);
    }
}

// Zeroes those of `count` rows that lie outside the utterance, and shows the others to the tap.
static void settle(w2s_context *ctx, w2s_tap layer, uint32_t *rows, int32_t count, unsigned bands,
                   int32_t first, int32_t limit) {
    const size_t bytes = W2S_COMPACT_ROW(bands);
    int8_t *plain = (int8_t *)ctx->kernel.slabs;
    for (int32_t i = 0; i < count; i++, rows += bytes / 4) {
        if (first + i < 0 || first + i >= limit) {
            memset(rows, 0, bytes);
            continue;
        }
        if (w2s_tapped(ctx, layer)) to_plain(rows, bands, plain);
        w2s_offer(ctx, layer, plain, (size_t)bands * W2S_CHANNELS);
    }
}

// Convolution `index` of l2 .. l7, over the block in place.
static void convolve(w2s_context *ctx, unsigned index, uint32_t *rows, uint32_t *past) {
    const w2s_dsp_conv *conv = &packed(ctx)->conv[index];
    uint32_t *slabs = ctx->kernel.slabs;
    const bool wide = index < 2;
    uint64_t t = w2s_now(ctx);
    if (conv->winograd == NULL) {
        w2s_compact_direct(conv, wide ? W2S_MEL : W2S_BANDS, rows, past, slabs);
    } else if (wide) {
        w2s_compact_transform_26(rows, slabs, past);
        w2s_compact_winograd_26(slabs, conv->winograd, rows);
    } else {
        w2s_compact_transform_13(rows, slabs, past);
        w2s_compact_winograd_13(slabs, conv->winograd, rows);
    }
    w2s_charge(ctx, (w2s_tap)(W2S_TAP_L1 + 1 + index), t);
}

// lin or sof of two rows of halfwords.
static void dense(const w2s_context *ctx, const uint32_t *pixels, const uint32_t *weights,
                  int8_t out[2 * W2S_WIDE]) {
    if (ctx->model->architecture == W2S_ARCH_72K) {
        w2s_dsp_dense(pixels, weights, out);
        return;
    }
    w2s_dsp_dense_bands(pixels, weights, out);
    w2s_dsp_dense_bands(pixels + W2S_DSP_NARROW / 2, weights, out + W2S_WIDE);
}

// lin, sof and the attention sums of rows `pair`, `pair` + 1 of the narrow block.
static void attend(w2s_context *ctx, int32_t pair) {
    w2s_kernel_state *state = &ctx->kernel;
    const int32_t first = state->narrow_first + pair, limit = state->narrow_limit;
    const uint32_t *row = state->narrow + pair * NARROW_WORDS;
    // Two rows of halfwords, then two of lin and two of sof.
    uint32_t *pixels = state->slabs;
    int8_t *lin = (int8_t *)(pixels + W2S_DSP_NARROW), *sof = lin + 2 * W2S_WIDE;
    if (first + 1 < 0 || first >= limit) return;
    uint64_t t = w2s_now(ctx);
    w2s_compact_widen(row, W2S_BANDS, pixels);
    w2s_compact_widen(row + NARROW_WORDS, W2S_BANDS, pixels + W2S_DSP_NARROW / 2);
    dense(ctx, pixels, packed(ctx)->lin, lin);
    w2s_charge(ctx, W2S_TAP_LIN, t);
    t = w2s_now(ctx);
    dense(ctx, pixels, packed(ctx)->sof, sof);
    w2s_charge(ctx, W2S_TAP_SOF, t);
    for (int32_t i = 0; i < 2; i++) {
        if (first + i < 0 || first + i >= limit) continue;
        w2s_attend(ctx, lin + i * W2S_WIDE, sof + i * W2S_WIDE);
    }
}

// Convolution `index` of l4 .. l7 over the narrow block.
static void narrow_layer(w2s_context *ctx, unsigned index) {
    w2s_kernel_state *state = &ctx->kernel;
    state->narrow_first--;
    convolve(ctx, 2 + index, state->narrow, state->narrow_past[index]);
    settle(ctx, (w2s_tap)(W2S_TAP_L4 + index), state->narrow, ROWS, W2S_BANDS, state->narrow_first,
           state->narrow_limit);
}

// The next step of the narrow layers, if there is one to do.
static void narrow_step(w2s_context *ctx) {
    const uint32_t step = ctx->kernel.step;
    if (step == STEPS) return;
    ctx->kernel.step++;
    if (step < 2) {
        narrow_layer(ctx, 2 * step);
        narrow_layer(ctx, 2 * step + 1);
    } else {
        attend(ctx, 2 * ((int32_t)step - 2));
    }
}

// Convolution `index`, l2 or l3, over the wide block.
static void wide_layer(w2s_context *ctx, unsigned index) {
    w2s_kernel_state *state = &ctx->kernel;
    state->wide_first--;
    convolve(ctx, index, state->wide, state->wide_past[index]);
    settle(ctx, (w2s_tap)(W2S_TAP_L1 + 1 + index), state->wide, ROWS, W2S_MEL, state->wide_first,
           state->wide_limit);
}

// Two rows from the wide block. The narrow block is full with the second two.
static void pool(w2s_context *ctx, bool second) {
    w2s_kernel_state *state = &ctx->kernel;
    uint32_t *out = second ? state->narrow + 2 * NARROW_WORDS : state->pool_out;
    uint64_t t = w2s_now(ctx);
    w2s_compact_pool(state->wide, state->pool_above, out);
    if (second) memcpy(state->narrow, state->pool_out, sizeof state->pool_out);
    w2s_charge(ctx, W2S_TAP_POOL, t);
    settle(ctx, W2S_TAP_POOL, out, 2, W2S_BANDS, state->pooled, state->narrow_limit);
    state->pooled += 2;
    if (!second) return;
    state->narrow_first = state->pooled - ROWS;
    state->step = 0;
}

// l1 of row `row`, from the ring of inputs, to row `slot` of the wide block.
static void first_layer(w2s_context *ctx, uint32_t row, unsigned slot) {
    w2s_kernel_state *state = &ctx->kernel;
    uint32_t *out = state->wide + slot * WIDE_WORDS;
    const uint8_t *above = state->input[(row + RING - 1) % RING], *here = state->input[row % RING],
                  *below = state->input[(row + 1) % RING];
    uint32_t words[2 * INPUT];
    uint64_t t = w2s_now(ctx);
    uint32_t left = below[0];
    for (unsigned x = 0; x < INPUT; x++) {
        uint32_t right = x + 1 < INPUT ? below[x + 1] : 0;
        words[x] = above[x] | (uint32_t)here[x] << 16;
        words[INPUT + x] = left | right << 16;
        left = right;
    }
    w2s_dsp_first(words, packed(ctx)->first, state->slabs);
    w2s_compact_narrow(state->slabs, W2S_MEL, out);
    w2s_charge(ctx, W2S_TAP_L1, t);
    settle(ctx, W2S_TAP_L1, out, 1, W2S_MEL, (int32_t)row, state->wide_limit);
}

// `row` NULL: padding after the last one.
static void input_row(w2s_context *ctx, const int8_t *row) {
    w2s_kernel_state *state = &ctx->kernel;
    const uint32_t frame = state->frames++;
    uint8_t *line = state->input[frame % RING];
    for (unsigned band = 0; band < W2S_MEL; band++) {
        line[band + 1] = (uint8_t)((row != NULL ? row[band] : ctx->model->input_zero) + 128);
    }
    if (frame % 2 != 0) {
        narrow_step(ctx);
    } else if (frame % ROWS == 2) {
        if (frame > ROWS) {
            wide_layer(ctx, 1);
            pool(ctx, frame % (2 * ROWS) == 2);
        }
        first_layer(ctx, frame - 2, 0);
        first_layer(ctx, frame - 1, 1);
    } else if (frame > 0) {
        first_layer(ctx, frame - 2, 2);
        first_layer(ctx, frame - 1, 3);
        state->wide_first = (int32_t)frame - ROWS;
        wide_layer(ctx, 0);
    }
}

void w2s_network_row(w2s_context *ctx, const int8_t row[W2S_MEL]) { input_row(ctx, row); }

void w2s_network_finish(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    const int32_t rows = (int32_t)state->frames;
    state->wide_limit = rows;
    state->narrow_limit = (rows + 1) / 2;
    while (w2s_rows(ctx, W2S_TAP_LIN) < (uint32_t)state->narrow_limit) input_row(ctx, NULL);
}
