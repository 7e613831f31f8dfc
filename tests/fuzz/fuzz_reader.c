// SPDX-License-Identifier: Apache-2.0
//
// fuzz_reader.c: any stream, cut in any way, into the reader of frames and lines.
// Promises (docs/security.md): S1, S2, S3, S4.
//
// The first byte is the length of the pieces, less one; 0xFD in the stream is 100 ms of silence.
#include <string.h>

#include "check.h"
#include "link_crc32.h"
#include "link_reader.h"
#include "link_writer.h"

enum { SILENCE = 0xFD, SILENCE_MS = 100 };

// A checksum over all that a reader gave out, in order.
typedef struct {
    uint32_t digest;
    uint32_t frames;
    uint32_t lines;
} heard_t;

static void add(heard_t *heard, const void *data, size_t length) {
    heard->digest = link_crc32(heard->digest, data, length);
}

static void take_frame(const link_reader_t *reader, heard_t *heard) {
    const uintptr_t begin = (uintptr_t)reader->buffer.frame;
    const uintptr_t payload = (uintptr_t)reader->payload;
    CHECK(payload % 4 == 0);
    CHECK(reader->length <= LINK_MAX_PAYLOAD);
    CHECK(payload >= begin && payload + reader->length <= begin + sizeof reader->buffer.frame);
    add(heard, &reader->type, 1);
    add(heard, &reader->sequence, 1);
    add(heard, reader->payload, reader->length);
    ++heard->frames;
}

// A line is never empty; a command may be, and may have been cut.
static void take_text(const link_reader_t *reader, link_reader_event_t event, heard_t *heard) {
    const uint8_t mark[2] = {(uint8_t)event, event == LINK_READER_COMMAND && reader->is_cut};
    const char *line = link_reader_line(reader);
    const size_t length = strlen(line);
    CHECK(length <= LINK_MAX_LINE && (length > 0 || event == LINK_READER_COMMAND));
    for (size_t i = 0; i < length; ++i) {
        CHECK(line[i] >= ' ' && line[i] <= '~');
    }
    add(heard, mark, sizeof mark);
    add(heard, line, length);
    ++heard->lines;
}

static void feed(link_reader_t *reader, const uint8_t *data, size_t size, heard_t *heard) {
    while (size > 0) {
        link_reader_event_t event;
        const size_t taken = link_reader_feed(reader, data, size, &event);
        CHECK(taken > 0 && taken <= size);
        if (event == LINK_READER_FRAME) {
            take_frame(reader, heard);
        } else if (event != LINK_READER_NOTHING) {
            take_text(reader, event, heard);
        } else {
            CHECK(taken == size);
        }
        data += taken;
        size -= taken;
    }
}

// Pieces have `longest` bytes at most.
static heard_t run(link_reader_t *reader, const uint8_t *data, size_t size, size_t longest) {
    heard_t heard = {0, 0, 0};
    memset(reader, 0xA5, sizeof *reader);  // nothing may depend on zeroed memory
    link_reader_init(reader);
    for (size_t at = 0; at < size;) {
        if (data[at] == SILENCE) {
            link_reader_wait(reader, SILENCE_MS);
            ++at;
            continue;
        }
        const uint8_t *silence = memchr(data + at, SILENCE, size - at);
        size_t length = silence != NULL ? (size_t)(silence - data) - at : size - at;
        length = length < longest ? length : longest;
        feed(reader, data + at, length, &heard);
        at += length;
    }
    CHECK(heard.frames == reader->counters.frames_ok);
    return heard;
}

/// A good frame after whatever came ///

typedef struct {
    uint8_t data[64];
    size_t length;
} small_t;

static void keep(void *context, const uint8_t *data, size_t length) {
    small_t *small = context;
    CHECK(length <= sizeof small->data - small->length);
    memcpy(small->data + small->length, data, length);
    small->length += length;
}

// A delimiter ends what the stream began, and the next whole frame is received.
static void next_frame_comes_through(link_reader_t *reader) {
    static const uint8_t token[5] = {'t', 0, 'k', 0xFF, 'n'};
    const uint8_t delimiter = 0;
    small_t frame = {.length = 0};
    link_writer_t writer;
    heard_t heard = {0, 0, 0};
    link_writer_init(&writer, keep, &frame);
    link_writer_send(&writer, LINK_PING, 7, token, sizeof token);
    feed(reader, &delimiter, 1, &heard);
    const uint32_t before = heard.frames;
    feed(reader, frame.data, frame.length, &heard);
    CHECK(heard.frames == before + 1);
    CHECK(reader->type == LINK_PING && reader->sequence == 7);
    CHECK(reader->length == sizeof token && memcmp(reader->payload, token, sizeof token) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static link_reader_t one, other;
    if (size == 0) {
        return 0;
    }
    const heard_t whole = run(&one, data + 1, size - 1, SIZE_MAX);
    const heard_t cut = run(&other, data + 1, size - 1, 1u + data[0]);
    CHECK(whole.digest == cut.digest);
    CHECK(whole.frames == cut.frames && whole.lines == cut.lines);
    CHECK(one.counters.crc_errors == other.counters.crc_errors);
    CHECK(one.counters.framing_errors == other.counters.framing_errors);
    next_frame_comes_through(&one);
    return 0;
}
