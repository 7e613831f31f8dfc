// SPDX-License-Identifier: Apache-2.0
//
// pdm_tables.h: constants of the two filters. Generated: `w2s generate --tables`.
#ifndef PDM_TABLES_H
#define PDM_TABLES_H

#include <stdint.h>

// clang-format off

// All sums of a byte's bits, by their weights from the lowest bit on.
#define SUMS1(s, a) s, s + a
#define SUMS2(s, a, b) SUMS1(s, a), SUMS1(s + b, a)
#define SUMS3(s, a, b, c) SUMS2(s, a, b), SUMS2(s + c, a, b)
#define SUMS4(s, a, b, c, d) SUMS3(s, a, b, c), SUMS3(s + d, a, b, c)
#define SUMS5(s, a, b, c, d, e) SUMS4(s, a, b, c, d), SUMS4(s + e, a, b, c, d)
#define SUMS6(s, a, b, c, d, e, f) SUMS5(s, a, b, c, d, e), SUMS5(s + f, a, b, c, d, e)
#define SUMS7(s, a, b, c, d, e, f, g) SUMS6(s, a, b, c, d, e, f), SUMS6(s + g, a, b, c, d, e, f)
#define SUMS8(s, a, b, c, d, e, f, g, h) SUMS7(s, a, b, c, d, e, f, g), SUMS7(s + h, a, b, c, d, e, f, g)
#define BYTE(a, b, c, d, e, f, g, h) SUMS8(UINT64_C(0), a, b, c, d, e, f, g, h)

// First filter: what each byte of a sample adds to the lanes.
static const uint64_t pdm_table_1024khz[2][256] = {
    {BYTE(0x003a0708083f007d, 0x0025066008ce00ab, 0x001505b8094e00e3, 0x000b050f09be0126, 0x0005046a0a1b0174, 0x000203cc0a6001d0, 0x000103380a8b023a, 0x000002b30a9802b3)},
    {BYTE(0x023a0a8b03380001, 0x01d00a6003cc0002, 0x01740a1b046a0005, 0x012609be050f000b, 0x00e3094e05b80015, 0x00ab08ce06600025, 0x007d083f0708003a, 0x005807a607a90057)},
};
static const uint64_t pdm_table_2048khz[4][256] = {
    {BYTE(0x0004025f04f500a7, 0x00030235050c00bb, 0x0002020d051f00d1, 0x000101e7052e00e9, 0x000101c0053c0102, 0x0000019e0543011e, 0x0000017b0549013b, 0x0000015a054b015a)},
    {BYTE(0x002403ad03f80036, 0x001e03820421003e, 0x0018035a0443004a, 0x0013033004660056, 0x000f030504880063, 0x000b02dc04a60072, 0x000802b204c30082, 0x0006028704df0093)},
    {BYTE(0x008204c302b20008, 0x007204a602dc000b, 0x006304880305000f, 0x0056046603300013, 0x004a0443035a0018, 0x003e04210382001e, 0x003603f803ad0024, 0x002c03d403d2002d)},
    {BYTE(0x013b0549017b0000, 0x011e0543019e0000, 0x0102053c01c00001, 0x00e9052e01e70001, 0x00d1051f020d0002, 0x00bb050c02350003, 0x00a704f5025f0004, 0x009304df02870006)},
};

// Second filter.
static const int16_t pdm_taps[96] = {
    1, 21, 39, 57, 63, 47, 9, -36, -68, -66, -24, 42, 96, 104, 50, -45, -133, -158, -92, 43, 178,
    231, 154, -31, -232, -328, -243, 6, 297, 462, 375, 42, -381, -655, -581, -133, 498, 967, 946,
    320, -698, -1604, -1798, -866, 1195, 3904, 6447, 7984, 7984, 6447, 3904, 1195, -866, -1798,
    -1604, -698, 320, 946, 967, 498, -133, -581, -655, -381, 42, 375, 462, 297, 6, -243, -328,
    -232, -31, 154, 231, 178, 43, -92, -158, -133, -45, 50, 104, 96, 42, -24, -66, -68, -36, 9,
    47, 63, 57, 39, 21, 1,
};

// Its sums, halved, to samples at a gain of 1/256, Q32.
#define PDM_MULTIPLIER 1036

// clang-format on

#endif
