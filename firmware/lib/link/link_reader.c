/* SPDX-License-Identifier: Apache-2.0 */
#include "link_reader.h"

#include "link_crc32.h"

enum { DELETE = 0x7F };

static void enter(link_reader_t *reader, bool in_frame) {
    reader->in_frame = in_frame;
    reader->begun = false;
    reader->spoilt = false;
    reader->used = 0;
    reader->silence_ms = 0;
    link_cobs_decoder_start(&reader->cobs);
}

void link_reader_init(link_reader_t *reader) {
    reader->type = 0;
    reader->sequence = 0;
    reader->payload = reader->buffer.frame;
    reader->length = 0;
    reader->counters = (link_reader_counters_t){0};
    enter(reader, false);
}

static uint32_t load_le32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Checks the frame that a delimiter has just ended. */
static bool accept_frame(link_reader_t *reader) {
    const uint8_t *frame = reader->buffer.frame;
    if (reader->spoilt || reader->used < LINK_FRAME_HEAD + LINK_FRAME_TAIL ||
        !link_cobs_decoder_complete(&reader->cobs)) {
        ++reader->counters.framing_errors;
        return false;
    }
    size_t checked = reader->used - LINK_FRAME_TAIL;
    if (link_crc32(0, frame, checked) != load_le32(frame + checked)) {
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
    if (!reader->begun) {
        return LINK_READER_NOTHING; /* a second delimiter in a row */
    }
    bool accepted = accept_frame(reader);
    enter(reader, !accepted);
    return accepted ? LINK_READER_FRAME : LINK_READER_NOTHING;
}

static void add_to_frame(link_reader_t *reader, uint8_t byte) {
    uint8_t decoded = 0;
    reader->begun = true;
    if (reader->spoilt || !link_cobs_decoder_feed(&reader->cobs, byte, &decoded)) {
        return;
    }
    if (reader->used == sizeof reader->buffer.frame) {
        reader->spoilt = true;
        return;
    }
    reader->buffer.frame[reader->used++] = decoded;
}

static link_reader_event_t end_line(link_reader_t *reader) {
    bool accepted = !reader->spoilt && reader->used > 0;
    reader->buffer.line[reader->used] = '\0';
    enter(reader, false);
    return accepted ? LINK_READER_LINE : LINK_READER_NOTHING;
}

static void add_to_line(link_reader_t *reader, uint8_t byte) {
    if ((byte == '\b' || byte == DELETE) && !reader->spoilt) {
        reader->used -= reader->used > 0; /* a person corrects a typing error */
        return;
    }
    if (byte < ' ' || byte > '~' || reader->used == LINK_MAX_LINE) {
        reader->spoilt = true;
        return;
    }
    reader->buffer.line[reader->used++] = (char)byte;
}

link_reader_event_t link_reader_feed(link_reader_t *reader, uint8_t byte) {
    reader->silence_ms = 0;
    if (reader->in_frame) {
        if (byte == 0) {
            return end_frame(reader);
        }
        add_to_frame(reader, byte);
        return LINK_READER_NOTHING;
    }
    if (byte == 0) {
        enter(reader, true);
        return LINK_READER_NOTHING;
    }
    if (byte == '\r' || byte == '\n') {
        return end_line(reader);
    }
    add_to_line(reader, byte);
    return LINK_READER_NOTHING;
}

void link_reader_wait(link_reader_t *reader, uint32_t ms) {
    if (!reader->in_frame) {
        return;
    }
    reader->silence_ms += ms;
    if (reader->silence_ms < LINK_FRAME_SILENCE_MS) {
        return;
    }
    if (reader->begun) {
        ++reader->counters.framing_errors;
    }
    enter(reader, false);
}

const char *link_reader_line(const link_reader_t *reader) { return reader->buffer.line; }
