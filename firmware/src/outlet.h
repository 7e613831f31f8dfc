/* SPDX-License-Identifier: Apache-2.0 */
/* All that leaves the board: replies, events, and lines of text between frames. */
#ifndef OUTLET_H
#define OUTLET_H

#include <stddef.h>
#include <stdint.h>

#include "link_writer.h"
#include "text.h"

typedef struct {
    link_writer_t writer;
    uint8_t event_sequence; /* of the next event; replies repeat the one of their request */
} outlet_t;

/* Binds the outlet to board_write(). */
void outlet_init(outlet_t *outlet);

/* Answers the request that had `sequence`. */
void outlet_reply(outlet_t *outlet, uint8_t type, uint8_t sequence, const void *payload,
                  size_t length);

/* Refuses the request of `request_type`; `error` is a link_error_code, `detail` explained there. */
void outlet_error(outlet_t *outlet, uint8_t error, uint8_t request_type, uint8_t sequence,
                  uint32_t detail);

/* Sends an event: a fixed head, and a tail of `tail_length` bytes (0 for none). */
void outlet_event(outlet_t *outlet, uint8_t type, const void *head, size_t head_length,
                  const void *tail, size_t tail_length);

/* Prints the line that `text` holds, or a constant one. */
void outlet_text(const text_t *text);
void outlet_print(const char *line);

#endif
