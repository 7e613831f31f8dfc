// SPDX-License-Identifier: Apache-2.0
//
// layers.h: the layers of the DSP kernels, for network.c. Assembler with a plain C twin (twin.c)
// where it pays, C elsewhere.
#ifndef W2S_DSP_LAYERS_H
#define W2S_DSP_LAYERS_H

#include "../../wav2small.h"

#include <string.h>

// Every channel ends in the same shift: its sums come scaled by 2^k, k = 13 + TFLite's shift.
#define W2S_DSP_SHIFT 12

// One activation of a row: activation `i` counts from the padding pixel on.
static inline int16_t w2s_dsp_get(const uint32_t *row, unsigned i) {
    int16_t value;
    memcpy(&value, (const char *)row + 2 * i, sizeof value);
    return value;
}
static inline void w2s_dsp_set(uint32_t *row, unsigned i, int16_t value) {
    memcpy((char *)row + 2 * i, &value, sizeof value);
}

// l1: `words` holds {row above, row} and {row below, the same one band on} of 28 bands each, as
// pairs of halfwords; writes the 13 channels of
// each pixel of a row whose padding pixel is at `row`.
void w2s_dsp_first(const uint32_t words[2 * (W2S_MEL + 2)], const uint32_t *weights, uint32_t *row);

// Input transform of F(6,3): two past rows and six new ones, all from their padding pixel on, into
// the V rows of the slabs; keeps the last two rows in `past`.
void w2s_dsp_transform_26(const uint32_t *rows, uint32_t *slabs, uint32_t *past);
void w2s_dsp_transform_13(const uint32_t *rows, uint32_t *slabs, uint32_t *past);

// Convolution of the V rows in the slabs, output transform and requantisation; writes six rows.
void w2s_dsp_winograd_26(uint32_t *slabs, const uint32_t *weights, uint32_t *rows);
void w2s_dsp_winograd_13(uint32_t *slabs, const uint32_t *weights, uint32_t *rows);

// The same six rows by the direct kernel, for a layer outside Winograd's ranges.
void w2s_dsp_direct(const w2s_dsp_conv *conv, unsigned bands, uint32_t *rows, uint32_t *past,
                    uint32_t *scratch);

// Two neighbouring rows of l7 through lin or sof of 72K.
void w2s_dsp_dense(const uint32_t *rows, const uint32_t *weights, int8_t out[2 * W2S_WIDE]);

// One row through lin or sof of 17K.
void w2s_dsp_dense_bands(const uint32_t *row, const uint32_t *weights, int8_t *out);

#endif
