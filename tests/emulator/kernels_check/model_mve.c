/*
 * Weights of the Helium kernels: the structures of mve.h, one after another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

static struct {
    w2s_mve_first first[W2S_CHANNELS];
    w2s_mve_filter conv[W2S_CONVS - 1][W2S_CHANNELS];
    w2s_mve_pair pairs[2][W2S_MVE_PAIRS];
    w2s_mve_point points[2][W2S_CHANNELS];
} weights;
static w2s_packed_weights packed;

const w2s_packed_weights *check_get_weights(w2s_architecture architecture) {
    const bool dense = architecture == W2S_ARCH_72K;
    check_get(weights.first, sizeof weights.first);
    check_get(weights.conv, sizeof weights.conv);
    check_get(dense ? (void *)weights.pairs : (void *)weights.points,
              dense ? sizeof weights.pairs : sizeof weights.points);
    packed = (w2s_packed_weights){
        .first = weights.first,
        .lin_pairs = dense ? weights.pairs[0] : NULL,
        .sof_pairs = dense ? weights.pairs[1] : NULL,
        .lin_points = dense ? NULL : weights.points[0],
        .sof_points = dense ? NULL : weights.points[1],
    };
    for (unsigned i = 0; i < W2S_CONVS - 1; i++) {
        packed.conv[i] = weights.conv[i];
    }
    return &packed;
}
