/* SPDX-License-Identifier: Apache-2.0 */
/* Finds frames and lines of text in a stream of bytes.
 *
 * The stream is text until a 0x00 opens a frame; the 0x00 that closes a good frame returns to
 * text. A frame that is cut short, too long or damaged is counted and dropped, and the reader
 * then takes the delimiter that it met for the opening of the next one: whatever was lost, the
 * next whole frame after a delimiter is received. Silence within a frame returns to text, so
 * that a person at a terminal who sent a stray 0x00 is not locked out.
 *
 *         0x00                 0x00, good frame: LINK_READER_FRAME
 *   TEXT ------> FRAME --------------------------------------------> TEXT
 *                 | ^ 0x00 again, or bad frame (counted)
 *                 |_|
 *                 200 ms without a byte -----------------------------> TEXT
 *
 * A line is printable ASCII ended by CR or LF; ended by % it is a command of a benchmark's runner.
 * Backspace takes one character back. What holds any other byte is dropped whole, and so is a line
 * that is too long; a command that is too long is told, since its sender waits for an answer. */
#ifndef LINK_READER_H
#define LINK_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link_cobs.h"
#include "messages.h"

enum {
    LINK_FRAME_HEAD = 2, /* type and sequence number */
    LINK_FRAME_TAIL = 4, /* CRC-32 */
    LINK_MAX_FRAME = LINK_FRAME_HEAD + LINK_MAX_PAYLOAD + LINK_FRAME_TAIL,
    LINK_MAX_LINE = 80, /* characters: what MLPerf Tiny's commands may have */
    /* Before an encoded frame in the buffer: with its first length code and the head this makes
     * four bytes, so that the payload is aligned where it is decoded. */
    LINK_FRAME_LEAD = 1,
};

typedef enum {
    LINK_READER_NOTHING, /* needs more bytes */
    LINK_READER_FRAME,   /* type, sequence, payload and length are valid until the next feed */
    LINK_READER_LINE,    /* line holds a command, not empty, until the next feed */
    LINK_READER_COMMAND, /* the same, ended by %: it may be empty, or too long (is_cut) */
} link_reader_event_t;

typedef struct {
    uint32_t frames_ok;
    uint32_t crc_errors;     /* whole frames with a wrong checksum */
    uint32_t framing_errors; /* cut short, too long, or abandoned in silence */
} link_reader_counters_t;

typedef struct {
    /* Result of the last event. */
    uint8_t type;
    uint8_t sequence;
    const uint8_t *payload; /* at a multiple of 4 */
    size_t length;
    bool is_cut; /* the command had more than LINK_MAX_LINE characters: the first ones are there */
    link_reader_counters_t counters;

    /* Private. A frame and a line are never gathered at the same time. */
    uint32_t silence_ms;
    size_t used; /* encoded bytes of the frame, or characters of the line */
    bool in_frame;
    bool spoilt;  /* the frame does not fit, or the line has a bad byte: drop it when it ends */
    bool is_long; /* the line does not fit */
    union {
        uint32_t aligned;
        uint8_t frame[LINK_FRAME_LEAD + LINK_COBS_ENCODED_SIZE(LINK_MAX_FRAME)];
        char line[LINK_MAX_LINE + 1];
    } buffer;
} link_reader_t;

/* Starts in the text state with all counters at zero. */
void link_reader_init(link_reader_t *reader);

/* Takes bytes of the stream up to the first that completes something, and says what in `event`.
 * Returns how many of the `length` it took: the rest is for the next call. */
size_t link_reader_feed(link_reader_t *reader, const uint8_t *bytes, size_t length,
                        link_reader_event_t *event);

/* Tells that the caller waited `ms` more milliseconds and no byte came. Time in which the caller
 * did not listen must not be reported: bytes may have been waiting. */
void link_reader_wait(link_reader_t *reader, uint32_t ms);

/* The command of the last LINK_READER_LINE or LINK_READER_COMMAND, ended by NUL. */
const char *link_reader_line(const link_reader_t *reader);

#endif
