// SPDX-License-Identifier: Apache-2.0
//
// network.c: the network in batches of six rows, in steps spread evenly over time.
//
// Six rows of l1 fill the wide block; l2 and l3 run over it, and the pool makes three rows of the
// six. Six of those fill a narrow block, over which l4 .. l7, lin and sof run. Each convolution's
// output lags its input by one row, so a block's first row may lie before the utterance, and while
// it drains the last ones behind it: such rows are padding, and are zeroed after every layer.
//
// A pair of wide blocks and a narrow one are the work of twelve frames, 24 ms. Done at once it
// would come in bursts, and a block of audio would wait for it. So every second frame does one of
// six slots of about the same length:
//
//     slot     0          1        2           3           4        5
//     wide     l1 l2      l3 pool              l1 l2       l3 pool
//     narrow   l7         lin      sof lin sof  lin        sof      l4 l5 l6
//
// with lin and sof three times, for two rows each. The narrow block that slot 4 fills is worked on
// from slot 5 on; meanwhile the pool fills the other one.
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

// Steps of the narrow layers: four convolutions, then lin and sof of two rows, three times.
enum { CONVOLUTIONS = 4, STEPS = CONVOLUTIONS + ROWS };

void w2s_network_reset(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    memset(state, 0, sizeof *state);
    const int16_t zero = (int16_t)(ctx->model->input_zero + 128);
    for (unsigned line = 0; line < 3; line++) {
        for (unsigned i = 0; i < W2S_MEL + 2; i++) state->input[line][i] = zero;
    }
    begin(&state->wide_block, 0);
    // The pool's rows follow from those of l3, which lag the wide block by two: the first is -1.
    begin(&state->narrow_block[0], -1);
    begin(&state->narrow_block[1], -1 + ROWS);
    state->step = STEPS;
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

static void dense(w2s_context *ctx, w2s_tap layer, const uint32_t *rows, int8_t *out) {
    const w2s_packed_weights *weights = packed(ctx);
    const uint32_t *words = layer == W2S_TAP_LIN ? weights->lin : weights->sof;
    uint64_t t = w2s_now(ctx);
    if (ctx->model->architecture == W2S_ARCH_72K) {
        w2s_dsp_dense(rows, words, out);
    } else {
        w2s_dsp_dense_bands(rows, words, out);
        w2s_dsp_dense_bands(rows + W2S_DSP_NARROW / 2, words, out + W2S_WIDE);
    }
    w2s_charge(ctx, layer, t);
}

// lin, or sof and the attention sums, of two rows of l7; `first` is the number of the first one.
static void attend(w2s_context *ctx, w2s_tap layer, const uint32_t *rows, int32_t first,
                   int32_t limit) {
    int8_t *lin = ctx->kernel.lin, sof[2 * W2S_WIDE];
    if (first + 1 < 0 || first >= limit) return;
    if (layer == W2S_TAP_LIN) {
        dense(ctx, layer, rows, lin);
        return;
    }
    dense(ctx, layer, rows, sof);
    for (int32_t i = 0; i < 2; i++) {
        if (first + i < 0 || first + i >= limit) continue;
        w2s_attend(ctx, lin + i * W2S_WIDE, sof + i * W2S_WIDE);
    }
}

// The next `count` steps of the narrow layers, if there are any to do.
static void narrow_steps(w2s_context *ctx, unsigned count) {
    w2s_kernel_state *state = &ctx->kernel;
    w2s_dsp_block *block = &state->narrow_block[1 - state->filling];
    uint32_t *rows = state->narrow[1 - state->filling];
    for (; count > 0 && state->step < STEPS; count--) {
        const unsigned step = state->step++;
        if (step < CONVOLUTIONS) {
            block->next--;
            convolve(ctx, 2 + step, rows, state->narrow_past[step]);
            settle(ctx, (w2s_tap)(W2S_TAP_L4 + step), rows, ROWS, W2S_BANDS, block->next,
                   block->limit);
            continue;
        }
        const unsigned pair = (step - CONVOLUTIONS) / 2 * 2;
        attend(ctx, step % 2 == 0 ? W2S_TAP_LIN : W2S_TAP_SOF, rows + pair * (W2S_DSP_NARROW / 2),
               block->next + (int32_t)pair, block->limit);
    }
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

// Convolution `index`, l2 or l3, over the wide block.
static void wide_layer(w2s_context *ctx, unsigned index) {
    w2s_kernel_state *state = &ctx->kernel;
    w2s_dsp_block *block = &state->wide_block;
    block->next--;
    convolve(ctx, index, state->wide, state->wide_past[index]);
    settle(ctx, (w2s_tap)(W2S_TAP_L1 + 1 + index), state->wide, ROWS, W2S_MEL, block->next,
           block->limit);
}

// The pool, from the wide block to the narrow one that is being filled.
static void pool_block(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    w2s_dsp_block *wide = &state->wide_block, *narrow = &state->narrow_block[state->filling];
    uint32_t *out = state->narrow[state->filling] + narrow->filled * (W2S_DSP_NARROW / 2);
    uint64_t t = w2s_now(ctx);
    pool(ctx, state->wide, out);
    w2s_charge(ctx, W2S_TAP_POOL, t);
    settle(ctx, W2S_TAP_POOL, out, ROWS / 2, W2S_BANDS, narrow->next + (int32_t)narrow->filled,
           narrow->limit);
    narrow->filled += ROWS / 2;
    wide->next += 2 + ROWS;
    wide->filled = 0;
}

// The full narrow block is the next to work on, and the one that is done the next to fill.
static void swap_narrow(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    if (state->narrow_block[state->filling].filled < ROWS) return;
    state->filling = 1 - state->filling;
    w2s_dsp_block *done = &state->narrow_block[state->filling];
    if (state->step == STEPS && done->filled == ROWS) done->next += CONVOLUTIONS + 2 * ROWS;
    done->filled = 0;
    state->step = 0;
}

// Row `row` of l1 from the ring of inputs, into the next slot of the wide block.
static void first_layer(w2s_context *ctx, uint32_t row) {
    w2s_kernel_state *state = &ctx->kernel;
    uint32_t *out = state->wide + state->wide_block.filled++ * (W2S_DSP_WIDE / 2);
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
    settle(ctx, W2S_TAP_L1, out, 1, W2S_MEL, (int32_t)row, state->wide_block.limit);
}

// l1 over the rows that wait: six, and at the beginning one more, without an output of its own.
static void first_rows(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    for (unsigned i = 0; i < state->waiting_rows; i++) {
        const uint32_t n = state->input_rows++;
        int16_t *line = state->input[n % 3];
        for (unsigned band = 0; band < W2S_MEL; band++) {
            line[band + 1] = (int16_t)(state->waiting[i][band] + 128);
        }
        if (n > 0) first_layer(ctx, n - 1);
    }
    state->waiting_rows = 0;
}

static void do_slot(w2s_context *ctx, unsigned slot) {
    static const uint8_t narrow[6] = {1, 1, 3, 1, 1, 3};
    if (slot == 5) swap_narrow(ctx);
    narrow_steps(ctx, narrow[slot]);
    if (slot % 3 == 0) {
        first_rows(ctx);
        wide_layer(ctx, 0);
    } else if (slot % 3 == 1) {
        wide_layer(ctx, 1);
        pool_block(ctx);
    }
}

// `row` NULL: padding after the last one.
static void input_row(w2s_context *ctx, const int8_t *row) {
    w2s_kernel_state *state = &ctx->kernel;
    int8_t *slot = state->waiting[state->waiting_rows++];
    if (row != NULL) {
        memcpy(slot, row, W2S_MEL);
    } else {
        memset(slot, ctx->model->input_zero, W2S_MEL);
    }
    // Six rows of l1 need a seventh of its input: that is when the first slot comes.
    const uint32_t frame = state->frames++;
    if (frame >= ROWS && frame % 2 == 0) do_slot(ctx, (frame - ROWS) / 2 % 6);
}

void w2s_network_row(w2s_context *ctx, const int8_t row[W2S_MEL]) { input_row(ctx, row); }

void w2s_network_finish(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    const int32_t rows = (int32_t)w2s_rows(ctx, W2S_TAP_INPUT), pooled = (rows + 1) / 2;
    state->wide_block.limit = rows;
    state->narrow_block[0].limit = pooled;
    state->narrow_block[1].limit = pooled;
    while (w2s_rows(ctx, W2S_TAP_LIN) < (uint32_t)pooled) input_row(ctx, NULL);
}
