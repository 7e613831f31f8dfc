/* SPDX-License-Identifier: Apache-2.0 */
#include "mlperf.h"

#include <string.h>

#include "board.h"
#include "mlperf_command.h"
#include "mlperf_replies.h"

enum {
    PULSE_US = 10,          /* how long the marker stays up; the runner's meters want 1 */
    MICROSECONDS = 1000000, /* in a second */
};

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
        mlperf_say_number("m-lap-us-", microseconds(), "");
    }
}

/// The buffer ///

static void load(mlperf_t *mlperf, uint32_t size) {
    mlperf->size = 0; /* whatever was there: the runner goes on after a refusal */
    mlperf->loaded = 0;
    if (size > mlperf->capacity) {
        mlperf_say_number("e-[Too long for the buffer: ", mlperf->capacity, " bytes fit]");
    } else if (size % sizeof(int16_t) != 0) {
        mlperf_say_error("A sample has 2 bytes: the number must be even");
    } else {
        mlperf->size = size;
        mlperf_say_number("m-[Expecting ", size, " bytes]");
    }
}

static void add_bytes(mlperf_t *mlperf, const mlperf_command_t *command) {
    const uint32_t expected = mlperf->size - mlperf->loaded;
    if (command->count > expected) {
        mlperf_say_number("e-[More bytes than expected: ", expected, "]");
        return;
    }
    memcpy(mlperf->buffer + mlperf->loaded, command->bytes, command->count);
    mlperf->loaded += (uint32_t)command->count;
    if (mlperf->loaded == mlperf->size) {
        outlet_print("m-load-done");
    }
}

static void print_bytes(const mlperf_t *mlperf, uint32_t count, uint32_t offset) {
    if (offset > mlperf->loaded) {
        mlperf_say_number("e-[Beyond what is loaded: ", mlperf->loaded, " bytes]");
        return;
    }
    if (count > mlperf->loaded - offset) {
        count = mlperf->loaded - offset;
    }
    mlperf_say_bytes(mlperf->buffer + offset, count);
}

/// Inference ///

static void give_results(const mlperf_t *mlperf) {
    if (mlperf->has_answer) {
        mlperf_say_results(&mlperf->answer);
    } else {
        mlperf_say_error("No results: 'infer' comes first");
    }
}

static void begin_phase(mlperf_t *mlperf, mlperf_phase_t phase, uint32_t runs) {
    mlperf->phase = phase;
    mlperf->left = runs;
}

static void begin_measuring(mlperf_t *mlperf) {
    outlet_print("m-warmup-done");
    mlperf_say_number("m-infer-start-", mlperf->runs, "");
    begin_phase(mlperf, MLPERF_MEASURING, mlperf->runs);
    give_timestamp(mlperf);
}

static void end_measuring(mlperf_t *mlperf) {
    give_timestamp(mlperf);
    mlperf->phase = MLPERF_IDLE;
    outlet_print("m-infer-done");
    give_results(mlperf);
    mlperf_say_ready();
}

/* True where the runs are under way: `m-ready` comes after them. */
static bool begin_infer(mlperf_t *mlperf, uint32_t runs, uint32_t warmups) {
    if (mlperf->size == 0) {
        mlperf_say_error("Nothing is loaded: 'db load' comes first");
        return false;
    }
    if (mlperf->loaded < mlperf->size) {
        mlperf_say_number("e-[Bytes still to come: ", mlperf->size - mlperf->loaded, "]");
        return false;
    }
    session_stop(mlperf->session);
    w2s_set_tap(&mlperf->session->engine, NULL, NULL, 0);
    mlperf->has_answer = false;
    mlperf->runs = runs;
    begin_phase(mlperf, MLPERF_WARMING_UP, warmups);
    mlperf_say_number("m-warmup-start-", warmups, "");
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
        mlperf_say_error("The clip is too short for an answer");
    } else {
        mlperf_say_number("e-[The library refuses the clip: -", (uint64_t)-status, "]");
    }
    mlperf_say_ready();
}

/// Interface ///

void mlperf_start(mlperf_t *mlperf, session_t *session) {
    memset(mlperf, 0, sizeof *mlperf);
    mlperf->session = session;
    mlperf->buffer = board_spare_memory(&mlperf->capacity);
    mlperf->energy = MLPERF_STARTS_WITH_ENERGY;
    mlperf_say_mode(mlperf->energy);
    give_timestamp(mlperf);
    outlet_print("m-init-done");
    mlperf_say_ready();
}

static void set_mode(mlperf_t *mlperf, bool energy) {
    mlperf->energy = energy;
    mlperf_say_mode(mlperf->energy);
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
            mlperf_say_profile(mlperf->session->model);
            break;
        case MLPERF_TIMESTAMP:
            give_timestamp(mlperf);
            break;
        case MLPERF_HELP:
            mlperf_say_help();
            break;
        case MLPERF_RESULTS:
            give_results(mlperf);
            break;
        case MLPERF_MODE:
            mlperf_say_mode(mlperf->energy);
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
            mlperf_say_unknown(command->word, command->word_length);
            break;
        case MLPERF_MALFORMED:
            mlperf_say_error(command->complaint);
            break;
    }
    return true;
}

void mlperf_handle(mlperf_t *mlperf, const char *line, bool is_cut) {
    mlperf_command_t command;
    if (is_cut) {
        mlperf_say_error("Command too long: 80 characters fit");
        mlperf_say_ready();
        return;
    }
    mlperf_parse(line, strlen(line), &command);
    if (carry_out(mlperf, &command)) {
        mlperf_say_ready();
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
    mlperf_say_error("Interrupted by what came next");
    mlperf_say_ready();
}
