// SPDX-License-Identifier: Apache-2.0
//
// requantise.h: requant.h on four lanes, with its bits.
//
// The lanes are one channel at four positions, so that all that depends on the channel is a scalar.
//
// TFLite rounds twice: y = round(x * m / 2^31), halves up: VQRDMULH. Then z = round(y / 2^s),
// halves away from zero. It adds the zero point and clamps to int8.
//
// Under a ReLU the zero point is -128 and a negative z becomes -128 however it is rounded: so
// halves may go up, and z - 128 = floor((y + 2^(s-1) - 128 * 2^s) / 2^s). Shifted left by 24 - s
// instead of right by s, the result is the top byte, and what leaves 32 bits, which VQSHL
// saturates, is what leaves int8. offset = 2^(s-1) - 128 * 2^s and shift = 24 - s come packed.
//
// Without a ReLU, VRSHL rounds halves up; one less where y is negative turns that into away from
// zero. (s is at least 1.)
#ifndef W2S_MVE_REQUANTISE_H
#define W2S_MVE_REQUANTISE_H

#include "../../wav2small.h"

#include <arm_mve.h>

static inline int32x4_t w2s_mve_add_relu(int32x4_t x, w2s_mve_relu relu) {
    int32x4_t y = vqrdmulhq_n_s32(vaddq_n_s32(x, relu.bias), relu.multiplier);
    return vshrq_n_s32(vqshlq_r_s32(vqaddq_n_s32(y, relu.offset), relu.shift), 24);
}

static inline int32x4_t w2s_mve_add_signed(int32x4_t x, w2s_mve_signed requant) {
    int32x4_t y = vqrdmulhq_n_s32(vaddq_n_s32(x, requant.bias), requant.multiplier);
    y = vrshlq_n_s32(vqaddq_s32(y, vshrq_n_s32(y, 31)), requant.shift);
    return vshrq_n_s32(vqshlq_n_s32(vaddq_n_s32(y, requant.zero), 24), 24);
}

// Four sums in core registers to the lanes of a vector.
static inline int32x4_t w2s_mve_lanes(int32_t a, int32_t b, int32_t c, int32_t d) {
    int32x4_t lanes;
    __asm(
        "vmov %q0[2], %q0[0], %1, %3\n\t"
        "vmov %q0[3], %q0[1], %2, %4"
        : "=&w"(lanes)
        : "r"(a), "r"(b), "r"(c), "r"(d));
    return lanes;
}

// Offsets 0, step, 2 step, 3 step.
static inline uint32x4_t w2s_mve_steps(unsigned step) {
    return vmulq_n_u32(vidupq_n_u32(0, 1), step);
}

// The low bytes of the lanes to out + offsets.
static inline void w2s_mve_store(int8_t *out, uint32x4_t offsets, int32x4_t lanes) {
    vstrbq_scatter_offset_s32(out, offsets, lanes);
}

#endif
