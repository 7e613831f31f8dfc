/* SPDX-License-Identifier: Apache-2.0 */
#include "link_cobs.h"

enum { FULL_BLOCK = 255 };

static void start_block(link_cobs_encoder_t *encoder, bool after_full) {
    encoder->used = 1;
    encoder->after_full = after_full;
}

static void send_block(link_cobs_encoder_t *encoder) {
    encoder->block[0] = (uint8_t)encoder->used;
    encoder->sink(encoder->context, encoder->block, encoder->used);
}

void link_cobs_encoder_start(link_cobs_encoder_t *encoder, link_sink_t sink, void *context) {
    encoder->sink = sink;
    encoder->context = context;
    start_block(encoder, false);
}

void link_cobs_encoder_add(link_cobs_encoder_t *encoder, const void *data, size_t length) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < length; ++i) {
        if (bytes[i] == 0) {
            send_block(encoder);
            start_block(encoder, false);
            continue;
        }
        encoder->block[encoder->used++] = bytes[i];
        if (encoder->used == FULL_BLOCK) {
            send_block(encoder);
            start_block(encoder, true);
        }
    }
}

void link_cobs_encoder_finish(link_cobs_encoder_t *encoder) {
    /* An empty block after a full one says nothing that the delimiter does not say. */
    if (encoder->used > 1 || !encoder->after_full) {
        send_block(encoder);
    }
    start_block(encoder, false);
}

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
    decoder->zero_pending = byte != FULL_BLOCK;
    *out = 0;
    return zero;
}

bool link_cobs_decoder_complete(const link_cobs_decoder_t *decoder) {
    return decoder->left == 0;
}
