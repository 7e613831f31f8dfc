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

// The mean follows by 2^-shift of the way a sample. It begins fast, for the step when a microphone
// starts, and takes half of that after every four time constants: after 0.25 s it stays at a pole
// of 16000 / (2 pi 1024) = 2.5 Hz, below what moves the floor of a room.
#define LEVEL_FIRST_SHIFT 4
#define LEVEL_LAST_SHIFT 10

typedef struct {
    int32_t mean;        // in the units of the input
    int32_t multiplier;  // input to samples, Q32
    uint16_t shift;      // of the mean
    uint16_t left;       // samples at this shift
} level_t;

static inline void level_init(level_t *level, int32_t multiplier) {
    *level = (level_t){0, multiplier, LEVEL_FIRST_SHIFT, 4 << LEVEL_FIRST_SHIFT};
}

// One sample: |x| <= 2^30, so that x - mean fits; the mean is between the least and the most x.
static inline int16_t level_sample(level_t *level, int32_t x) {
    const int32_t y = x - level->mean;
    const unsigned shift = level->shift;
    level->mean += (y + (1 << (shift - 1))) >> shift;
    if (shift < LEVEL_LAST_SHIFT && --level->left == 0) {
        level->shift++;
        level->left = (uint16_t)(8u << shift);
    }
    const int32_t z = (int32_t)(((int64_t)y * level->multiplier + 0x80000000) >> 32);
    return (int16_t)(z == (int16_t)z ? z : (z >> 31) ^ INT16_MAX);
}

#endif
