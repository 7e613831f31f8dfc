// SPDX-License-Identifier: Apache-2.0
//
// pool.c: 3x3 maximum, stride 2, padding 1, of four rows of bytes: two rows. Rows of the utterance
// are not negative and padding is 0, so it never wins.
#include "../dsp/simd.h"
#include "layers.h"

enum {
    PIXEL = 3,  // words, without channel 12
    WIDE = W2S_COMPACT_WORDS(1, W2S_MEL),
    NARROW = W2S_COMPACT_WORDS(1, W2S_BANDS),
};

// Channels 0 .. 11: maximum over bands 2b-1, 2b, 2b+1 of word `i` of a row's pixels.
static uint32_t largest(const uint32_t *row, unsigned band, unsigned i) {
    const uint32_t *x = row + 2 * band * PIXEL + i;
    uint32_t right = w2s_max8(x[0], x[PIXEL]);
    return band > 0 ? w2s_max8(right, *(x - PIXEL)) : right;
}

static uint8_t larger(uint8_t a, uint8_t b) { return a > b ? a : b; }

// Channel 12, from its bytes.
static uint8_t largest_last(const uint8_t *last, unsigned band) {
    const uint8_t *x = last + 2 * band;
    uint8_t right = larger(x[0], x[1]);
    return band > 0 ? larger(right, *(x - 1)) : right;
}

static void pool_row(const uint32_t *even, uint32_t *above, uint32_t *out) {
    const uint32_t *odd = even + WIDE;
    for (unsigned band = 0, at = 0; band < W2S_BANDS; band++) {
        for (unsigned i = 0; i < PIXEL; i++, at++) {
            uint32_t below = largest(odd, band, i);
            out[at] = w2s_max8(w2s_max8(largest(even, band, i), below), above[at]);
            above[at] = below;
        }
    }
    const uint8_t *last_even = (const uint8_t *)(even + W2S_MEL * PIXEL);
    const uint8_t *last_odd = (const uint8_t *)(odd + W2S_MEL * PIXEL);
    uint8_t *last_above = (uint8_t *)(above + W2S_BANDS * PIXEL);
    uint8_t *last_out = (uint8_t *)(out + W2S_BANDS * PIXEL);
    for (unsigned band = 0; band < W2S_BANDS; band++) {
        uint8_t below = largest_last(last_odd, band);
        last_out[band] = larger(larger(largest_last(last_even, band), below), last_above[band]);
        last_above[band] = below;
    }
}

void w2s_compact_pool(const uint32_t *rows, uint32_t *above, uint32_t *out) {
    pool_row(rows, above, out);
    pool_row(rows + 2 * WIDE, above, out + NARROW);
}
