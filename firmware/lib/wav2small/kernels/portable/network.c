// SPDX-License-Identifier: Apache-2.0
//
// network.c: l1 l2 l3 pool l4 .. l7 lin/sof. A row passes through as many layers as it completes
// rows of, before the next one is looked at.
#include "../../flow.h"
#include "layers.h"

enum { POOL = 3, ATTEND = 8 };

bool w2s_network_runs(const w2s_model *model) {
    for (unsigned i = 0; i < W2S_CONVS; i++) {
        if (model->conv[i].in_channels != (i == 0 ? 1 : W2S_CHANNELS)) return false;
        if (model->conv[i].weight == NULL) return false;
    }
    return true;
}

void w2s_network_reset(w2s_context *ctx) { w2s_portable_reset(&ctx->kernel, ctx->model); }

static void attend(w2s_context *ctx, const int8_t *row) {
    int8_t lin[W2S_WIDE], sof[W2S_WIDE];
    uint64_t t = w2s_now(ctx);
    w2s_dense(ctx->model, &ctx->model->lin, row, lin);
    w2s_charge(ctx, W2S_TAP_LIN, t);
    t = w2s_now(ctx);
    w2s_dense(ctx->model, &ctx->model->sof, row, sof);
    w2s_charge(ctx, W2S_TAP_SOF, t);
    w2s_attend(ctx, lin, sof);
}

// A row into a layer, NULL being the padding after the last one; passes on what comes out.
static void pass_on(w2s_context *ctx, unsigned layer, const int8_t *row) {
    if (layer == ATTEND) {
        attend(ctx, row);
        return;
    }
    const w2s_tap tap = layer < POOL    ? (w2s_tap)(W2S_TAP_L1 + layer)
                        : layer == POOL ? W2S_TAP_POOL
                                        : (w2s_tap)(W2S_TAP_L1 + layer - 1);
    const unsigned conv = layer < POOL ? layer : layer - 1;
    uint64_t t = w2s_now(ctx);
    const int8_t *out = layer == POOL ? w2s_maxpool(&ctx->kernel, row)
                                      : w2s_conv3x3(&ctx->kernel, ctx->model, conv, row);
    w2s_charge(ctx, tap, t);
    if (out == NULL) return;
    w2s_offer(ctx, tap, out, (layer < POOL ? W2S_MEL : W2S_BANDS) * W2S_CHANNELS);
    pass_on(ctx, layer + 1, out);
}

void w2s_network_row(w2s_context *ctx, const int8_t row[W2S_MEL]) { pass_on(ctx, 0, row); }

// Each layer in turn gets its padding, once all rows of the layer before have reached it.
void w2s_network_finish(w2s_context *ctx) {
    for (unsigned layer = 0; layer < ATTEND; layer++) pass_on(ctx, layer, NULL);
}
