// SPDX-License-Identifier: Apache-2.0
//
// simd.h: the few instructions of the DSP extension that the C here uses, with portable twins, so
// that the same sources run and are tested on any host. Arm Architecture Reference Manual ARMv7-M
// (DDI 0403), section A7.7.
#ifndef W2S_SIMD_H
#define W2S_SIMD_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#include <arm_acle.h>

// acc + a.lo * b.lo + a.hi * b.hi, signed halfwords.
static inline int32_t w2s_smlad(uint32_t a, uint32_t b, int32_t acc) {
    return __smlad((int16x2_t)a, (int16x2_t)b, acc);
}
// Lane by lane, unsigned halfwords.
static inline uint32_t w2s_max16(uint32_t a, uint32_t b) {
    return (uint32_t)__uqsub16((uint16x2_t)a, (uint16x2_t)b) + b;
}
// Lane by lane, unsigned bytes.
static inline uint32_t w2s_max8(uint32_t a, uint32_t b) {
    return (uint32_t)__uqsub8((uint8x4_t)a, (uint8x4_t)b) + b;
}
#else
static inline int32_t w2s_smlad(uint32_t a, uint32_t b, int32_t acc) {
    int32_t low = (int16_t)(a & 0xFFFF) * (int16_t)(b & 0xFFFF);
    int32_t high = (int16_t)(a >> 16) * (int16_t)(b >> 16);
    return (int32_t)((uint32_t)acc + (uint32_t)low + (uint32_t)high);
}
static inline uint32_t w2s_max16(uint32_t a, uint32_t b) {
    uint32_t low = (a & 0xFFFF) > (b & 0xFFFF) ? a & 0xFFFF : b & 0xFFFF;
    uint32_t high = (a >> 16) > (b >> 16) ? a >> 16 : b >> 16;
    return high << 16 | low;
}
static inline uint32_t w2s_max8(uint32_t a, uint32_t b) {
    uint32_t most = 0;
    for (unsigned lane = 0; lane < 32; lane += 8) {
        uint32_t x = a >> lane & 0xFF, y = b >> lane & 0xFF;
        most |= (x > y ? x : y) << lane;
    }
    return most;
}
#endif

#endif
