// SPDX-License-Identifier: Apache-2.0
//
// requant.h: requantisation with TFLite's bits: MultiplyByQuantizedMultiplier of
// tensorflow/lite/kernels/internal/common.h, the double rounding of its reference kernels.
#ifndef W2S_REQUANT_H
#define W2S_REQUANT_H

#include <stdint.h>

// The library shifts negative numbers right and expects copies of the sign (as every compiler for
// these targets does).
typedef char w2s_arithmetic_shift[(-1 >> 1) == -1 ? 1 : -1];

// round(a * b / 2^31), ties away from zero. Saturates where both are INT32_MIN; multipliers are
// never negative, so that case cannot come.
static inline int32_t w2s_mul_q31(int32_t a, int32_t b) {
    int64_t product = (int64_t)a * b;
    int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
    return (int32_t)((product + nudge) / ((int64_t)1 << 31));
}

// round(x / 2^n), ties away from zero; n in 0 .. 31.
static inline int32_t w2s_round_shift(int32_t x, int n) {
    int32_t mask = (int32_t)(((int64_t)1 << n) - 1);
    int32_t remainder = x & mask;
    int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> n) + (remainder > threshold ? 1 : 0);
}

// x * multiplier * 2^(shift - 31), rounded twice as TFLite does.
static inline int32_t w2s_requantise(int32_t x, int32_t multiplier, int shift) {
    int left = shift > 0 ? shift : 0;
    int right = shift > 0 ? 0 : -shift;
    return w2s_round_shift(w2s_mul_q31((int32_t)((uint32_t)x << left), multiplier), right);
}

static inline int8_t w2s_clamp_int8(int32_t x, int32_t low) {
    return (int8_t)(x < low ? low : x > 127 ? 127 : x);
}

#endif
