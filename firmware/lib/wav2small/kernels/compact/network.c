// SPDX-License-Identifier: Apache-2.0
//
// network.c: the network in batches of four rows.
//
// l1 runs row by row and fills the wide block. When it holds four rows, l2 and l3 run over it, the
// pool makes two rows of the four and appends them to the narrow block; when that holds four, l4
// .. l7 and lin/sof run. Each convolution's output lags its input by one row, so a block's first
// row may lie before the utterance, and while it drains the last ones behind it: such rows are
// padding, and are zeroed after every layer.
#include "../../flow.h"
#include "layers.h"

enum {
    ROWS = W2S_COMPACT_ROWS,
    WIDE_WORDS = W2S_COMPACT_WORDS(1, W2S_MEL),
    NARROW_WORDS = W2S_COMPACT_WORDS(1, W2S_BANDS),
    INPUT = W2S_MEL + 2,
};

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
    memset(state->input, ctx->model->input_zero + 128, sizeof state->input);
    begin(&state->wide_block, 0);
    // The pool's rows follow from those of l3, which lag the wide block by two: the first is -1.
    begin(&state->narrow_block, -1);
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

static void attend(w2s_context *ctx, int32_t first, int32_t limit) {
    const uint32_t *row = ctx->kernel.narrow;
    // Two rows of halfwords, then two of lin and two of sof.
    uint32_t *pixels = ctx->kernel.slabs;
    int8_t *lin = (int8_t *)(pixels + W2S_DSP_NARROW), *sof = lin + 2 * W2S_WIDE;
    for (int32_t i = 0; i < ROWS; i += 2, row += 2 * NARROW_WORDS) {
        if (first + i + 1 < 0 || first + i >= limit) continue;
        uint64_t t = w2s_now(ctx);
        w2s_compact_widen(row, W2S_BANDS, pixels);
        w2s_compact_widen(row + NARROW_WORDS, W2S_BANDS, pixels + W2S_DSP_NARROW / 2);
        dense(ctx, pixels, packed(ctx)->lin, lin);
        w2s_charge(ctx, W2S_TAP_LIN, t);
        t = w2s_now(ctx);
        dense(ctx, pixels, packed(ctx)->sof, sof);
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
    uint32_t *out = state->narrow + narrow->filled * NARROW_WORDS;
    w2s_compact_pool(state->wide, state->pool_above, out);
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
    uint32_t *out = state->wide + state->wide_block.filled * WIDE_WORDS;
    const uint8_t *above = state->input[(row + 2) % 3], *here = state->input[row % 3],
                  *below = state->input[(row + 1) % 3];
    uint32_t words[2 * INPUT];
    uint64_t t = w2s_now(ctx);
    for (unsigned x = 0; x < INPUT; x++) {
        uint32_t right = x < INPUT - 1 ? below[x + 1] : 0;
        words[x] = above[x] | (uint32_t)here[x] << 16;
        words[INPUT + x] = below[x] | right << 16;
    }
    w2s_dsp_first(words, packed(ctx)->first, state->slabs);
    w2s_compact_narrow(state->slabs, W2S_MEL, out);
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
    uint8_t *line = state->input[n % 3];
    for (unsigned band = 0; band < W2S_MEL; band++) {
        line[band + 1] = (uint8_t)((row != NULL ? row[band] : ctx->model->input_zero) + 128);
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
        memset(state->wide + state->wide_block.filled * WIDE_WORDS, 0,
               WIDE_WORDS * sizeof *state->wide);
        take(ctx);
    }
}
