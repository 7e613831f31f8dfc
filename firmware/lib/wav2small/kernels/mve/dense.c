// SPDX-License-Identifier: Apache-2.0
//
// dense.c: `lin` and `sof` of 72K, 169 -> 169, four rows at a time.
//
// A row is eleven vectors of 16, the last seven bytes of which meet weights of 0. A tile is two
// outputs of four rows: eight sums, so that six loads feed eight VMLADAVA.S8.
#include "layers.h"
#include "requantise.h"

// clang-format off
#define LOAD(q, from, i) "vldrw.32 " q ", [%[" from "], #16 * (" i ")]\n\t"
#define STEP(OP, k)                                                             \
    LOAD("q0", "pair", "2 * " k) LOAD("q2", "early", k) LOAD("q1", "pair", "2 * " k " + 1") \
    OP("r0", "q2", "q0") LOAD("q3", "early", k " + 11") OP("r8", "q2", "q1")    \
    OP("r2", "q3", "q0") LOAD("q4", "late", k) OP("r10", "q3", "q1")            \
    OP("r4", "q4", "q0") LOAD("q5", "late", k " + 11") OP("r12", "q4", "q1")    \
    OP("r6", "q5", "q0") OP("r14", "q5", "q1")
#define SET(sum, row, weight) "vmladav.s8 " sum ", " row ", " weight "\n\t"
#define ADD(sum, row, weight) "vmladava.s8 " sum ", " row ", " weight "\n\t"

static inline void tile(const int8_t *in, const int8_t *pair, int32x4_t *first,
                        int32x4_t *second) {
    register int32x4_t a __asm("q0");
    register int32x4_t b __asm("q1");
    __asm(STEP(SET, "0") STEP(ADD, "1") STEP(ADD, "2") STEP(ADD, "3") STEP(ADD, "4")
          STEP(ADD, "5") STEP(ADD, "6") STEP(ADD, "7") STEP(ADD, "8") STEP(ADD, "9")
          STEP(ADD, "10")
          "vmov q0[2], q0[0], r0, r4\n\t"
          "vmov q0[3], q0[1], r2, r6\n\t"
          "vmov q1[2], q1[0], r8, r12\n\t"
          "vmov q1[3], q1[1], r10, r14\n\t"
          : "=w"(a), "=w"(b)
          : [early] "r"(in), [late] "r"(in + 2 * W2S_MVE_ROW), [pair] "r"(pair),
            "m"(*(const int8_t(*)[W2S_MVE_BATCH * W2S_MVE_ROW])in),
            "m"(*(const int8_t(*)[2 * W2S_MVE_ROW])pair)
          : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "r14", "q2", "q3", "q4", "q5");
    *first = a;
    *second = b;
}

// clang-format on

void w2s_mve_dense(const w2s_mve_pair *pairs, const int8_t in[W2S_MVE_BATCH][W2S_MVE_ROW],
                   int8_t out[W2S_MVE_BATCH][W2S_MVE_ROW]) {
    const uint32x4_t rows = w2s_mve_steps(W2S_MVE_ROW);
    const w2s_mve_pair *const end = pairs + W2S_MVE_PAIRS;
    for (int8_t *to = out[0]; pairs < end; pairs++, to += 2) {
        int32x4_t first, second;
        tile(in[0], pairs->weight[0][0], &first, &second);
        w2s_mve_store(to, rows, w2s_mve_add_signed(first, pairs->requant[0]));
        w2s_mve_store(to + 1, rows, w2s_mve_add_signed(second, pairs->requant[1]));
    }
}
