// SPDX-License-Identifier: Apache-2.0
//
// layers.h: the layers of the compact kernels, for network.c; l1, lin and sof are those of ../dsp.
// Assembler with a plain C twin (twin_winograd.c) where it pays, C elsewhere.
#ifndef W2S_COMPACT_LAYERS_H
#define W2S_COMPACT_LAYERS_H

#include "../dsp/layers.h"

// Input transform of F(4,3): two past rows and four new ones, of bytes, into the V rows of the
// slabs; keeps the last two rows in `past`.
void w2s_compact_transform_26(const uint32_t *rows, uint32_t *slabs, uint32_t *past);
void w2s_compact_transform_13(const uint32_t *rows, uint32_t *slabs, uint32_t *past);

// Convolution of the V rows in the slabs, output transform and requantisation; writes four rows.
void w2s_compact_winograd_26(uint32_t *slabs, const uint32_t *weights, uint32_t *rows);
void w2s_compact_winograd_13(uint32_t *slabs, const uint32_t *weights, uint32_t *rows);

// The same four rows by the direct kernel, for a layer outside Winograd's ranges.
void w2s_compact_direct(const w2s_dsp_conv *conv, unsigned bands, uint32_t *rows, uint32_t *past,
                        uint32_t *scratch);

// A row of bytes to pixels of halfwords, from the padding pixel on, and back. The halfwords of a
// pixel hold its channels in the order 0 2 1 3, 4 6 5 7, 8 10 9 11, 12 and 12 of the next.
void w2s_compact_widen(const uint32_t *row, unsigned bands, uint32_t *pixels);
void w2s_compact_narrow(const uint32_t *pixels, unsigned bands, uint32_t *row);

// 3x3 maximum, stride 2, of four rows: rows 2t-1, 2t, 2t+1 to row t, twice. `above` is the odd row
// before, reduced along the bands.
void w2s_compact_pool(const uint32_t *rows, uint32_t *above, uint32_t *out);

#endif
