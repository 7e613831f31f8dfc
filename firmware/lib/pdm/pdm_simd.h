// SPDX-License-Identifier: Apache-2.0
//
// pdm_simd.h: loads and products as the cores with the DSP extension do them best, and portable
// twins with the same results. Arm Architecture Reference Manual ARMv7-M (DDI 0403), section A7.7.
//
// On a Cortex-M4 a load takes two cycles, and one right behind another load: these stand together,
// where the compiler would spread them (Cortex-M4 Technical Reference Manual, 3.3.3).
#ifndef PDM_SIMD_H
#define PDM_SIMD_H

#include <stdint.h>
#include <string.h>

#include "pdm.h"

// Four taps and four samples, by twos as they lie in memory.
typedef struct {
    uint32_t c0, c1, x0, x1;
} pdm_four;

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && __ARM_ARCH_ISA_THUMB == 2
#include <arm_acle.h>

typedef uint32_t __attribute__((may_alias)) pdm_word;

static inline pdm_four pdm_load_four(const int16_t *taps, const int16_t *x) {
    const pdm_word *const c = (const pdm_word *)(const void *)taps;
    const pdm_word *const s = (const pdm_word *)(const void *)x;
    pdm_four f;
    __asm(".balign 4\n\tldr.w %0, %4\n\tldr.w %1, %5\n\tldr.w %2, %6\n\tldr.w %3, %7"
          : "=&r"(f.c0), "=&r"(f.c1), "=&r"(f.x0), "=r"(f.x1)
          : "m"(c[0]), "m"(c[1]), "m"(s[0]), "m"(s[1]));
    return f;
}
// Adds two entries of the tables.
static inline pdm_lanes pdm_add(pdm_lanes lanes, const uint64_t *a, const uint64_t *b) {
    uint32_t a_low, a_high, b_low, b_high;
    __asm(
        ".balign 4\n\tldr.w %0, [%4]\n\tldr.w %1, [%5]\n\tldr.w %2, [%4, #4]\n\tldr.w %3, [%5, #4]"
        : "=&r"(a_low), "=&r"(b_low), "=&r"(a_high), "=&r"(b_high)
        : "r"(a), "r"(b), "m"(*a), "m"(*b));
    return (pdm_lanes){lanes.low + a_low + b_low, lanes.high + a_high + b_high};
}
// sum + a[0] b[0] + a[1] b[1].
static inline int32_t pdm_multiply(uint32_t a, uint32_t b, int32_t sum) {
    return __smlad((int16x2_t)a, (int16x2_t)b, sum);
}
#else
static inline pdm_four pdm_load_four(const int16_t *taps, const int16_t *x) {
    pdm_four f;
    memcpy(&f.c0, taps, 4);
    memcpy(&f.c1, taps + 2, 4);
    memcpy(&f.x0, x, 4);
    memcpy(&f.x1, x + 2, 4);
    return f;
}
static inline pdm_lanes pdm_add(pdm_lanes lanes, const uint64_t *a, const uint64_t *b) {
    const uint64_t sum = *a + *b;
    return (pdm_lanes){lanes.low + (uint32_t)sum, lanes.high + (uint32_t)(sum >> 32)};
}
static inline int32_t pdm_multiply(uint32_t a, uint32_t b, int32_t sum) {
    return sum + (int16_t)(a & 0xFFFF) * (int16_t)(b & 0xFFFF) +
           (int16_t)(a >> 16) * (int16_t)(b >> 16);
}
#endif

#endif
