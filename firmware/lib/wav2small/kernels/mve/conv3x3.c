// SPDX-License-Identifier: Apache-2.0
//
// conv3x3.c: l2 .. l7, the 3x3 convolutions 13->13, four rows at a time.
//
// An output is nine VMLADAVA.S8: nine pixels of 16 bytes times nine taps. A tile is one channel at
// two bands and four rows in time: eight sums, in all the registers that VMLADAVA can add to. Six
// lines of four columns are loaded once each; with k-th columns of the filter in turn in q0-q2 and
// q3-q5, so are the nine taps: 33 loads for 72 products.
//
//   column        0      1      2      3         line      0   1   2   3   4   5
//   left band    kx=0   kx=1   kx=2               row 0   ky0 ky1 ky2
//   right band          kx=0   kx=1   kx=2        row 1       ky0 ky1 ky2
//   filter in    q0-2  q3-5   q0-2               row 2           ky0 ky1 ky2
//                       q0-2   q3-5   q0-2        row 3               ky0 ky1 ky2
//
// An odd number of bands leaves a tile of one band.
//
// The compiler runs out of registers here, so the tiles are assembler: sums of the left band in
// r0, r2, r4, r6, of the right one in r8, r10, r12, r14; they come back in the lanes of a vector.
#include "layers.h"
#include "requantise.h"

// clang-format off
#define TAP(q, i) "vldrw.32 " q ", [%[taps], #16 * " #i "]\n\t"
#define PIXEL(q, i) "vldrw.32 " q ", [%[in], #16 * (" i ")]\n\t"
#define SET(sum, pixel, tap) "vmladav.s8 " sum ", " pixel ", " tap "\n\t"
#define ADD(sum, pixel, tap) "vmladava.s8 " sum ", " pixel ", " tap "\n\t"

// A column of pixels times a column of the filter (k0, k1, k2) into four sums; FIRST begins them.
#define COLUMN(at, FIRST, k0, k1, k2, s0, s1, s2, s3)                                      \
    PIXEL("q6", at "+ 0") PIXEL("q7", at "+ 1") FIRST(s0, "q6", k0)                        \
    PIXEL("q6", at "+ 2") ADD(s0, "q7", k1) FIRST(s1, "q7", k0)                            \
    PIXEL("q7", at "+ 3") ADD(s0, "q6", k2) ADD(s1, "q6", k1) FIRST(s2, "q6", k0)          \
    PIXEL("q6", at "+ 4") ADD(s1, "q7", k2) ADD(s2, "q7", k1) FIRST(s3, "q7", k0)          \
    PIXEL("q7", at "+ 5") ADD(s2, "q6", k2) ADD(s3, "q6", k1)                              \
    ADD(s3, "q7", k2)

// The same for both bands: (k0, k1, k2) of the left one, (m0, m1, m2) of the right one.
#define COLUMN_OF_BOTH(at, FIRST, k0, k1, k2, m0, m1, m2)                                  \
    PIXEL("q6", at "+ 0") PIXEL("q7", at "+ 1") ADD("r0", "q6", k0) FIRST("r8", "q6", m0)  \
    PIXEL("q6", at "+ 2") ADD("r0", "q7", k1) ADD("r8", "q7", m1)                          \
    ADD("r2", "q7", k0) FIRST("r10", "q7", m0)                                             \
    PIXEL("q7", at "+ 3") ADD("r0", "q6", k2) ADD("r8", "q6", m2)                          \
    ADD("r2", "q6", k1) ADD("r10", "q6", m1) ADD("r4", "q6", k0) FIRST("r12", "q6", m0)    \
    PIXEL("q6", at "+ 4") ADD("r2", "q7", k2) ADD("r10", "q7", m2)                         \
    ADD("r4", "q7", k1) ADD("r12", "q7", m1) ADD("r6", "q7", k0) FIRST("r14", "q7", m0)    \
    PIXEL("q7", at "+ 5") ADD("r4", "q6", k2) ADD("r12", "q6", m2)                         \
    ADD("r6", "q6", k1) ADD("r14", "q6", m1) ADD("r6", "q7", k2) ADD("r14", "q7", m2)

#define LEFT "r0", "r2", "r4", "r6"
#define RIGHT "r8", "r10", "r12", "r14"
#define A "q0", "q1", "q2"
#define B "q3", "q4", "q5"
// Expands the lists above before COLUMN counts its arguments.
#define SPREAD(macro, ...) macro(__VA_ARGS__)

static inline void tile_of_two(const int8_t *in, const int8_t *taps, int32x4_t *left,
                               int32x4_t *right) {
    register int32x4_t l __asm("q3");
    register int32x4_t r __asm("q4");
    __asm(TAP("q0", 0) TAP("q1", 1) TAP("q2", 2)
          SPREAD(COLUMN, "0", SET, A, LEFT)
          TAP("q3", 3) TAP("q4", 4) TAP("q5", 5)
          SPREAD(COLUMN_OF_BOTH, "6", SET, B, A)
          TAP("q0", 6) TAP("q1", 7) TAP("q2", 8)
          SPREAD(COLUMN_OF_BOTH, "12", ADD, A, B)
          "vmov q3[2], q3[0], r0, r4\n\t"
          "vmov q3[3], q3[1], r2, r6\n\t"
          SPREAD(COLUMN, "18", ADD, A, RIGHT)
          "vmov q4[2], q4[0], r8, r12\n\t"
          "vmov q4[3], q4[1], r10, r14\n\t"
          : "=w"(l), "=w"(r)
          : [in] "r"(in), [taps] "r"(taps), "m"(*(const int8_t(*)[4 * W2S_MVE_COLUMN])in),
            "m"(*(const int8_t(*)[9 * W2S_MVE_LANES])taps)
          : LEFT, RIGHT, A, "q5", "q6", "q7");
    *left = l;
    *right = r;
}

static inline int32x4_t tile_of_one(const int8_t *in, const int8_t *taps) {
    register int32x4_t sums __asm("q3");
    __asm(TAP("q0", 0) TAP("q1", 1) TAP("q2", 2)
          SPREAD(COLUMN, "0", SET, A, LEFT)
          TAP("q3", 3) TAP("q4", 4) TAP("q5", 5)
          SPREAD(COLUMN, "6", ADD, B, LEFT)
          TAP("q0", 6) TAP("q1", 7) TAP("q2", 8)
          SPREAD(COLUMN, "12", ADD, A, LEFT)
          "vmov q3[2], q3[0], r0, r4\n\t"
          "vmov q3[3], q3[1], r2, r6\n\t"
          : "=w"(sums)
          : [in] "r"(in), [taps] "r"(taps), "m"(*(const int8_t(*)[3 * W2S_MVE_COLUMN])in),
            "m"(*(const int8_t(*)[9 * W2S_MVE_LANES])taps)
          : LEFT, A, "q4", "q5", "q6", "q7");
    return sums;
}

// clang-format on

void w2s_mve_conv3x3(const w2s_mve_filter *filters, const w2s_mve_column *in, unsigned bands,
                     int8_t *out, unsigned band_step, unsigned row_step) {
    const uint32x4_t rows = w2s_mve_steps(row_step);
    const w2s_mve_filter *const end = filters + W2S_CHANNELS;
    for (; bands > 1; bands -= 2, in += 2, out += 2 * band_step) {
        int8_t *to = out;
        for (const w2s_mve_filter *filter = filters; filter < end; filter++, to++) {
            const w2s_mve_relu relu = filter->relu;
            int32x4_t left, right;
            tile_of_two(in[0][0], filter->tap[0][0], &left, &right);
            w2s_mve_store(to, rows, w2s_mve_add_relu(left, relu));
            w2s_mve_store(to + band_step, rows, w2s_mve_add_relu(right, relu));
        }
    }
    if (bands == 0) return;
    for (const w2s_mve_filter *filter = filters; filter < end; filter++, out++) {
        int32x4_t sums = tile_of_one(in[0][0], filter->tap[0][0]);
        w2s_mve_store(out, rows, w2s_mve_add_relu(sums, filter->relu));
    }
}
