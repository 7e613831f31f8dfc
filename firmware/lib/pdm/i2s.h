// SPDX-License-Identifier: Apache-2.0
//
// i2s.h: samples of an I2S microphone (INMP441 and its like) as DMA leaves them, to 16-bit PCM.
//
// Such a microphone decimates by itself: at a word select of 16 kHz it gives 24 bits,
// left-justified in a slot of 32, in one of the two slots of a frame, and drives nothing in the
// other one. What is left is to find them, to take the mean out and to apply a gain (level.h).
#ifndef I2S_H
#define I2S_H

#include <stddef.h>
#include <stdint.h>

#include "level.h"

#define I2S_FRAME 8  // bytes: two slots

// How a slot lies in memory, on a little-endian machine.
typedef enum {
    I2S_WORDS,      // one word: registers of 32 bits
    I2S_HALFWORDS,  // the upper halfword before the lower one: STM32F4, whose DR has 16 bits
} i2s_layout;

typedef enum { I2S_LEFT, I2S_RIGHT } i2s_slot;  // the microphone's pin L/R: low, high

typedef struct {
    level_t level;
    i2s_layout layout;
    i2s_slot slot;
} i2s_t;

// `gain` in 1/256: with LEVEL_UNITY the upper 16 of the 24 bits stay as they are, rounded.
void i2s_init(i2s_t *i2s, i2s_layout layout, i2s_slot slot, uint16_t gain);

// `frames` frames of I2S_FRAME bytes to as many samples.
void i2s_to_pcm(i2s_t *i2s, const uint8_t *frame, size_t frames, int16_t *pcm);

#endif
