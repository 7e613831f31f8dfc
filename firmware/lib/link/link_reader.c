/* SPDX-License-Identifier: Apache-2.0 */
#include "link_reader.h"

#include <string.h>

#include "link_bytes.h"
#include "link_crc32.h"

enum { DELETE = 0x7F };

/* The first length code gives its byte up: a decoded frame begins behind it. */
enum { DECODED_AT = LINK_FRAME_LEAD + 1 };

_Static_assert((offsetof(link_reader_t, buffer) + DECODED_AT + LINK_FRAME_HEAD) % 4 == 0,
               "the payload is aligned");

static void enter(link_reader_t *reader, bool in_frame) {
    reader->in_frame = in_frame;
    reader->spoilt = false;
    reader->is_long = false;
    reader->used = 0;
    reader->silence_ms = 0;
}

void link_reader_init(link_reader_t *reader) {
    reader->type = 0;
    reader->sequence = 0;
    reader->payload = reader->buffer.frame;
    reader->length = 0;
    reader->is_cut = false;
    reader->counters = (link_reader_counters_t){0};
    enter(reader, false);
}

/// Frames ///

/* Checks the frame that a delimiter has just ended, and decodes it. */
static bool accept_frame(link_reader_t *reader) {
    const uint8_t *frame = reader->buffer.frame + DECODED_AT;
    size_t size = 0;
    if (reader->spoilt ||
        !link_cobs_decode(reader->buffer.frame + LINK_FRAME_LEAD, reader->used, &size) ||
        size < LINK_FRAME_HEAD + LINK_FRAME_TAIL || size > LINK_MAX_FRAME) {
        ++reader->counters.framing_errors;
        return false;
    }
    const size_t checked = size - LINK_FRAME_TAIL;
    if (link_crc32(0, frame, checked) != link_load_le32(frame + checked)) {
        ++reader->counters.crc_errors;
        return false;
    }
    reader->type = frame[0];
    reader->sequence = frame[1];
    reader->payload = frame + LINK_FRAME_HEAD;
    reader->length = checked - LINK_FRAME_HEAD;
    ++reader->counters.frames_ok;
    return true;
}

static link_reader_event_t end_frame(link_reader_t *reader) {
    if (reader->used == 0) {
        return LINK_READER_NOTHING; /* a second delimiter in a row */
    }
    const bool accepted = accept_frame(reader);
    enter(reader, !accepted);
    return accepted ? LINK_READER_FRAME : LINK_READER_NOTHING;
}

/* Appends what has room. */
static void add_to_frame(link_reader_t *reader, const uint8_t *bytes, size_t length) {
    uint8_t *end = reader->buffer.frame + LINK_FRAME_LEAD + reader->used;
    const size_t room = sizeof reader->buffer.frame - LINK_FRAME_LEAD - reader->used;
    if (length > room) {
        reader->spoilt = true;
        length = room;
    }
    memcpy(end, bytes, length);
    reader->used += length;
}

/* Takes bytes up to the delimiter, and the delimiter. */
static size_t feed_frame(link_reader_t *reader, const uint8_t *bytes, size_t length,
                         link_reader_event_t *event) {
    const uint8_t *delimiter = memchr(bytes, 0, length);
    if (delimiter == NULL) {
        add_to_frame(reader, bytes, length);
        return length;
    }
    const size_t run = (size_t)(delimiter - bytes);
    add_to_frame(reader, bytes, run);
    *event = end_frame(reader);
    return run + 1u;
}

/// Text ///

static link_reader_event_t end_line(link_reader_t *reader) {
    const bool accepted = !reader->spoilt && !reader->is_long && reader->used > 0;
    reader->buffer.line[reader->used] = '\0';
    enter(reader, false);
    return accepted ? LINK_READER_LINE : LINK_READER_NOTHING;
}

static link_reader_event_t end_command(link_reader_t *reader) {
    const bool accepted = !reader->spoilt;
    reader->buffer.line[reader->used] = '\0';
    reader->is_cut = reader->is_long;
    enter(reader, false);
    return accepted ? LINK_READER_COMMAND : LINK_READER_NOTHING;
}

static void add_to_line(link_reader_t *reader, uint8_t byte) {
    if ((byte == '\b' || byte == DELETE) && !reader->spoilt && !reader->is_long) {
        reader->used -= reader->used > 0; /* a person corrects a typing error */
        return;
    }
    if (byte < ' ' || byte > '~') {
        reader->spoilt = true;
    } else if (reader->used == LINK_MAX_LINE) {
        reader->is_long = true;
    } else {
        reader->buffer.line[reader->used++] = (char)byte;
    }
}

static link_reader_event_t feed_text(link_reader_t *reader, uint8_t byte) {
    if (byte == 0) {
        enter(reader, true);
        return LINK_READER_NOTHING;
    }
    if (byte == '\r' || byte == '\n') {
        return end_line(reader);
    }
    if (byte == '%') {
        return end_command(reader);
    }
    add_to_line(reader, byte);
    return LINK_READER_NOTHING;
}

/// Interface ///

size_t link_reader_feed(link_reader_t *reader, const uint8_t *bytes, size_t length,
                        link_reader_event_t *event) {
    size_t taken = 0;
    *event = LINK_READER_NOTHING;
    while (taken < length && *event == LINK_READER_NOTHING) {
        reader->silence_ms = 0;
        if (reader->in_frame) {
            taken += feed_frame(reader, bytes + taken, length - taken, event);
        } else {
            *event = feed_text(reader, bytes[taken++]);
        }
    }
    return taken;
}

void link_reader_wait(link_reader_t *reader, uint32_t ms) {
    if (!reader->in_frame) {
        return;
    }
    reader->silence_ms += ms;
    if (reader->silence_ms < LINK_FRAME_SILENCE_MS) {
        return;
    }
    if (reader->used > 0) {
        ++reader->counters.framing_errors;
    }
    enter(reader, false);
}

const char *link_reader_line(const link_reader_t *reader) { return reader->buffer.line; }
