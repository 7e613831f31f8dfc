// SPDX-License-Identifier: Apache-2.0
//
// pdm.h: the one-bit stream of a PDM microphone to 16 kHz PCM, on integers, no heap.
//
// Two filters (docs/pdm.md): one by tables, a byte of bits at a time, down to 64 kHz; and a
// FIR down to 16 kHz that also makes up for the first one's droop. Then the mean is taken out
// (2.5 Hz), and a gain applied that saturates. Their delay is 0.71 ms, and what a block waits.
#ifndef PDM_H
#define PDM_H

#include <stddef.h>
#include <stdint.h>

#include "level.h"

#define PDM_TAPS 96     // of the second filter
#define PDM_BLOCK 64    // samples at 64 kHz, 1 ms, that the second filter takes at once
#define PDM_SAMPLES 16  // samples at 16 kHz that it then gives

// A clock of the microphone, with its filter's tables. One that nothing names is not linked.
typedef struct {
    uint32_t hz;
    uint32_t bytes;                // of bits for a sample at 64 kHz
    const uint64_t (*table)[256];  // [bytes]: see pdm.c
} pdm_clock;

extern const pdm_clock pdm_1024khz;  // 128 bytes a millisecond, 4 KB of tables
extern const pdm_clock pdm_2048khz;  // 256 bytes, 8 KB

// How bits lie in memory. The first bit of a byte, halfword or word in time is always its most
// significant one.
typedef enum {
    PDM_BYTES = 0,      // in time's order: SPI of 8 bits
    PDM_HALFWORDS = 1,  // little-endian: SPI and I2S of STM32F4 and others, whose DR has 16 bits
    PDM_WORDS = 3,      // little-endian: SAI and I2S with registers of 32 bits
} pdm_layout;

// Four sums of the first filter, of 16 bits each: the next sample is the lowest.
typedef struct {
    uint32_t low, high;
} pdm_lanes;

// Everything between two calls. 344 bytes.
typedef struct {
    pdm_lanes lanes;
    const pdm_clock *clock;
    pdm_layout layout;
    uint32_t waiting;  // new samples in `samples`
    level_t level;
    int16_t samples[PDM_TAPS - 4 + PDM_BLOCK];  // at 64 kHz: what the FIR still needs, new ones
} pdm_t;

// Starts a stream. `gain` is in 1/256 (level.h): with LEVEL_UNITY, bits that are all ones would be
// the full scale of int16.
void pdm_init(pdm_t *pdm, const pdm_clock *clock, pdm_layout layout, uint16_t gain);

// Takes `bytes` of bits, a multiple of 4, and writes the samples that they complete, in blocks of
// PDM_SAMPLES; returns how many. Whole milliseconds give 16 samples each at once; whatever the
// calls, the samples are the same. `pcm` has room for 16 samples more than `bytes` lasts.
size_t pdm_to_pcm(pdm_t *pdm, const uint8_t *bits, size_t bytes, int16_t *pcm);

#endif
