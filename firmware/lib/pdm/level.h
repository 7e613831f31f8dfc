// SPDX-License-Identifier: Apache-2.0
//
// level.h: takes the mean out of samples, then applies a gain that saturates.
#ifndef LEVEL_H
#define LEVEL_H

#include <stdint.h>

// Gains are in 1/256. A microphone of -26 dBFS at 94 dB SPL hears speech at 1 m (60 dB SPL) at -60
// dBFS, where 16 bits have 5 left. LEVEL_SPEECH, 24 dB, brings it to -36 dBFS and clips from 96 dB
// SPL on: as loud as speech at the mouth.
#define LEVEL_UNITY 256
#define LEVEL_SPEECH 4096

// 2^-8 of the way a sample: a pole at 16000 / (2 pi 256) = 10 Hz.
#define LEVEL_MEAN_SHIFT 8

typedef struct {
    int32_t mean;        // in the units of the input
    int32_t multiplier;  // input to samples, Q32
} level_t;

// One sample: |x| <= 2^30, so that x - mean fits; its mean is one of values of x.
static inline int16_t level_sample(level_t *level, int32_t x) {
    const int32_t y = x - level->mean;
    level->mean += (y + (1 << (LEVEL_MEAN_SHIFT - 1))) >> LEVEL_MEAN_SHIFT;
    const int32_t z = (int32_t)(((int64_t)y * level->multiplier + 0x80000000) >> 32);
    return (int16_t)(z == (int16_t)z ? z : (z >> 31) ^ INT16_MAX);
}

#endif
