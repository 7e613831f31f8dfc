// SPDX-License-Identifier: Apache-2.0
//
// modulator.c: the loop of a sigma-delta modulator, on integers: the same bits on any machine.
//
// modulator.py has its coefficients. Error feedback: what the quantiser adds, e, comes back through
// NTF(z) - 1 = (b1 z^-1 + ..) / (1 + a1 z^-1 + ..), so that the output is u + NTF e.
#include <stddef.h>
#include <stdint.h>

#define ONE (INT64_C(1) << 24)  // samples and coefficients are in Q24
#define MOST (8 * ONE)          // of the quantiser's input: an overload ends again

// `state`: e of the last four bits, then what came back then, the latest first. Bits go into bytes
// in time's order, the first one highest; `count` is a multiple of 8.
void host_modulate(const int32_t *u, size_t count, const int32_t b[4], const int32_t a[4],
                   int64_t state[8], uint8_t *bits) {
    int64_t e0 = state[0], e1 = state[1], e2 = state[2], e3 = state[3];
    int64_t w0 = state[4], w1 = state[5], w2 = state[6], w3 = state[7];
    unsigned byte = 1;
    for (const int32_t *const end = u + count; u != end; u++) {
        const int64_t sum = b[0] * e0 + b[1] * e1 + b[2] * e2 + b[3] * e3 - a[0] * w0 - a[1] * w1 -
                            a[2] * w2 - a[3] * w3;
        const int64_t back = (sum + ONE / 2) >> 24;
        int64_t in = *u + back;
        in = in > MOST ? MOST : in < -MOST ? -MOST : in;
        const unsigned bit = in >= 0;
        e3 = e2, e2 = e1, e1 = e0, e0 = (bit ? ONE : -ONE) - in;
        w3 = w2, w2 = w1, w1 = w0, w0 = back;
        byte = byte << 1 | bit;
        if (byte & 0x100) {
            *bits++ = (uint8_t)byte;
            byte = 1;
        }
    }
    state[0] = e0, state[1] = e1, state[2] = e2, state[3] = e3;
    state[4] = w0, state[5] = w1, state[6] = w2, state[7] = w3;
}
