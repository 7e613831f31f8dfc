/* SPDX-License-Identifier: Apache-2.0 */
#include "link_cobs.h"

#include <string.h>

/// Encoder ///

static void send(link_cobs_encoder_t *encoder, uint16_t count) {
    encoder->sink(encoder->context, encoder->buffer, count);
    encoder->used = (uint16_t)(encoder->used - count);
    encoder->code_at = (uint16_t)(encoder->code_at - count);
    memmove(encoder->buffer, encoder->buffer + count, encoder->used);
}

/* Everything before the open block may go; the block itself is shorter than the buffer. */
static void put(link_cobs_encoder_t *encoder, uint8_t byte) {
    if (encoder->used == sizeof encoder->buffer) {
        send(encoder, encoder->code_at);
    }
    encoder->buffer[encoder->used++] = byte;
}

static void open_block(link_cobs_encoder_t *encoder) {
    put(encoder, 0); /* for the length code */
    encoder->code_at = (uint16_t)(encoder->used - 1u);
}

/* The length code of the open block, if it ended here. */
static uint8_t block_code(const link_cobs_encoder_t *encoder) {
    return (uint8_t)(encoder->used - encoder->code_at);
}

static void close_block(link_cobs_encoder_t *encoder) {
    encoder->buffer[encoder->code_at] = block_code(encoder);
    encoder->code_at = encoder->used;
}

void link_cobs_encoder_start(link_cobs_encoder_t *encoder, link_sink_t sink, void *context) {
    encoder->sink = sink;
    encoder->context = context;
    encoder->used = 0;
    encoder->code_at = 0;
    put(encoder, 0);
    open_block(encoder);
}

void link_cobs_encoder_add(link_cobs_encoder_t *encoder, const void *data, size_t length) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; ++i) {
        /* A full block is closed only when more follows: at the end of the frame nothing needs
         * to come after it. */
        if (block_code(encoder) == LINK_COBS_FULL_BLOCK) {
            close_block(encoder);
            open_block(encoder);
        }
        if (bytes[i] == 0) {
            close_block(encoder);
            open_block(encoder);
        } else {
            put(encoder, bytes[i]);
        }
    }
}

void link_cobs_encoder_finish(link_cobs_encoder_t *encoder) {
    close_block(encoder);
    put(encoder, 0);
    send(encoder, encoder->used);
}

/// Decoder ///

/* A length code turns into the zero that the block before it stands for (the first one, into a
 * zero that nobody reads). Only a full block stands for none: the code behind it goes, and all that
 * follows moves down by one. */
bool link_cobs_decode(uint8_t *data, size_t length, size_t *decoded) {
    size_t dropped = 0;
    bool after_full = false;
    if (length == 0) {
        return false;
    }
    for (size_t at = 0; at < length;) {
        const size_t code = data[at];
        if (code == 0 || code > length - at) {
            return false;
        }
        if (after_full) {
            ++dropped;
        } else {
            data[at - dropped] = 0;
        }
        if (dropped > 0) {
            memmove(data + at + 1 - dropped, data + at + 1, code - 1);
        }
        after_full = code == LINK_COBS_FULL_BLOCK;
        at += code;
    }
    *decoded = length - 1 - dropped;
    return true;
}
