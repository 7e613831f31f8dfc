// SPDX-License-Identifier: Apache-2.0
//
// wav2small.c: the flow. Samples fill frames, frames become log-mel rows, rows pass from layer to
// layer as soon as they are complete, and end in the attention sums.
#include "wav2small.h"

#include "attention.h"
#include "flow.h"
#include "logmel.h"
#include "norm.h"

#include <string.h>

enum { IDLE = 0, RUNNING = 1, FINISHED = 2 };

// The log-mel buffer holds half decibels above -32 dB of a sample step squared; 0 is "below".
#define BUFFER_ROWS (W2S_BUFFER_SECONDS * (W2S_SAMPLE_RATE / W2S_HOP))
#define BUFFER_STEP (W2S_DB / 2)
#define BUFFER_LEAST (-32 * W2S_DB)

/// What the kernels call (flow.h) ///

bool w2s_tapped(const w2s_context *ctx, w2s_tap layer) {
    return ctx->tap != NULL && (ctx->tap_mask >> layer & 1u) != 0;
}

void w2s_offer(w2s_context *ctx, w2s_tap layer, const void *data, size_t bytes) {
    if (w2s_tapped(ctx, layer)) ctx->tap(ctx->tap_user, layer, ctx->rows[layer], data, bytes);
    ctx->rows[layer]++;
}

uint64_t w2s_now(const w2s_context *ctx) { return ctx->clock != NULL ? ctx->clock() : 0; }

void w2s_charge(w2s_context *ctx, w2s_tap layer, uint64_t since) {
    ctx->ticks[layer] += w2s_now(ctx) - since;
}

static void end_segment(w2s_context *ctx) {
    if (ctx->rows[W2S_TAP_LIN] <= W2S_MAX_ROWS) {
        w2s_sums_add(&ctx->sums, ctx->model, &ctx->segments[ctx->segment % W2S_SEGMENTS]);
    }
    ctx->segment++;
    ctx->segment_rows = 0;
    w2s_segment_reset(&ctx->segments[ctx->segment % W2S_SEGMENTS]);
}

void w2s_attend(w2s_context *ctx, const int8_t lin[W2S_WIDE], const int8_t sof[W2S_WIDE]) {
    w2s_offer(ctx, W2S_TAP_LIN, lin, W2S_WIDE);
    w2s_offer(ctx, W2S_TAP_SOF, sof, W2S_WIDE);
    uint64_t t = w2s_now(ctx);
    w2s_segment_add(&ctx->segments[ctx->segment % W2S_SEGMENTS], ctx->model, lin, sof);
    ctx->segment_rows++;
    if (ctx->segment_rows == W2S_SEGMENT_ROWS) end_segment(ctx);
    w2s_charge(ctx, W2S_TAP_INPUT, t);
}

/// Frames ///

// Ends the front end's work on a row, which began at `since`; quantises it, which is counted with
// l1, and runs the network.
static void network_row(w2s_context *ctx, const int16_t db[W2S_MEL], uint64_t since) {
    const int32_t multiplier = ctx->model->input_multiplier, zero = ctx->model->input_zero;
    int8_t row[W2S_MEL];
    w2s_charge(ctx, W2S_TAP_LOGMEL, since);
    uint64_t t = w2s_now(ctx);
    for (unsigned band = 0; band < W2S_MEL; band++) {
        // Q24 to Q8, rounded to nearest from there: the same as at once, and 32 bits
        int32_t q8 = (int32_t)(((int64_t)multiplier * db[band]) >> 16);
        int32_t q = ((q8 + 128) >> 8) + zero;
        row[band] = (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
    }
    w2s_charge(ctx, W2S_TAP_L1, t);
    w2s_offer(ctx, W2S_TAP_LOGMEL, db, W2S_MEL * sizeof *db);
    w2s_offer(ctx, W2S_TAP_INPUT, row, sizeof row);
    w2s_network_row(ctx, row);
}

#if W2S_BUFFER_SECONDS > 0
static w2s_status keep_frame(w2s_context *ctx) {
    int16_t db[W2S_MEL];
    if (ctx->frames == BUFFER_ROWS) return W2S_E_LONG;
    w2s_logmel(ctx->frame, ctx->used[0] | ctx->used[1], ctx->statistics.mean_q14, 0, false, db);
    for (unsigned band = 0; band < W2S_MEL; band++) {
        int32_t steps = (db[band] - BUFFER_LEAST + BUFFER_STEP / 2) / BUFFER_STEP;
        bool below = band == 0 || db[band] < BUFFER_LEAST + BUFFER_STEP;
        ctx->buffer[ctx->frames][band] = (uint8_t)(below ? 0 : steps > 255 ? 255 : steps);
    }
    return W2S_OK;
}

// The variance is known now: shifts the rows by it and runs them.
static bool replay(w2s_context *ctx) {
    w2s_stats all = ctx->statistics.total;
    w2s_stats_add(&all, ctx->frame + W2S_HOP, ctx->hop_filled);
    if (!w2s_norm_given(&ctx->statistics, &all)) return false;
    int32_t shift = (int32_t)(((int64_t)ctx->statistics.log2_scale * 98642 + (1 << 23)) >> 24);
    for (uint32_t i = 0; i < ctx->frames; i++) {
        uint64_t t = w2s_now(ctx);
        int16_t db[W2S_MEL];
        for (unsigned band = 0; band < W2S_MEL; band++) {
            uint8_t steps = ctx->buffer[i][band];
            int32_t raw = BUFFER_LEAST + steps * BUFFER_STEP - shift;
            db[band] = (int16_t)(steps == 0 || raw < W2S_DB_FLOOR ? W2S_DB_FLOOR : raw);
        }
        network_row(ctx, db, t);
    }
    return true;
}
#endif

static w2s_status take_frame(w2s_context *ctx, uint64_t since) {
#if W2S_BUFFER_SECONDS > 0
    if (ctx->norm == W2S_NORM_BUFFERED) {
        w2s_status status = keep_frame(ctx);
        if (status == W2S_OK) ctx->frames++;
        w2s_charge(ctx, W2S_TAP_LOGMEL, since);
        return status;
    }
#endif
    int16_t db[W2S_MEL];
    const w2s_norm_state *norm = &ctx->statistics;
    w2s_logmel(ctx->frame, ctx->used[0] | ctx->used[1], norm->mean_q14, norm->log2_scale, true, db);
    ctx->frames++;
    network_row(ctx, db, since);
    return W2S_OK;
}

// A whole hop has come: with the one before it, it is a frame.
static w2s_status take_hop(w2s_context *ctx) {
    uint64_t t = w2s_now(ctx);
    w2s_status status = W2S_OK;
    int16_t *hop = ctx->frame + W2S_HOP;
    ctx->used[1] = w2s_norm_hop(&ctx->statistics, hop, ctx->norm != W2S_NORM_GIVEN);
    if (ctx->hops++ > 0) status = take_frame(ctx, t);
    memcpy(ctx->frame, hop, W2S_HOP * sizeof *hop);
    ctx->used[0] = ctx->used[1];
    ctx->hop_filled = 0;
    return status;
}

/// Interface ///

w2s_status w2s_init(w2s_context *ctx, const w2s_model *model) {
    if (ctx == NULL || model == NULL) return W2S_E_ARG;
    memset(ctx, 0, sizeof *ctx);
    bool gram = model->architecture == W2S_ARCH_17K;
    if (model->architecture != W2S_ARCH_72K && !gram) return W2S_E_MODEL;
    if (gram != (model->gram_weight != NULL)) return W2S_E_MODEL;
    if (!w2s_network_runs(model)) return W2S_E_MODEL;
    ctx->model = model;
    return W2S_OK;
}

w2s_status w2s_start(w2s_context *ctx, w2s_norm norm, const w2s_stats *stats) {
    if (ctx == NULL || ctx->model == NULL) return W2S_E_ARG;
    ctx->state = IDLE;
    w2s_norm_reset(&ctx->statistics);
    switch (norm) {
        case W2S_NORM_GIVEN:
            if (stats == NULL || !w2s_norm_given(&ctx->statistics, stats)) return W2S_E_ARG;
            break;
        case W2S_NORM_LIVE:
            break;
        case W2S_NORM_BUFFERED:
            if (W2S_BUFFER_SECONDS == 0) return W2S_E_ARG;
            break;
        default:
            return W2S_E_ARG;
    }
    ctx->norm = (uint8_t)norm;
    ctx->hop_filled = 0;
    ctx->hops = 0;
    ctx->frames = 0;
    memset(ctx->rows, 0, sizeof ctx->rows);
    memset(ctx->ticks, 0, sizeof ctx->ticks);
    w2s_network_reset(ctx);
    w2s_sums_reset(&ctx->sums);
    ctx->segment = 0;
    ctx->segment_rows = 0;
    w2s_segment_reset(&ctx->segments[0]);
    ctx->state = RUNNING;
    return W2S_OK;
}

w2s_status w2s_push(w2s_context *ctx, const int16_t *pcm, size_t count) {
    if (ctx == NULL || (pcm == NULL && count > 0)) return W2S_E_ARG;
    if (ctx->state != RUNNING) return W2S_E_STATE;
    while (count > 0) {
        size_t taken = W2S_HOP - ctx->hop_filled;
        if (taken > count) taken = count;
        memcpy(ctx->frame + W2S_HOP + ctx->hop_filled, pcm, taken * sizeof *pcm);
        ctx->hop_filled += (uint32_t)taken;
        pcm += taken;
        count -= taken;
        if (ctx->hop_filled < W2S_HOP) break;
        w2s_status status = take_hop(ctx);
        if (status != W2S_OK) {
            ctx->state = FINISHED;
            return status;
        }
    }
    return W2S_OK;
}

w2s_status w2s_finish(w2s_context *ctx, w2s_adv *adv) {
    if (ctx == NULL || adv == NULL) return W2S_E_ARG;
    if (ctx->state != RUNNING) return W2S_E_STATE;
    ctx->state = FINISHED;
    if (ctx->frames == 0) return W2S_E_SHORT;
#if W2S_BUFFER_SECONDS > 0
    if (ctx->norm == W2S_NORM_BUFFERED && !replay(ctx)) return W2S_E_ARG;
#endif
    w2s_network_finish(ctx);
    if (ctx->segment_rows > 0) end_segment(ctx);
    if (ctx->rows[W2S_TAP_LIN] > W2S_MAX_ROWS) return W2S_E_LONG;
    int32_t x[W2S_WIDE];
    w2s_sums_average(&ctx->sums, x);
    w2s_head(x, ctx->model, adv);
    return W2S_OK;
}

uint32_t w2s_segments(const w2s_context *ctx) { return ctx->segment; }

uint32_t w2s_rows(const w2s_context *ctx, w2s_tap layer) { return ctx->rows[layer]; }

w2s_status w2s_window(w2s_context *ctx, uint32_t segments, w2s_adv *adv) {
    if (ctx == NULL || adv == NULL || segments == 0) return W2S_E_ARG;
    if (ctx->state == IDLE) return W2S_E_STATE;
    if (ctx->segment == 0) return W2S_E_SHORT;
    if (segments > W2S_SEGMENTS - 1) segments = W2S_SEGMENTS - 1;
    if (segments > ctx->segment) segments = ctx->segment;
    int32_t x[W2S_WIDE];
    w2s_window_average(ctx->segments, ctx->segment, segments, ctx->model, x);
    w2s_head(x, ctx->model, adv);
    return W2S_OK;
}

void w2s_set_tap(w2s_context *ctx, w2s_tap_fn tap, void *user, uint32_t mask) {
    ctx->tap = tap;
    ctx->tap_user = user;
    ctx->tap_mask = mask;
}

void w2s_set_clock(w2s_context *ctx, w2s_clock_fn clock) { ctx->clock = clock; }

uint64_t w2s_ticks(const w2s_context *ctx, w2s_tap layer) { return ctx->ticks[layer]; }
