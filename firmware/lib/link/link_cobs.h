/* SPDX-License-Identifier: Apache-2.0 */
/* Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking
 * 7(2), 1999): turns any bytes into bytes without 0x00 at a cost of one byte in 254, so that
 * 0x00 can mark where a frame begins and ends.
 *
 * The encoder works on a stream and holds one block of 254 bytes, because the length of a run
 * goes out before the run. The decoder works on a whole frame in its place: but for the length
 * codes a frame is its own decoding, so hardly a byte moves, and the cost is that of the zeros. */
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

/* Most bytes that `length` bytes take when encoded, delimiters left out. */
#define LINK_COBS_ENCODED_SIZE(length) ((length) + (length) / 254u + 1u)

/* Decodes the frame of `length` bytes between two delimiters in its place: what it holds begins at
 * data[1] and its size goes to `decoded`. False where this is no encoding: nothing at all, a block
 * cut short, or 0x00 for a length code. What lies at `data` is then of no use. */
bool link_cobs_decode(uint8_t *data, size_t length, size_t *decoded);

#endif
