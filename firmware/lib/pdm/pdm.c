// SPDX-License-Identifier: Apache-2.0
//
// pdm.c: decimation by table to 64 kHz, and by a FIR to 16 kHz.
//
// First filter: 4 R taps that are not negative, of sum 65535 at most, where R is the decimation.
// Each bit then counts in four samples. table[p][b] holds what byte b, the p-th of a sample's
// bytes, adds to those four, as lanes of 16 bits in one word: a lane's sum cannot leave it, so
// that whole words can be added, and after the bytes of a sample its lane is shifted out.
//
// Second filter: 16 bits times 16 bits; the sum of the taps' magnitudes is below 65536, so that 32
// bits hold the sum whatever comes in.
#include "pdm.h"

#include <stdbool.h>
#include <string.h>

#include "pdm_simd.h"
#include "pdm_tables.h"

const pdm_clock pdm_1024khz = {1024000, 2, pdm_table_1024khz};
const pdm_clock pdm_2048khz = {2048000, 4, pdm_table_2048khz};

/// First filter ///

// Four bytes of bits: the earlier two in the lower half.
static uint32_t word_of(const uint8_t *bits, unsigned turn) {
    const uint32_t word =
        bits[0] | (uint32_t)bits[1] << 8 | (uint32_t)bits[2] << 16 | (uint32_t)bits[3] << 24;
    return word >> turn | word << (-turn & 31);
}

// The sample that is complete, whose lane goes.
static inline int16_t take_sample(pdm_lanes *lanes) {
    const int32_t sample = (int32_t)(lanes->low & 0xFFFF) - 32768;
    lanes->low = lanes->low >> 16 | lanes->high << 16;
    lanes->high >>= 16;
    return (int16_t)sample;
}

// `bytes` of bits, a multiple of 4, to samples; returns their end.
static int16_t *decimate(pdm_t *pdm, const uint8_t *bits, size_t bytes, int16_t *samples) {
    const uint64_t(*const table)[256] = pdm->clock->table;
    // Which of two bytes comes first only says which table is whose: their sum is the same.
    const uint64_t *const low = table[pdm->layout != PDM_BYTES];
    const uint64_t *const high = table[pdm->layout == PDM_BYTES];
    const unsigned turn = pdm->layout == PDM_WORDS ? 16 : 0;
    const uint8_t *const end = bits + bytes;
    pdm_lanes lanes = pdm->lanes;
    if (pdm->clock->bytes == 2) {
        for (; bits != end; bits += 4) {
            const uint32_t word = word_of(bits, turn);
            lanes = pdm_add(lanes, low + (word & 0xFF), high + (word >> 8 & 0xFF));
            *samples++ = take_sample(&lanes);
            lanes = pdm_add(lanes, low + (word >> 16 & 0xFF), high + (word >> 24));
            *samples++ = take_sample(&lanes);
        }
    } else {
        const uint64_t *const later_low = low + 512, *const later_high = high + 512;
        for (; bits != end; bits += 4) {
            const uint32_t word = word_of(bits, turn);
            lanes = pdm_add(lanes, low + (word & 0xFF), high + (word >> 8 & 0xFF));
            lanes = pdm_add(lanes, later_low + (word >> 16 & 0xFF), later_high + (word >> 24));
            *samples++ = take_sample(&lanes);
        }
    }
    pdm->lanes = lanes;
    return samples;
}

/// Second filter ///

// Two sums at 16 kHz, which lie four samples apart: what was loaded serves both.
typedef struct {
    int32_t first, second;
} sums;

static inline sums add_four(sums s, pdm_four here, pdm_four next) {
    s.first = pdm_multiply(here.x1, next.c1, pdm_multiply(here.x0, next.c0, s.first));
    s.second = pdm_multiply(next.x1, next.c1, pdm_multiply(next.x0, next.c0, s.second));
    return s;
}

static void filter(pdm_t *pdm, int16_t pcm[PDM_SAMPLES]) {
    for (const int16_t *x = pdm->samples; x < pdm->samples + PDM_BLOCK; x += 8) {
        sums s = {0, 0};
        pdm_four f = pdm_load_four(pdm_taps, x);
        for (const int16_t *c = pdm_taps, *next = x + 4; c != pdm_taps + PDM_TAPS;
             c += 16, next += 16) {
            pdm_four g = pdm_load_four(c, next);
            s = add_four(s, f, g);
            f = pdm_load_four(c + 4, next + 4);
            s = add_four(s, g, f);
            g = pdm_load_four(c + 8, next + 8);
            s = add_four(s, f, g);
            f = pdm_load_four(c + 12, next + 12);
            s = add_four(s, g, f);
        }
        *pcm++ = level_sample(&pdm->level, s.first >> 1);
        *pcm++ = level_sample(&pdm->level, s.second >> 1);
    }
    memmove(pdm->samples, pdm->samples + PDM_BLOCK, (PDM_TAPS - 4) * sizeof *pdm->samples);
}

/// The stream ///

size_t pdm_to_pcm(pdm_t *pdm, const uint8_t *bits, size_t bytes, int16_t *pcm) {
    int16_t *const samples = pdm->samples + PDM_TAPS - 4;
    size_t made = 0;
    bytes &= ~(size_t)3;
    while (bytes > 0) {
        const size_t room = (PDM_BLOCK - pdm->waiting) * pdm->clock->bytes;
        const size_t now = bytes < room ? bytes : room;
        pdm->waiting = (uint32_t)(decimate(pdm, bits, now, samples + pdm->waiting) - samples);
        bits += now;
        bytes -= now;
        if (pdm->waiting == PDM_BLOCK) {
            filter(pdm, pcm + made);
            made += PDM_SAMPLES;
            pdm->waiting = 0;
        }
    }
    return made;
}

void pdm_init(pdm_t *pdm, const pdm_clock *clock, pdm_layout layout, uint16_t gain) {
    static const uint8_t silence[16] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                        0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
    memset(pdm, 0, sizeof *pdm);
    pdm->clock = clock;
    pdm->layout = layout;
    level_init(&pdm->level, gain * PDM_MULTIPLIER);
    // As if silence had gone before: the first filter's sums would else begin at one end.
    pdm_to_pcm(pdm, silence, sizeof silence, NULL);
    memset(pdm->samples, 0, sizeof pdm->samples);
    pdm->waiting = 0;
}
