/* SPDX-License-Identifier: Apache-2.0 */
/* What the device under test of MLPerf Tiny says: lines of 80 bytes at most, CR and LF included. */
#ifndef MLPERF_REPLIES_H
#define MLPERF_REPLIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wav2small.h"

/* The last line of every answer. */
void mlperf_say_ready(void);

/* A line with a number in it, and nothing or more behind. */
void mlperf_say_number(const char *before, uint64_t number, const char *after);

/* A refusal: `complaint` in the protocol's brackets. */
void mlperf_say_error(const char *complaint);

/* The refusal of a command that there is not, with the beginning of its first word. */
void mlperf_say_unknown(const char *word, size_t length);

/* How time stamps are given. */
void mlperf_say_mode(bool energy);

/* Firmware, model, and the string by which the runner finds its test. */
void mlperf_say_profile(const w2s_model *model);

/* The commands. */
void mlperf_say_help(void);

/* An answer, to the last bit. */
void mlperf_say_results(const w2s_adv *answer);

/* `count` bytes, in rows. */
void mlperf_say_bytes(const uint8_t *bytes, uint32_t count);

#endif
