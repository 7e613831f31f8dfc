/* SPDX-License-Identifier: Apache-2.0 */
/* Sends frames: 0x00, COBS(type, sequence, payload, CRC-32 little endian), 0x00.
 *
 * A frame leaves while it is being composed, in pieces of at most 256 bytes, so that a payload
 * may be gathered from several places and is never held as a whole. */
#ifndef LINK_WRITER_H
#define LINK_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "link_cobs.h"

typedef struct {
    link_sink_t sink;
    void *context;
    link_cobs_encoder_t cobs;
    uint32_t crc;
    uint32_t frames; /* frames sent since link_writer_init */
} link_writer_t;

/* Binds the writer to the sink that its bytes go to. */
void link_writer_init(link_writer_t *writer, link_sink_t sink, void *context);

/* Begins a frame. The caller adds at most LINK_MAX_PAYLOAD bytes and then ends it; frames do not
 * nest. */
void link_writer_begin(link_writer_t *writer, uint8_t type, uint8_t sequence);

/* Appends `length` bytes to the payload of the frame that has been begun. */
void link_writer_add(link_writer_t *writer, const void *data, size_t length);

/* Appends the CRC and closes the frame. */
void link_writer_end(link_writer_t *writer);

/* A whole frame in one call. */
void link_writer_send(link_writer_t *writer, uint8_t type, uint8_t sequence, const void *payload,
                      size_t length);

#endif
