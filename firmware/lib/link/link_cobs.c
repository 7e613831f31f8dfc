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

void link_cobs_decoder_start(link_cobs_decoder_t *decoder) {
    decoder->left = 0;
    decoder->zero_pending = false;
}

bool link_cobs_decoder_feed(link_cobs_decoder_t *decoder, uint8_t byte, uint8_t *out) {
    if (decoder->left > 0) {
        --decoder->left;
        *out = byte;
        return true;
    }
    bool zero = decoder->zero_pending;
    decoder->left = (uint8_t)(byte - 1u);
    decoder->zero_pending = byte != LINK_COBS_FULL_BLOCK;
    *out = 0;
    return zero;
}

bool link_cobs_decoder_complete(const link_cobs_decoder_t *decoder) { return decoder->left == 0; }
