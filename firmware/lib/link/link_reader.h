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
 * A line is printable ASCII ended by CR or LF. Backspace takes one character back. A line that
 * holds any other byte or is too long is dropped whole. */
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
    LINK_MAX_LINE = 47,  /* characters; the longest command is far shorter */
};

typedef enum {
    LINK_READER_NOTHING, /* needs more bytes */
    LINK_READER_FRAME,   /* type, sequence, payload and length are valid until the next byte */
    LINK_READER_LINE,    /* line holds a command, not empty, until the next byte */
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
    const uint8_t *payload;
    size_t length;
    link_reader_counters_t counters;

    /* Private. A frame and a line are never gathered at the same time. */
    link_cobs_decoder_t cobs;
    uint32_t silence_ms;
    size_t used;
    bool in_frame;
    bool begun;  /* the frame has at least one encoded byte */
    bool spoilt; /* the frame or line does not fit or has a bad byte: drop it when it ends */
    union {
        uint8_t frame[LINK_FRAME_HEAD + LINK_MAX_PAYLOAD + LINK_FRAME_TAIL];
        char line[LINK_MAX_LINE + 1];
    } buffer;
} link_reader_t;

/* Starts in the text state with all counters at zero. */
void link_reader_init(link_reader_t *reader);

/* Takes one byte of the stream and says what it completed. */
link_reader_event_t link_reader_feed(link_reader_t *reader, uint8_t byte);

/* Tells that the caller waited `ms` more milliseconds and no byte came. Time in which the caller
 * did not listen must not be reported: bytes may have been waiting. */
void link_reader_wait(link_reader_t *reader, uint32_t ms);

/* The command of the last LINK_READER_LINE, ended by NUL. */
const char *link_reader_line(const link_reader_t *reader);

#endif
