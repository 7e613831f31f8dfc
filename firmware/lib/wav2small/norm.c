// SPDX-License-Identifier: Apache-2.0
//
// norm.c: Wav2Small divides the signal by sqrt(var + 1e-7) after taking the mean away. In decibels
// that is a shift of the log-mel, so the samples themselves are never scaled.
#include "norm.h"

#include "logmel.h"

#include <string.h>

// 1e-7 of full scale squared, in squared sample steps, Q8: 1e-7 * 2^30 * 256.
#define EPSILON_Q8 27488

// Running means are Q24: 2^35 of a hop's squares still fits, and steps lost to division are small.
#define RUNNING_ONE ((int64_t)1 << 24)

static void set(w2s_norm_state *state, int64_t mean_q14, int64_t power_q8) {
    int64_t variance_q8 = power_q8 - ((mean_q14 * mean_q14) >> 20);
    if (variance_q8 < 0) variance_q8 = 0;
    state->mean_q14 = (int32_t)mean_q14;
    state->log2_scale = w2s_log2_q16((uint64_t)variance_q8 + EPSILON_Q8) - 8 * 65536;
}

void w2s_norm_reset(w2s_norm_state *state) {
    memset(state, 0, sizeof *state);
    set(state, 0, 0);
}

bool w2s_norm_given(w2s_norm_state *state, const w2s_stats *stats) {
    uint64_t n = stats->samples;
    // 2^36 samples are 49 days: below, nothing here overflows.
    if (n == 0 || n >> 36 != 0 || stats->sum_squares / n > (uint64_t)1 << 30) return false;
    if (stats->sum > (int64_t)n * INT16_MAX || stats->sum < (int64_t)n * INT16_MIN) return false;
    int64_t whole = stats->sum / (int64_t)n, rest = stats->sum % (int64_t)n;
    uint64_t power = stats->sum_squares / n, power_rest = stats->sum_squares % n;
    set(state, whole * 16384 + rest * 16384 / (int64_t)n,
        (int64_t)(power * 256 + power_rest * 256 / n));
    return true;
}

uint32_t w2s_norm_hop(w2s_norm_state *state, const int16_t hop[W2S_HOP], bool running) {
    int32_t sum = 0, used = 0;
    uint64_t squares = 0;
    for (unsigned i = 0; i < W2S_HOP; i += 2) {
        int32_t x = hop[i], y = hop[i + 1];
        sum += x + y;
        squares += (uint32_t)(x * x) + (uint32_t)(y * y);  // 2^31 at most
        used |= (x ^ (x >> 31)) | (y ^ (y >> 31));         // ones' complement: -1 is as small as 0
    }
    state->total.samples += W2S_HOP;
    state->total.sum += sum;
    state->total.sum_squares += squares;
    if (running) {
        if (state->hops < W2S_LIVE_HOPS) state->hops++;
        // 1/n at first, then an exponential window: m += (s - m) / min(n, 2500)
        state->mean += ((int64_t)sum * RUNNING_ONE - state->mean) / (int32_t)state->hops;
        state->power += ((int64_t)squares * RUNNING_ONE - state->power) / (int32_t)state->hops;
        // A hop's sums are 32 samples': Q24 / 32 is Q14 after 15 bits, Q8 after 21
        set(state, state->mean >> 15, state->power >> 21);
    }
    return (uint32_t)used;
}

void w2s_stats_add(w2s_stats *stats, const int16_t *pcm, size_t count) {
    stats->samples += count;
    for (size_t i = 0; i < count; i++) {
        stats->sum += pcm[i];
        stats->sum_squares += (uint32_t)(pcm[i] * pcm[i]);
    }
}
