/* SPDX-License-Identifier: Apache-2.0 */
/* The text commands of MLPerf Tiny's runner, read from bytes: no state, no board, no output.
 *
 * A command is words between spaces; the % that ended it is gone. What the words mean is in
 * docs/mlperf-tiny.md. The grammar is strict: a number or a digit that is not one, a word too many
 * or too few, are told and not guessed at. */
#ifndef MLPERF_COMMAND_H
#define MLPERF_COMMAND_H

#include <stddef.h>
#include <stdint.h>

enum {
    MLPERF_MAX_BYTES = 40,          /* in one `db`: more than a line of 80 characters holds */
    MLPERF_DEFAULT_WARMUPS = 10,    /* of `infer N` */
    MLPERF_EVERYTHING = UINT32_MAX, /* bytes of `db print` alone */
};

typedef enum {
    MLPERF_EMPTY, /* no word at all: a runner flushes the port so */
    MLPERF_NAME,
    MLPERF_PROFILE,
    MLPERF_TIMESTAMP,
    MLPERF_HELP,
    MLPERF_RESULTS,
    MLPERF_MODE,             /* which one is it? */
    MLPERF_MODE_PERFORMANCE, /* time stamps as text */
    MLPERF_MODE_ENERGY,      /* time stamps as pulses of a pin */
    MLPERF_DB_LOAD,          /* first: bytes */
    MLPERF_DB_DATA,          /* bytes, count */
    MLPERF_DB_PRINT,         /* first: bytes or MLPERF_EVERYTHING, second: offset */
    MLPERF_INFER,            /* first: runs, second: warm-ups */
    MLPERF_UNKNOWN,          /* word, word_length */
    MLPERF_MALFORMED,        /* complaint */
} mlperf_verb_t;

typedef struct {
    mlperf_verb_t verb;
    uint32_t first;
    uint32_t second;
    const char *complaint; /* what is wrong, a constant */
    const char *word;      /* in the line, printable as far as the line is */
    size_t word_length;
    size_t count;
    uint8_t bytes[MLPERF_MAX_BYTES];
} mlperf_command_t;

/* Reads the command in `length` bytes at `line`, any bytes at all. */
void mlperf_parse(const char *line, size_t length, mlperf_command_t *command);

#endif
