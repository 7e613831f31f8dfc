/* SPDX-License-Identifier: Apache-2.0 */
/* firmware/lib/link behind functions that ctypes can call: buffers in, buffers out. */
#include <string.h>

#include "link_cobs.h"
#include "link_crc32.h"
#include "link_reader.h"
#include "link_writer.h"

/* What a sink has received. */
typedef struct {
    uint8_t *data;
    size_t length;
    size_t pieces;
} collected_t;

static void collect(void *context, const uint8_t *data, size_t length) {
    collected_t *collected = context;
    memcpy(collected->data + collected->length, data, length);
    collected->length += length;
    ++collected->pieces;
}

/* CRC-32 of two pieces of one message. */
uint32_t harness_crc32(const uint8_t *data, size_t length, size_t split) {
    return link_crc32(link_crc32(0, data, split), data + split, length - split);
}

/* Encodes in two pieces; returns the length, delimiters included. */
size_t harness_cobs_encode(const uint8_t *data, size_t length, size_t split, uint8_t *out) {
    collected_t collected = {out, 0, 0};
    link_cobs_encoder_t encoder;
    link_cobs_encoder_start(&encoder, collect, &collected);
    link_cobs_encoder_add(&encoder, data, split);
    link_cobs_encoder_add(&encoder, data + split, length - split);
    link_cobs_encoder_finish(&encoder);
    return collected.length;
}

/* Decodes bytes without delimiters; returns the length, or -1 where they are no encoding. */
long harness_cobs_decode(const uint8_t *data, size_t length, uint8_t *out) {
    size_t decoded = 0;
    memcpy(out, data, length);
    if (!link_cobs_decode(out, length, &decoded)) {
        return -1;
    }
    memmove(out, out + 1, decoded);
    return (long)decoded;
}

/* Writes a frame; returns its length. */
size_t harness_write(uint8_t type, uint8_t sequence, const uint8_t *payload, size_t length,
                     uint8_t *out) {
    collected_t collected = {out, 0, 0};
    link_writer_t writer;
    link_writer_init(&writer, collect, &collected);
    link_writer_send(&writer, type, sequence, payload, length);
    return collected.length;
}

static link_reader_t reader;

void harness_reader_start(void) {
    memset(&reader, 0xA5, sizeof reader); /* nothing may depend on zeroed memory */
    link_reader_init(&reader);
}

/* Feeds bytes until one completes a frame or a line; `taken` says how many went in. */
int harness_reader_feed(const uint8_t *data, size_t length, size_t *taken) {
    link_reader_event_t event;
    *taken = link_reader_feed(&reader, data, length, &event);
    return (int)event;
}

void harness_reader_wait(uint32_t ms) { link_reader_wait(&reader, ms); }

const link_reader_t *harness_reader(void) { return &reader; }

const char *harness_reader_line(void) { return link_reader_line(&reader); }
