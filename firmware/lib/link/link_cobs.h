/* SPDX-License-Identifier: Apache-2.0 */
/* Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking
 * 7(2), 1999): turns any bytes into bytes without 0x00 at a cost of one byte in 254, so that
 * 0x00 can mark where a frame begins and ends.
 *
 * Both directions work on a stream. The encoder holds one block of 254 bytes, because the
 * length of a run goes out before the run; the decoder holds no data at all. */
#ifndef LINK_COBS_H
#define LINK_COBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes encoded bytes on their way out. */
typedef void (*link_sink_t)(void *context, const uint8_t *data, size_t length);

enum { LINK_COBS_FULL_BLOCK = 255 }; /* length code and 254 bytes */

typedef struct {
    link_sink_t sink;
    void *context;
    uint16_t used;    /* bytes in the buffer */
    uint16_t code_at; /* where the length code of the open block goes */
    uint8_t buffer[LINK_COBS_FULL_BLOCK + 1];
} link_cobs_encoder_t;

/* Begins a frame, with its delimiter, whose bytes go to `sink` in pieces of up to 256. */
void link_cobs_encoder_start(link_cobs_encoder_t *encoder, link_sink_t sink, void *context);

/* Encodes `length` more bytes of the frame. */
void link_cobs_encoder_add(link_cobs_encoder_t *encoder, const void *data, size_t length);

/* Ends the frame with its delimiter, and sends what was held back. */
void link_cobs_encoder_finish(link_cobs_encoder_t *encoder);

typedef struct {
    uint8_t left;      /* bytes to come before the next length code */
    bool zero_pending; /* a zero stands between this block and the next, if there is a next */
} link_cobs_decoder_t;

/* Begins a frame. */
void link_cobs_decoder_start(link_cobs_decoder_t *decoder);

/* Takes one encoded byte, which must not be 0x00. True when it yields a byte, stored in `out`. */
bool link_cobs_decoder_feed(link_cobs_decoder_t *decoder, uint8_t byte, uint8_t *out);

/* True when the frame may end here, false when bytes of its last block are missing. */
bool link_cobs_decoder_complete(const link_cobs_decoder_t *decoder);

#endif
