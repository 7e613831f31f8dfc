/* SPDX-License-Identifier: Apache-2.0 */
#include "mlperf.h"

#include <string.h>

#include "board.h"
#include "mlperf_command.h"
#include "version.h"

enum {
    ROW_BYTES = 8,         /* of a line of `db print` */
    ANSWER_DECIMALS = 5,   /* 10^-5 is less than a step of Q16: the text tells the exact integer */
    PULSE_US = 10,         /* how long the marker stays up; the runner's meters want 1 */
    LONGEST_ECHO = 40,     /* characters of an unknown command that are said again */
    MICROSECONDS = 1000000 /* in a second */
};

/// Lines ///

static void say_number(const char *before, uint64_t number, const char *after) {
    text_t line;
    text_start(&line, before);
    text_add_number(&line, number);
    text_add(&line, after);
    outlet_text(&line);
}

static void say_error(const char *complaint) {
    text_t line;
    text_start(&line, "e-[");
    text_add(&line, complaint);
    text_add(&line, "]");
    outlet_text(&line);
}

static void say_ready(void) { outlet_print("m-ready"); }

static void say_unknown(const mlperf_command_t *command) {
    char word[LONGEST_ECHO + 1] = {0};
    text_t line;
    memcpy(word, command->word,
           command->word_length < LONGEST_ECHO ? command->word_length : LONGEST_ECHO);
    text_start(&line, "e-[Unknown command: ");
    text_add(&line, word);
    text_add(&line, "]");
    outlet_text(&line);
}

static void say_mode(const mlperf_t *mlperf) {
    outlet_print(mlperf->energy ? "m-timestamp-mode-energy" : "m-timestamp-mode-performance");
}

static void say_profile(const mlperf_t *mlperf) {
    text_t line;
    text_start(&line, "m-profile-[Wav2Small Micro ");
    text_add_number(&line, FIRMWARE_VERSION_MAJOR);
    text_add(&line, ".");
    text_add_number(&line, FIRMWARE_VERSION_MINOR);
    text_add(&line, ".");
    text_add_number(&line, FIRMWARE_VERSION_PATCH);
    text_add(&line, ", ");
    text_add(&line, mlperf->session->model->name);
    text_add(&line, "]");
    outlet_text(&line);
    outlet_print("m-model-[" MLPERF_MODEL "]");
}

static void say_help(void) {
    outlet_print("name         : which device this is");
    outlet_print("profile      : its firmware and its model");
    outlet_print("timestamp    : a time in us as m-lap-us-N, or a pulse of the marker");
    outlet_print("mode [M]     : performance (times as text) or energy (as pulses)");
    outlet_print("db load N    : expect N bytes: int16 samples, the low byte first, 16 kHz");
    outlet_print("db HH[HH]    : the next bytes");
    outlet_print("db print [N] [OFFSET] : N of them again, all without N");
    outlet_print("infer [N] [W]: N timed runs after W others; without them 1 and 10");
    outlet_print("results      : arousal, dominance, valence of the last run");
}

static void say_results(const mlperf_t *mlperf) {
    const int32_t answers[W2S_OUTPUTS] = {mlperf->answer.arousal, mlperf->answer.dominance,
                                          mlperf->answer.valence};
    text_t line;
    if (!mlperf->has_answer) {
        say_error("No results: 'infer' comes first");
        return;
    }
    text_start(&line, "m-results-[");
    for (int i = 0; i < W2S_OUTPUTS; ++i) {
        text_add(&line, i > 0 ? "," : "");
        text_add_q16(&line, answers[i], ANSWER_DECIMALS);
    }
    text_add(&line, "]");
    outlet_text(&line);
}

/// Time stamps ///

static uint64_t microseconds(void) {
    const uint64_t ticks = board_ticks();
    const uint64_t hz = board_facts()->tick_hz;
    return ticks / hz * MICROSECONDS + ticks % hz * MICROSECONDS / hz;
}

/* A pulse has one edge of either kind: the power monitor counts one. */
static void give_pulse(void) {
    const uint64_t begin = microseconds();
    board_marker(true);
    while (microseconds() - begin < PULSE_US) {
    }
    board_marker(false);
}

static void give_timestamp(const mlperf_t *mlperf) {
    if (mlperf->energy) {
        give_pulse();
    } else {
        say_number("m-lap-us-", microseconds(), "");
    }
}

/// The buffer ///

static void load(mlperf_t *mlperf, uint32_t size) {
    mlperf->size = 0; /* whatever was there: the runner goes on after a refusal */
    mlperf->loaded = 0;
    if (size > mlperf->capacity) {
        say_number("e-[Too long for the buffer: ", mlperf->capacity, " bytes fit]");
    } else if (size % sizeof(int16_t) != 0) {
        say_error("A sample has 2 bytes: the number must be even");
    } else {
        mlperf->size = size;
        say_number("m-[Expecting ", size, " bytes]");
    }
}

static void add_bytes(mlperf_t *mlperf, const mlperf_command_t *command) {
    const uint32_t expected = mlperf->size - mlperf->loaded;
    if (command->count > expected) {
        say_number("e-[More bytes than expected: ", expected, "]");
        return;
    }
    memcpy(mlperf->buffer + mlperf->loaded, command->bytes, command->count);
    mlperf->loaded += (uint32_t)command->count;
    if (mlperf->loaded == mlperf->size) {
        outlet_print("m-load-done");
    }
}

static void print_row(const uint8_t *bytes, uint32_t count) {
    text_t line;
    text_start(&line, "m-buffer");
    for (uint32_t i = 0; i < count; ++i) {
        text_add(&line, "-");
        text_add_hex(&line, bytes[i], 2);
    }
    outlet_text(&line);
}

static void print_bytes(const mlperf_t *mlperf, uint32_t count, uint32_t offset) {
    if (offset > mlperf->loaded) {
        say_number("e-[Beyond what is loaded: ", mlperf->loaded, " bytes]");
        return;
    }
    if (count > mlperf->loaded - offset) {
        count = mlperf->loaded - offset;
    }
    for (uint32_t done = 0; done < count; done += ROW_BYTES) {
        print_row(mlperf->buffer + offset + done,
                  count - done < ROW_BYTES ? count - done : ROW_BYTES);
    }
}

/// Inference ///

static void begin_phase(mlperf_t *mlperf, mlperf_phase_t phase, uint32_t runs) {
    mlperf->phase = phase;
    mlperf->left = runs;
}

static void begin_measuring(mlperf_t *mlperf) {
    outlet_print("m-warmup-done");
    say_number("m-infer-start-", mlperf->runs, "");
    begin_phase(mlperf, MLPERF_MEASURING, mlperf->runs);
    give_timestamp(mlperf);
}

static void end_measuring(mlperf_t *mlperf) {
    give_timestamp(mlperf);
    mlperf->phase = MLPERF_IDLE;
    outlet_print("m-infer-done");
    say_results(mlperf);
    say_ready();
}

/* True where the runs are under way: `m-ready` comes after them. */
static bool begin_infer(mlperf_t *mlperf, uint32_t runs, uint32_t warmups) {
    if (mlperf->size == 0) {
        say_error("Nothing is loaded: 'db load' comes first");
        return false;
    }
    if (mlperf->loaded < mlperf->size) {
        say_number("e-[Bytes still to come: ", mlperf->size - mlperf->loaded, "]");
        return false;
    }
    session_stop(mlperf->session);
    w2s_set_tap(&mlperf->session->engine, NULL, NULL, 0);
    mlperf->has_answer = false;
    mlperf->runs = runs;
    begin_phase(mlperf, MLPERF_WARMING_UP, warmups);
    say_number("m-warmup-start-", warmups, "");
    if (warmups == 0) {
        begin_measuring(mlperf);
    }
    return true;
}

/* Sound in, answer out: the host has prepared nothing. */
static w2s_status infer(mlperf_t *mlperf) {
    w2s_context *engine = &mlperf->session->engine;
    const int16_t *pcm = (const int16_t *)(const void *)mlperf->buffer;
    const size_t samples = mlperf->size / sizeof *pcm;
    w2s_stats stats = {0, 0, 0};
    w2s_stats_add(&stats, pcm, samples);
    w2s_status status = mlperf->session->model_status;
    if (status == W2S_OK) {
        status = w2s_start(engine, W2S_NORM_GIVEN, &stats);
    }
    if (status == W2S_OK) {
        status = w2s_push(engine, pcm, samples);
    }
    return status == W2S_OK ? w2s_finish(engine, &mlperf->answer) : status;
}

/* In energy mode the marker has other work: a pulse more would be a time stamp. */
static w2s_status infer_marked(mlperf_t *mlperf) {
    if (mlperf->energy) {
        return infer(mlperf);
    }
    board_marker(true);
    const w2s_status status = infer(mlperf);
    board_marker(false);
    return status;
}

static void fail(mlperf_t *mlperf, w2s_status status) {
    mlperf->phase = MLPERF_IDLE;
    mlperf->has_answer = false;
    if (status == W2S_E_SHORT) {
        say_error("The clip is too short for an answer");
    } else {
        say_number("e-[The library refuses the clip: -", (uint64_t)-status, "]");
    }
    say_ready();
}

/// Interface ///

void mlperf_start(mlperf_t *mlperf, session_t *session) {
    memset(mlperf, 0, sizeof *mlperf);
    mlperf->session = session;
    mlperf->buffer = board_spare_memory(&mlperf->capacity);
    mlperf->energy = MLPERF_STARTS_WITH_ENERGY;
    say_mode(mlperf);
    give_timestamp(mlperf);
    outlet_print("m-init-done");
    say_ready();
}

static void set_mode(mlperf_t *mlperf, bool energy) {
    mlperf->energy = energy;
    say_mode(mlperf);
}

/* False where `m-ready` comes later. */
static bool carry_out(mlperf_t *mlperf, const mlperf_command_t *command) {
    switch (command->verb) {
        case MLPERF_EMPTY:
            break;
        case MLPERF_NAME:
            outlet_print("m-name-dut-[wav2small-micro]");
            break;
        case MLPERF_PROFILE:
            say_profile(mlperf);
            break;
        case MLPERF_TIMESTAMP:
            give_timestamp(mlperf);
            break;
        case MLPERF_HELP:
            say_help();
            break;
        case MLPERF_RESULTS:
            say_results(mlperf);
            break;
        case MLPERF_MODE:
            say_mode(mlperf);
            break;
        case MLPERF_MODE_PERFORMANCE:
        case MLPERF_MODE_ENERGY:
            set_mode(mlperf, command->verb == MLPERF_MODE_ENERGY);
            break;
        case MLPERF_DB_LOAD:
            load(mlperf, command->first);
            break;
        case MLPERF_DB_DATA:
            add_bytes(mlperf, command);
            break;
        case MLPERF_DB_PRINT:
            print_bytes(mlperf, command->first, command->second);
            break;
        case MLPERF_INFER:
            return !begin_infer(mlperf, command->first, command->second);
        case MLPERF_UNKNOWN:
            say_unknown(command);
            break;
        case MLPERF_MALFORMED:
            say_error(command->complaint);
            break;
    }
    return true;
}

void mlperf_handle(mlperf_t *mlperf, const char *line, bool is_cut) {
    mlperf_command_t command;
    if (is_cut) {
        say_error("Command too long: 80 characters fit");
        say_ready();
        return;
    }
    mlperf_parse(line, strlen(line), &command);
    if (carry_out(mlperf, &command)) {
        say_ready();
    }
}

bool mlperf_is_busy(const mlperf_t *mlperf) { return mlperf->phase != MLPERF_IDLE; }

void mlperf_step(mlperf_t *mlperf) {
    const w2s_status status = infer_marked(mlperf);
    if (status != W2S_OK) {
        fail(mlperf, status);
        return;
    }
    mlperf->has_answer = true;
    --mlperf->left;
    if (mlperf->left > 0) {
        return;
    }
    if (mlperf->phase == MLPERF_WARMING_UP) {
        begin_measuring(mlperf);
    } else {
        end_measuring(mlperf);
    }
}

void mlperf_interrupt(mlperf_t *mlperf) {
    if (!mlperf_is_busy(mlperf)) {
        return;
    }
    mlperf->phase = MLPERF_IDLE;
    mlperf->has_answer = false;
    say_error("Interrupted by what came next");
    say_ready();
}
