// SPDX-License-Identifier: Apache-2.0
//
// network.c: the network in batches of four rows.
//
// Every convolution keeps the last two rows of its input before the four new ones and gives the
// four rows in between: they lag by one row. So a batch of l1 that took rows 4 k .. 4 k + 3 gives
// rows 4 k - 1 .. 4 k + 2, l3 4 k - 3 .. 4 k; of these the pool makes rows 2 k - 2, 2 k - 1. Two
// batches of the pool are one of l4 .. l7, lin and sof. Rows before the first and after the last
// are padding: a layer has to write them, as it writes four at a time, and they are overwritten.
#include "../../flow.h"
#include "layers.h"

#include <arm_mve.h>
#include <string.h>

enum { OLD = W2S_MVE_LINES - W2S_MVE_BATCH };
static const w2s_tap L7 = (w2s_tap)(W2S_TAP_L4 + 3);

static const w2s_packed_weights *packed(const w2s_context *ctx) { return ctx->model->packed; }

bool w2s_network_runs(const w2s_model *model) {
    const w2s_packed_weights *weights = model->packed;
    if (weights == NULL) return false;
    bool dense = weights->lin_pairs != NULL && weights->sof_pairs != NULL;
    bool points = weights->lin_points != NULL && weights->sof_points != NULL;
    return model->architecture == W2S_ARCH_72K ? dense : points;
}

// Padding is real 0 everywhere: the input's zero point, and -128 after every ReLU.
void w2s_network_reset(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    memset(state->first, ctx->model->input_zero, sizeof state->first);
    memset(state->wide, -128, sizeof state->wide);
    memset(state->narrow, -128, sizeof state->narrow);
    memset(state->dense, 0, sizeof state->dense);
    state->rows = 0;
    state->limit = INT64_MAX;
    state->answers = 0;
}

static int64_t limit_after_pool(const w2s_kernel_state *state) {
    return state->limit == INT64_MAX ? INT64_MAX : (state->limit + 1) / 2;
}

/// Rows in columns ///

static void fill_line(w2s_mve_column *columns, unsigned bands, unsigned line) {
    const int8x16_t zero = vdupq_n_s8(-128);
    for (unsigned band = 0; band < bands; band++) vstrbq_s8(columns[band][line], zero);
}

// Rows `first` .. of a layer, in `count` lines: shows them, or makes padding of those that are
// not between 0 and `limit`. `columns` is the first band, not the padding before it.
static void settle(w2s_context *ctx, w2s_tap tap, w2s_mve_column *columns, unsigned bands,
                   unsigned line, unsigned count, int64_t first, int64_t limit) {
    for (unsigned i = 0; i < count; i++, first++) {
        if (first < 0 || first >= limit) {
            fill_line(columns, bands, line + i);
            continue;
        }
        int8_t row[W2S_MEL * W2S_CHANNELS];
        if (w2s_tapped(ctx, tap)) {
            for (unsigned band = 0; band < bands; band++) {
                memcpy(row + band * W2S_CHANNELS, columns[band][line + i], W2S_CHANNELS);
            }
        }
        w2s_offer(ctx, tap, row, bands * W2S_CHANNELS);
    }
}

// The two newest rows become the oldest.
static void age(w2s_mve_column *columns, unsigned bands) {
    for (unsigned band = 0; band < bands; band++) {
        vstrbq_s8(columns[band][0], vldrbq_s8(columns[band][W2S_MVE_BATCH]));
        vstrbq_s8(columns[band][1], vldrbq_s8(columns[band][W2S_MVE_BATCH + 1]));
    }
}

/// Layers ///

// Convolution l2 .. l7 from `in` to the columns of the next layer.
static void convolve(w2s_context *ctx, unsigned layer, w2s_mve_column *in, w2s_mve_column *next,
                     unsigned bands, int64_t first, int64_t limit) {
    const w2s_tap tap = (w2s_tap)(W2S_TAP_L1 + layer);
    uint64_t t = w2s_now(ctx);
    w2s_mve_conv3x3(packed(ctx)->conv[layer - 1], (const w2s_mve_column *)in, bands, next[1][OLD],
                    W2S_MVE_COLUMN, W2S_MVE_LANES);
    age(in + 1, bands);
    w2s_charge(ctx, tap, t);
    settle(ctx, tap, next + 1, bands, OLD, W2S_MVE_BATCH, first, limit);
}

static void attend(w2s_context *ctx, int64_t first, int64_t limit) {
    const w2s_packed_weights *weights = packed(ctx);
    w2s_kernel_state *state = &ctx->kernel;
    const int8_t(*in)[W2S_MVE_ROW] = (const int8_t(*)[W2S_MVE_ROW])state->dense;
    int8_t lin[W2S_MVE_BATCH][W2S_MVE_ROW], sof[W2S_MVE_BATCH][W2S_MVE_ROW];
    uint64_t t = w2s_now(ctx);
    if (ctx->model->architecture == W2S_ARCH_72K) {
        w2s_mve_dense(weights->lin_pairs, in, lin);
        w2s_charge(ctx, W2S_TAP_LIN, t);
        t = w2s_now(ctx);
        w2s_mve_dense(weights->sof_pairs, in, sof);
    } else {
        w2s_mve_pointwise(weights->lin_points, in, lin);
        w2s_charge(ctx, W2S_TAP_LIN, t);
        t = w2s_now(ctx);
        w2s_mve_pointwise(weights->sof_points, in, sof);
    }
    w2s_charge(ctx, W2S_TAP_SOF, t);
    for (unsigned i = 0; i < W2S_MVE_BATCH; i++, first++) {
        if (first < 0 || first >= limit) continue;
        w2s_attend(ctx, lin[i], sof[i]);
        state->answers++;
    }
}

// l4 .. l7, lin and sof; `first` is the row of the pool in line 2 of l4's input.
static void narrow_batch(w2s_context *ctx, int64_t first) {
    w2s_kernel_state *state = &ctx->kernel;
    const int64_t limit = limit_after_pool(state);
    for (unsigned i = 0; i < 3; i++) {
        first--;
        convolve(ctx, 3 + i, state->narrow[i], state->narrow[i + 1], W2S_BANDS, first, limit);
    }
    first--;
    uint64_t t = w2s_now(ctx);
    w2s_mve_conv3x3(packed(ctx)->conv[5], (const w2s_mve_column *)state->narrow[3], W2S_BANDS,
                    state->dense[0], W2S_CHANNELS, W2S_MVE_ROW);
    age(state->narrow[3] + 1, W2S_BANDS);
    w2s_charge(ctx, L7, t);
    for (unsigned i = 0; i < W2S_MVE_BATCH; i++) {
        int64_t row = first + i;
        if (row >= 0 && row < limit) w2s_offer(ctx, L7, state->dense[i], W2S_WIDE);
    }
    attend(ctx, first, limit);
}

// l1 .. pool; `first` is the first of the four new rows of the input.
static void wide_batch(w2s_context *ctx, int64_t first) {
    w2s_kernel_state *state = &ctx->kernel;
    uint64_t t = w2s_now(ctx);
    w2s_mve_conv_first(packed(ctx)->first, (const int8_t(*)[W2S_MEL + 2][4]) state->first,
                       state->wide[0] + 1);
    w2s_mve_first_age(state->first);
    w2s_charge(ctx, W2S_TAP_L1, t);
    first--;
    settle(ctx, W2S_TAP_L1, state->wide[0] + 1, W2S_MEL, OLD, W2S_MVE_BATCH, first, state->limit);
    for (unsigned i = 0; i < 2; i++) {
        first--;
        convolve(ctx, 1 + i, state->wide[i], state->wide[i + 1], W2S_MEL, first, state->limit);
    }
    // Even batches of the pool are the first half of a batch of l4, odd ones the second.
    const int64_t pooled = (first - 1) / 2;
    const bool complete = state->rows / W2S_MVE_BATCH % 2 == 0;
    const unsigned line = complete ? OLD + 2 : OLD;
    t = w2s_now(ctx);
    w2s_mve_maxpool((const w2s_mve_column *)state->wide[2], state->narrow[0] + 1, line);
    age(state->wide[2] + 1, W2S_MEL);
    w2s_charge(ctx, W2S_TAP_POOL, t);
    settle(ctx, W2S_TAP_POOL, state->narrow[0] + 1, W2S_BANDS, line, 2, pooled,
           limit_after_pool(state));
    if (complete) narrow_batch(ctx, pooled - 2);
}

/// Interface ///

static void push(w2s_context *ctx, const int8_t row[W2S_MEL]) {
    w2s_kernel_state *state = &ctx->kernel;
    w2s_mve_first_row(state->first, (unsigned)(state->rows % W2S_MVE_BATCH), row);
    state->rows++;
    if (state->rows % W2S_MVE_BATCH == 0) wide_batch(ctx, state->rows - W2S_MVE_BATCH);
}

void w2s_network_row(w2s_context *ctx, const int8_t row[W2S_MEL]) { push(ctx, row); }

void w2s_network_finish(w2s_context *ctx) {
    w2s_kernel_state *state = &ctx->kernel;
    int8_t padding[W2S_MEL];
    memset(padding, ctx->model->input_zero, sizeof padding);
    state->limit = state->rows;
    while (state->answers < limit_after_pool(state)) push(ctx, padding);
}
