// SPDX-License-Identifier: Apache-2.0
//
// bytes.c: rows of bytes to rows of halfwords, for the kernels of ../dsp, and back.
#include "layers.h"

enum { WORDS = W2S_DSP_PIXEL / 2, BYTE_WORDS = 3 };

static const uint8_t *last_channel(const uint32_t *row, unsigned bands) {
    return (const uint8_t *)(row + BYTE_WORDS * bands);
}

void w2s_compact_widen(const uint32_t *row, unsigned bands, uint32_t *pixels) {
    const uint8_t *last = last_channel(row, bands);
    memset(pixels, 0, WORDS * sizeof *pixels);
    pixels[WORDS - 1] = (uint32_t)last[0] << 16;
    for (unsigned band = 0; band < bands; band++) {
        pixels += WORDS;
        for (unsigned i = 0; i < BYTE_WORDS; i++) {
            uint32_t four = *row++;
            pixels[2 * i] = four & 0x00FF00FF;
            pixels[2 * i + 1] = four >> 8 & 0x00FF00FF;
        }
        uint32_t right = band + 1 < bands ? last[band + 1] : 0;
        pixels[WORDS - 1] = last[band] | right << 16;
    }
    memset(pixels + WORDS, 0, WORDS * sizeof *pixels);
}

void w2s_compact_narrow(const uint32_t *pixels, unsigned bands, uint32_t *row) {
    uint8_t *last = (uint8_t *)(row + BYTE_WORDS * bands);
    for (unsigned band = 0; band < bands; band++) {
        pixels += WORDS;
        const uint32_t a = pixels[0] | pixels[1] << 8, b = pixels[2] | pixels[3] << 8,
                       c = pixels[4] | pixels[5] << 8;
        last[band] = (uint8_t)pixels[WORDS - 1];
        *row++ = a;
        *row++ = b;
        *row++ = c;
    }
}
