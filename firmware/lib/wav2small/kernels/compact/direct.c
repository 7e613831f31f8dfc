// SPDX-License-Identifier: Apache-2.0
//
// direct.c: four rows of a 3x3 convolution by the direct kernel (../dsp/direct.h).
#include "../dsp/direct.h"

#include "layers.h"

enum { WORDS = W2S_DSP_PIXEL / 2, LINES = W2S_COMPACT_ROWS + 2 };

void w2s_compact_direct(const w2s_dsp_conv *conv, unsigned bands, uint32_t *rows, uint32_t *past,
                        uint32_t *scratch) {
    const size_t row = W2S_COMPACT_ROW(bands) / 4, wide = (size_t)(bands + 2) * WORDS;
    for (unsigned i = 0; i < LINES; i++) {
        w2s_compact_widen(i < 2 ? past + i * row : rows + (i - 2) * row, bands, scratch + i * wide);
    }
    memcpy(past, rows + 2 * row, 2 * row * sizeof *past);
    // Output i stands on inputs i, i + 1, i + 2.
    for (unsigned i = 0; i < W2S_COMPACT_ROWS; i++, rows += row) {
        uint8_t *out = (uint8_t *)rows, *last = out + 12 * bands;
        for (unsigned band = 0; band < bands; band++, out += 12) {
            const uint32_t *line[3];
            for (unsigned ky = 0; ky < 3; ky++) line[ky] = scratch + (i + ky) * wide + band * WORDS;
            for (unsigned c = 0; c < 12; c++)
                out[c] = (uint8_t)w2s_dsp_direct_output(conv, line, c);
            last[band] = (uint8_t)w2s_dsp_direct_output(conv, line, 12);
        }
    }
}
