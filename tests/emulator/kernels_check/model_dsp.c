/*
 * Weights of the kernels for the DSP extension: the arrays of packed.h, each behind its size in
 * bytes; 0 for one that is not there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

static uint32_t memory[48 * 1024]; /* 72K takes 120 KB */
static size_t used;                /* words */
static w2s_packed_weights packed;

static const void *get_array(void) {
    uint32_t bytes;
    check_get(&bytes, sizeof bytes);
    if (bytes == 0) {
        return NULL;
    }
    uint32_t *array = memory + used;
    check_get(array, bytes);
    used += (bytes + 3) / 4;
    return array;
}

const w2s_packed_weights *check_get_weights(w2s_architecture architecture) {
    (void)architecture;
    used = 0;
    packed.first = get_array();
    for (unsigned i = 0; i < W2S_CONVS - 1; i++) {
        w2s_dsp_conv *conv = &packed.conv[i];
        conv->winograd = get_array();
        conv->direct = get_array();
        conv->bias = get_array();
        conv->multiplier = get_array();
        conv->shift = get_array();
    }
    packed.lin = get_array();
    packed.sof = get_array();
    return &packed;
}
