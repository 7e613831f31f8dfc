/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <string.h>

#include "board.h"
#include "profile.h"

/// The wire and the library name the same things by the same numbers ///

_Static_assert((int)LINK_NORM_GIVEN == W2S_NORM_GIVEN, "norm");
_Static_assert((int)LINK_NORM_LIVE == W2S_NORM_LIVE, "norm");
_Static_assert((int)LINK_NORM_BUFFERED == W2S_NORM_BUFFERED, "norm");
_Static_assert((int)LINK_LAYERS == W2S_TAPS, "layers");
_Static_assert((int)LINK_BLOCK_SAMPLES == BOARD_MICROPHONE_BLOCK, "a block is a block");
_Static_assert((int)LINK_LAYER_L1 == W2S_TAP_L1 && (int)LINK_LAYER_L4 == W2S_TAP_L4, "layers");
_Static_assert((int)LINK_LAYER_POOL == W2S_TAP_POOL, "layers");
_Static_assert((int)LINK_LAYER_LIN == W2S_TAP_LIN && (int)LINK_LAYER_SOF == W2S_TAP_SOF, "layers");

enum {
    CONSOLE_WINDOW = 4,  /* segments: two seconds, when START asks for no window */
    WINDOW_DECIMALS = 2, /* of what is printed for people */
};

/// Hooks of the library ///

/* The library reads its clock at every row. That is also where a long call, such as the end of
 * a buffered clip, shows the watchdog that it gets on. */
static uint64_t read_clock(void) {
    board_watchdog_kick();
    return board_ticks();
}

/* The session's own clock: of the same kind as the library's. */
static uint64_t now(const session_t *session) {
    return session->profile ? board_work_ticks() : board_ticks();
}

/* A board that is late with its own microphone leaves rows out, rather than sound. */
static void send_row(void *user, w2s_tap layer, uint32_t row, const void *data, size_t bytes) {
    session_t *session = user;
    if (session_is_due(session)) {
        return;
    }
    const uint64_t begin = now(session);
    const link_row_t head = {
        .session = session->id,
        .layer = (uint8_t)layer,
        .element_size = layer == W2S_TAP_LOGMEL ? sizeof(int16_t) : sizeof(int8_t),
        .row = row,
    };
    outlet_event(session->outlet, LINK_ROW, &head, sizeof head, data, bytes);
    session->ticks_sending += now(session) - begin;
}

/// Windows ///

/* The network answers for a half second some milliseconds after its last sample: long before the
 * next half second is whole, so the last whole one is always the one that is reported. */
enum { SEGMENT_SAMPLES = W2S_SEGMENT_ROWS * 2 * W2S_HOP };

static uint32_t square_root(uint64_t square) {
    uint32_t root = 0;
    for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
        uint64_t trial = (uint64_t)root | bit;
        if (trial * trial <= square) {
            root = (uint32_t)trial;
        }
    }
    return root;
}

static uint64_t sum_of_squares(const int16_t *pcm, size_t count) {
    int64_t sum = 0;
    for (size_t i = 0; i < count; ++i) {
        sum += (int64_t)pcm[i] * pcm[i]; /* SMLALBB: one cycle on a Cortex-M4 */
    }
    return (uint64_t)sum;
}

static void add_to_level(session_t *session, const int16_t *pcm, size_t count) {
    while (count > 0) {
        const size_t missing = SEGMENT_SAMPLES - session->level_samples;
        const size_t length = count < missing ? count : missing;
        session->level_squares += sum_of_squares(pcm, length);
        session->level_samples += (uint32_t)length;
        pcm += length;
        count -= length;
        if (session->level_samples == SEGMENT_SAMPLES) {
            session->level_rms = square_root(session->level_squares / SEGMENT_SAMPLES);
            session->level_squares = 0;
            session->level_samples = 0;
        }
    }
}

static void print_window(const session_t *session, const w2s_adv *adv) {
    const uint32_t lost = session_lost(session);
    text_t line;
    text_start(&line, "A ");
    text_add_q16(&line, adv->arousal, WINDOW_DECIMALS);
    text_add(&line, " D ");
    text_add_q16(&line, adv->dominance, WINDOW_DECIMALS);
    text_add(&line, " V ");
    text_add_q16(&line, adv->valence, WINDOW_DECIMALS);
    if (lost > 0) {
        text_add(&line, ", lost ");
        text_add_number(&line, lost);
        text_add(&line, " samples");
    }
    outlet_text(&line);
}

static void send_window(session_t *session, const w2s_adv *adv) {
    const link_window_t window = {
        .session = session->id,
        .segment = session->segments - 1u,
        .arousal = adv->arousal,
        .dominance = adv->dominance,
        .valence = adv->valence,
        .level_rms = session->level_rms,
        .lost_samples = session_lost(session),
    };
    outlet_event(session->outlet, LINK_WINDOW, &window, sizeof window, NULL, 0);
}

static bool is_printed(const session_t *session) {
    return session->live && (session->print_windows || session->id == SESSION_OF_CONSOLE);
}

/* Says what the half second that has just ended brought. */
static void report_window(session_t *session) {
    const uint32_t length =
        session->window_segments > 0 ? session->window_segments : CONSOLE_WINDOW;
    w2s_adv adv;
    if (w2s_window(&session->engine, length, &adv) != W2S_OK) {
        return;
    }
    const uint64_t begin = now(session);
    if (session->window_segments > 0) {
        send_window(session, &adv);
    }
    if (is_printed(session)) {
        print_window(session, &adv);
    }
    session->ticks_sending += now(session) - begin;
}

static void watch_segments(session_t *session) {
    const uint32_t finished = w2s_segments(&session->engine);
    if (finished == session->segments) {
        return;
    }
    session->segments = finished;
    if (session->window_segments > 0 || is_printed(session)) {
        report_window(session);
    }
}

/// Life of a session ///

static void turn_microphone_off(session_t *session) {
    if (session->hears) {
        session->hears = false;
        board_microphone_stop();
    }
}

w2s_status session_init(session_t *session, const w2s_model *model, outlet_t *outlet) {
    memset(session, 0, sizeof *session);
    session->model = model;
    session->outlet = outlet;
    session->model_status = w2s_init(&session->engine, model);
    w2s_set_clock(&session->engine, read_clock);
    return session->model_status;
}

w2s_status session_start(session_t *session, const link_start_t *request) {
    const w2s_stats stats = {
        .samples = request->samples,
        .sum = request->sum,
        .sum_squares = request->sum_squares,
    };
    const w2s_norm norm = (w2s_norm)request->norm;
    turn_microphone_off(session);
    session->id = request->session;
    session->source = request->source;
    session->next_block = 0;
    session->samples = 0;
    session->result = (w2s_adv){0, 0, 0};
    session->window_segments = request->window_segments;
    session->live = norm == W2S_NORM_LIVE;
    session->segments = 0;
    session->level_squares = 0;
    session->level_samples = 0;
    session->level_rms = 0;
    session->ticks_total = 0;
    session->ticks_sending = 0;
    session->profile = (request->options & LINK_OPTION_PROFILE) != 0;
    profile_start(session->profile);
    w2s_set_clock(&session->engine, session->profile ? profile_clock : read_clock);
    w2s_set_tap(&session->engine, send_row, session, request->tap_mask);
    session->status = session->model_status;
    if (session->status == W2S_OK) {
        session->status = w2s_start(&session->engine, norm, norm == W2S_NORM_GIVEN ? &stats : NULL);
    }
    session->state = session->status == W2S_OK ? SESSION_RUNNING : SESSION_NONE;
    return session->status;
}

static w2s_status run_block(session_t *session, const int16_t *pcm, size_t count) {
    const uint64_t begin = now(session) - session->ticks_sending;
    /* Hop by hop: the profiler knows a hop by its call of w2s_push(). */
    for (size_t done = 0; done < count && session->status == W2S_OK; done += W2S_HOP) {
        const size_t length = count - done < W2S_HOP ? count - done : W2S_HOP;
        session->status = w2s_push(&session->engine, pcm + done, length);
    }
    session->ticks_total += now(session) - session->ticks_sending - begin;
    add_to_level(session, pcm, count);
    session->samples += count;
    ++session->next_block;
    if (session->status != W2S_OK) {
        session->state = SESSION_FAILED;
        turn_microphone_off(session);
        return session->status;
    }
    watch_segments(session);
    return W2S_OK;
}

static w2s_status take_block(session_t *session, const int16_t *pcm, size_t count) {
    board_marker(true);
    const w2s_status status = run_block(session, pcm, count);
    board_marker(false);
    return status;
}

static w2s_status profile_block(session_t *session, const int16_t *pcm, size_t count) {
    const profile_mark_t before = profile_mark(session);
    const uint32_t block = session->next_block;
    const w2s_status status = take_block(session, pcm, count);
    profile_send(session, block, &before);
    return status;
}

w2s_status session_push(session_t *session, const int16_t *pcm, size_t count) {
    return session->profile ? profile_block(session, pcm, count) : take_block(session, pcm, count);
}

/// What the microphone hears ///

bool session_hear(session_t *session, bool echoes) {
    session->microphone_before = board_microphone_overruns();
    session->echoes = echoes;
    session->hears = board_microphone_start();
    if (!session->hears) {
        session_stop(session);
    }
    return session->hears;
}

uint32_t session_lost(const session_t *session) {
    return session->hears ? board_microphone_overruns() - session->microphone_before : 0;
}

bool session_is_due(const session_t *session) {
    return session->hears && board_microphone_waiting() >= BOARD_MICROPHONE_BLOCK;
}

static void send_heard(session_t *session, uint64_t sample, const int16_t *pcm, size_t count) {
    const uint64_t begin = now(session);
    const link_heard_t head = {.session = session->id, .sample = sample};
    outlet_event(session->outlet, LINK_HEARD, &head, sizeof head, pcm, count * sizeof *pcm);
    session->ticks_sending += now(session) - begin;
}

/* Where the next block waits already, the board is late, and has no time to send this one. */
static void take_heard(session_t *session, size_t size) {
    int16_t pcm[BOARD_MICROPHONE_BLOCK];
    const uint64_t sample = session->samples + session_lost(session);
    const size_t count = board_microphone_read(pcm, size);
    if (session_push(session, pcm, count) == W2S_OK && session->echoes &&
        !session_is_due(session)) {
        send_heard(session, sample, pcm, count);
    }
}

void session_take_heard(session_t *session) { take_heard(session, BOARD_MICROPHONE_BLOCK); }

void session_hear_end(session_t *session) {
    size_t left = session->hears ? board_microphone_waiting() : 0;
    while (left > 0 && session->hears) {
        const size_t size = left < BOARD_MICROPHONE_BLOCK ? left : BOARD_MICROPHONE_BLOCK;
        take_heard(session, size);
        left -= size;
    }
    turn_microphone_off(session);
}

/// The end ///

void session_finish(session_t *session) {
    board_marker(true);
    const uint64_t begin = now(session) - session->ticks_sending;
    session->status = w2s_finish(&session->engine, &session->result);
    session->ticks_total += now(session) - session->ticks_sending - begin;
    board_marker(false);
    session->state = SESSION_FINISHED;
}

void session_stop(session_t *session) {
    turn_microphone_off(session);
    session->state = SESSION_NONE;
    session->id = 0;
}

/// What a session cost ///

session_ticks_t session_ticks(const session_t *session) {
    session_ticks_t ticks = {
        .front_end = w2s_ticks(&session->engine, W2S_TAP_LOGMEL),
        .pool = w2s_ticks(&session->engine, W2S_TAP_INPUT),
        .total = session->ticks_total,
    };
    for (int layer = W2S_TAP_L1; layer < W2S_TAPS; ++layer) {
        ticks.network += w2s_ticks(&session->engine, (w2s_tap)layer);
    }
    return ticks;
}

uint32_t session_frames(const session_t *session) {
    return w2s_rows(&session->engine, W2S_TAP_LOGMEL);
}

uint32_t session_rows(const session_t *session) { return w2s_rows(&session->engine, W2S_TAP_LIN); }
