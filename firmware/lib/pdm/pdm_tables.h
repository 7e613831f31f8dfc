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
    {BYTE(0x003a07070841007c, 0x0024066108cf00aa, 0x001505b8094f00e2, 0x000a051009be0125, 0x0004046c0a190175, 0x000103ce0a5e01d1, 0x0000033a0a89023a, 0x000002b30a9902b3)},
    {BYTE(0x023a0a89033a0000, 0x01d10a5e03ce0001, 0x01750a19046c0004, 0x012509be0510000a, 0x00e2094f05b80015, 0x00aa08cf06610024, 0x007c08410707003a, 0x005707a807a80057)},
};
static const uint64_t pdm_table_2048khz[4][256] = {
    {BYTE(0x0004025f04f600a7, 0x00020236050b00bb, 0x0001020f051e00d1, 0x000101e8052d00e9, 0x000001c2053a0103, 0x0000019e0543011e, 0x0000017b0549013b, 0x0000015a054a015a)},
    {BYTE(0x002403ac03fa0035, 0x001d03830420003f, 0x0018035a04440049, 0x0013033004670056, 0x000e030604870063, 0x000b02dc04a60072, 0x000802b204c30082, 0x0005028804de0093)},
    {BYTE(0x008204c302b20008, 0x007204a602dc000b, 0x006304870306000e, 0x0056046703300013, 0x00490444035a0018, 0x003f04200383001d, 0x003503fa03ac0024, 0x002c03d303d3002c)},
    {BYTE(0x013b0549017b0000, 0x011e0543019e0000, 0x0103053a01c20000, 0x00e9052d01e80001, 0x00d1051e020f0001, 0x00bb050b02360002, 0x00a704f6025f0004, 0x009304de02880005)},
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
