// SPDX-License-Identifier: Apache-2.0
//
// requantise.h: TFLite's double rounding in few instructions.
//
// TFLite takes x = round(a M / 2^31), then round(x / 2^e), each with ties away from zero
// (requant.h). With the sum scaled beforehand, A = a 2^k with k = 13 - e, the high word of A M is
// floor(a M / 2^(32 - k)), and every channel ends in the same shift by 12:
//   first rounding:   + 2^(k-2) is half a step of x before the bits below it are dropped
//   second rounding:  + 2^11 is half a step of the result
//   sign:             ties away from zero take one step of x, 2^(k-1), off where x is negative
// Behind a ReLU whose zero is -128 a negative x ends at 0 whatever its tie does, and the sign term
// goes. Valid for k in 2 .. 8 and |A| < 2^31, which the generator proves for every channel; that
// the result is TFLite's is tested around the ties. lin and sof, with few outputs and channels of
// very different sizes, have k = 4 everywhere and a last shift of their own instead.
#ifndef W2S_DSP_REQUANTISE_H
#define W2S_DSP_REQUANTISE_H

#include <stdint.h>

static inline int32_t w2s_dsp_high(int32_t a, int32_t b, int32_t acc) {
    return acc + (int32_t)(((int64_t)a * b) >> 32);
}

static inline int32_t w2s_dsp_usat8(int32_t v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

// `record`: {16 bias, multiplier, half a step + ((zero + 128) << shift), shift}. To int8.
static inline int8_t w2s_dsp_requantise(int32_t sum, const uint32_t *record) {
    int32_t a = (int32_t)((uint32_t)sum * 16 + record[0]);
    int32_t x = w2s_dsp_high(a, (int32_t)record[1], 4);
    x = x - (8 & (x >> 31)) + (int32_t)record[2];
    return (int8_t)(w2s_dsp_usat8(x >> record[3]) - 128);
}

// `record`: {multiplier, 2^11 + 2^(k-2)}; `a` is scaled already. To 0 .. 255 behind a ReLU.
static inline int16_t w2s_dsp_relu(int32_t a, const uint32_t *record) {
    int32_t x = w2s_dsp_high(a, (int32_t)record[0], (int32_t)record[1]);
    return (int16_t)w2s_dsp_usat8(x >> 12);
}

#endif
