// SPDX-License-Identifier: Apache-2.0
//
// fuzz_library.c: any audio, under any statistics, cut in any way, through the front end and the
// network.
// Promises (docs/security.md): S1, S6.
//
// Input: a head of HEAD bytes, then samples, which are repeated and scaled as the head says.
#include <string.h>

#include "check.h"
#include "logmel.h"
#include "norm.h"
#include "wav2small.h"

extern const w2s_model w2s_model_data;

enum { HEAD = 28, MOST = 1 << 13, MOST_NETWORK = 1200 };

typedef struct {
    uint8_t choice;  // bit 0: live; bit 1: true statistics; bits 2 and up: 0 for the network
    uint8_t piece;
    uint8_t times;
    uint8_t gain;
    w2s_stats stats;
} head_t;

static int16_t pcm[MOST];

static uint64_t load64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static head_t read_head(const uint8_t *data) {
    return (head_t){data[0],
                    data[1],
                    data[2],
                    data[3],
                    {load64(data + 4), (int64_t)load64(data + 12), load64(data + 20)}};
}

// Samples of the input, again and again, louder by 2^(gain % 16) and clipped.
static size_t fill(const head_t *head, const uint8_t *data, size_t size) {
    const size_t given = size / 2, count = given * (1u + head->times);
    const size_t most = head->choice >> 2 == 0 ? MOST_NETWORK : MOST;
    const size_t used = count < most ? count : most;
    for (size_t i = 0; i < used; ++i) {
        int16_t sample;
        memcpy(&sample, data + 2 * (i % given), sizeof sample);
        const int64_t loud = (int64_t)sample * ((int64_t)1 << head->gain % 16u);
        pcm[i] = (int16_t)(loud > INT16_MAX ? INT16_MAX : loud < INT16_MIN ? INT16_MIN : loud);
    }
    return used;
}

static void check_row(const int16_t row[W2S_MEL]) {
    CHECK(row[0] == W2S_DB_FLOOR);
    for (unsigned band = 0; band < W2S_MEL; ++band) {
        CHECK(row[band] >= W2S_DB_FLOOR && row[band] <= 200 * W2S_DB);
    }
}

/// The front end alone: fast, so any length ///

static void front_end(const head_t *head, const w2s_stats *stats, size_t count) {
    const bool live = (head->choice & 1u) != 0;
    w2s_norm_state state;
    uint32_t before = 0;
    w2s_norm_reset(&state);
    if (!live && !w2s_norm_given(&state, stats)) {
        return;
    }
    for (size_t end = 0; end + W2S_HOP <= count; end += W2S_HOP) {
        int16_t row[W2S_MEL];
        const uint32_t used = w2s_norm_hop(&state, pcm + end, live);
        if (end > 0) {
            w2s_logmel(pcm + end - W2S_HOP, before | used, state.mean_q14, state.log2_scale, true,
                       row);
            check_row(row);
        }
        before = used;
    }
    if (stats->samples != 0) {
        (void)w2s_log2_q16(stats->samples);
    }
}

/// The whole library ///

typedef struct {
    uint32_t rows[W2S_TAPS];
    uint32_t digest;
} seen_t;

static void see(void *user, w2s_tap layer, uint32_t row, const void *data, size_t bytes) {
    seen_t *seen = user;
    const uint8_t *values = data;
    CHECK(row == seen->rows[layer]++);
    if (layer == W2S_TAP_LOGMEL) {
        int16_t decibels[W2S_MEL];
        CHECK(bytes == sizeof decibels);
        memcpy(decibels, data, sizeof decibels);
        check_row(decibels);
    }
    for (size_t i = 0; i < bytes; ++i) {
        seen->digest = (seen->digest ^ values[i] ^ (uint32_t)layer) * 16777619u;
    }
}

static w2s_status run(const head_t *head, const w2s_stats *stats, size_t count, size_t piece,
                      seen_t *seen, w2s_adv *adv) {
    static w2s_context context;
    const w2s_norm norm = (head->choice & 1u) != 0 ? W2S_NORM_LIVE : W2S_NORM_GIVEN;
    memset(&context, 0xA5, sizeof context);  // nothing may depend on zeroed memory
    CHECK(w2s_init(&context, &w2s_model_data) == W2S_OK);
    w2s_set_tap(&context, see, seen, (1u << W2S_TAPS) - 1u);
    const w2s_status started = w2s_start(&context, norm, stats);
    if (started != W2S_OK) {
        CHECK(started == W2S_E_ARG && norm == W2S_NORM_GIVEN);
        return started;
    }
    for (size_t at = 0; at < count; at += piece) {
        CHECK(w2s_push(&context, pcm + at, piece < count - at ? piece : count - at) == W2S_OK);
    }
    const w2s_status status = w2s_finish(&context, adv);
    const uint32_t frames = count < W2S_FRAME ? 0 : (uint32_t)((count - W2S_FRAME) / W2S_HOP + 1);
    CHECK(status == (frames > 0 ? W2S_OK : W2S_E_SHORT));
    CHECK(w2s_rows(&context, W2S_TAP_LOGMEL) == frames);
    CHECK(w2s_rows(&context, W2S_TAP_LIN) == (frames + 1) / 2);
    return status;
}

// The answer does not depend on how the audio is cut.
static void whole(const head_t *head, const w2s_stats *stats, size_t count) {
    seen_t seen = {{0}, 0}, seen_again = {{0}, 0};
    w2s_adv adv = {0, 0, 0}, again = {0, 0, 0};
    const w2s_status status = run(head, stats, count, MOST, &seen, &adv);
    CHECK(run(head, stats, count, 1u + head->piece, &seen_again, &again) == status);
    CHECK(seen.digest == seen_again.digest);
    CHECK(adv.arousal == again.arousal && adv.dominance == again.dominance &&
          adv.valence == again.valence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < HEAD + 2) {
        return 0;
    }
    const head_t head = read_head(data);
    const size_t count = fill(&head, data + HEAD, size - HEAD);
    w2s_stats stats = head.stats;
    if ((head.choice & 2u) != 0) {
        stats = (w2s_stats){0, 0, 0};
        w2s_stats_add(&stats, pcm, count);
    }
    if (head.choice >> 2 == 0) {
        whole(&head, &stats, count);
    } else {
        front_end(&head, &stats, count);
    }
    return 0;
}
