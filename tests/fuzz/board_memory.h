// SPDX-License-Identifier: Apache-2.0
//
// board_memory.h: the functions of board.h over memory, for a fuzzer: what goes in comes from an
// input, what comes out is read strictly. Whatever the application was sent, it must say whole
// frames, and whole lines of printable text between them, and nothing else: board_write() ends the
// harness where it does not.
#ifndef BOARD_MEMORY_H
#define BOARD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What the application said, frame by frame.
typedef struct {
    uint32_t frames;
    uint32_t lines;
    uint8_t type;  // of the last reply: events come when they like
    uint8_t sequence;
    uint8_t payload[1024];
    size_t length;
} said_t;

// The board as after power-on; everything said is forgotten.
void fuzz_board_start(void);

// Puts bytes on the line; board_read() gives them out in pieces of at most `piece` bytes.
void fuzz_board_send(const uint8_t *bytes, size_t size, size_t piece);

// Bytes on the line that the application has not read.
size_t fuzz_board_waiting(void);

// `ms` of silence.
void fuzz_board_wait(uint32_t ms);

// Did the application ask for a reset? It does not return from board_reset() in fuzz_board_run().
// Runs `step` until the line is empty; restarts by `start` at a reset.
void fuzz_board_run(void (*start)(void), void (*step)(void));

const said_t *fuzz_board_said(void);

// Nothing half-said is left: the application is between two frames or lines.
bool fuzz_board_said_whole(void);

#endif
