/* SPDX-License-Identifier: Apache-2.0 */
/* The device under test of MLPerf Tiny: the same port for the runner of mlcommons/tiny.
 *
 * A command that ends with % is answered in lines, the last of which is `m-ready`. `db` fills a
 * buffer with a clip, int16 little endian at 16 kHz, and `infer` runs the whole product over it:
 * statistics of the clip, log-mel, network, attention pool.
 *
 * The engine is shared with sessions: `infer` ends the session that runs, and whatever comes while
 * it is at work, be it a frame, a line or another command, ends `infer` before it is looked at. */
#ifndef MLPERF_H
#define MLPERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

/* A build for the runner (W2S_MLPERF, firmware/build.py) says nothing but text until a frame asks
 * for more: the runner's reader dies of a byte that is not ASCII. */
#ifndef MLPERF_RUNNER
#define MLPERF_RUNNER 0
#endif

/* The mode after a start. */
#ifndef MLPERF_STARTS_WITH_ENERGY
#define MLPERF_STARTS_WITH_ENERGY 0
#endif

typedef enum {
    MLPERF_IDLE,
    MLPERF_WARMING_UP,
    MLPERF_MEASURING,
} mlperf_phase_t;

typedef struct {
    session_t *session; /* whose engine it borrows */
    uint8_t *buffer;    /* RAM that the firmware itself has no use for */
    size_t capacity;
    uint32_t size; /* announced by `db load`; 0: nothing */
    uint32_t loaded;

    bool energy; /* time stamps are pulses of the marker, not text */
    mlperf_phase_t phase;
    uint32_t runs; /* to be measured */
    uint32_t left; /* of this phase */
    bool has_answer;
    w2s_adv answer; /* of the last run */
} mlperf_t;

/* Borrows the engine of `session`, takes the spare RAM, and says what the runner's own device says
 * when it has started. Call once. */
void mlperf_start(mlperf_t *mlperf, session_t *session);

/* Carries out the command `line`, whose % is gone; `is_cut`: it was too long to be kept. */
void mlperf_handle(mlperf_t *mlperf, const char *line, bool is_cut);

/* Is `infer` at work? Then mlperf_step() is due. */
bool mlperf_is_busy(const mlperf_t *mlperf);

/* Runs one inference. */
void mlperf_step(mlperf_t *mlperf);

/* Ends what is at work, and says so; nothing where nothing is. */
void mlperf_interrupt(mlperf_t *mlperf);

#endif
