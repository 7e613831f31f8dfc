/* SPDX-License-Identifier: Apache-2.0 */
/* A session that was started with PROFILE: each block of audio is followed by what it took, layer
 * by layer. Nothing is kept but where the last block ended; statistics are the host's work. */
#ifndef PROFILE_H
#define PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

/* What the counters said at a moment. */
typedef struct {
    uint32_t layers[W2S_TAPS]; /* all wrap: only differences mean anything */
    uint32_t library;
    uint32_t sending;
    uint32_t work;
    uint32_t readings;
} profile_mark_t;

/* Begins to measure interrupts and sleep, or ends it. */
void profile_start(bool on);

/* The library's clock while a profile is made: interrupts left out, and readings counted. */
uint64_t profile_clock(void);

profile_mark_t profile_mark(const session_t *session);

/* Sends BLOCK_TICKS: what was spent on a block since `before`. */
void profile_send(session_t *session, uint32_t block, const profile_mark_t *before);

#endif
