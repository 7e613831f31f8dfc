/* SPDX-License-Identifier: Apache-2.0 */
#include "outlet.h"

#include "board.h"
#include "messages.h"

static void write_to_board(void *context, const uint8_t *data, size_t length) {
    (void)context;
    board_watchdog_kick(); /* a host that does not read costs time, and no reset */
    board_write(data, length);
}

void outlet_init(outlet_t *outlet) {
    link_writer_init(&outlet->writer, write_to_board, NULL);
    outlet->event_sequence = 0;
}

void outlet_reply(outlet_t *outlet, uint8_t type, uint8_t sequence, const void *payload,
                  size_t length) {
    link_writer_send(&outlet->writer, type, sequence, payload, length);
}

void outlet_error(outlet_t *outlet, uint8_t error, uint8_t request_type, uint8_t sequence,
                  uint32_t detail) {
    const link_error_t refusal = {.error = error, .request_type = request_type, .detail = detail};
    outlet_reply(outlet, LINK_ERROR, sequence, &refusal, sizeof refusal);
}

void outlet_event(outlet_t *outlet, uint8_t type, const void *head, size_t head_length,
                  const void *tail, size_t tail_length) {
    link_writer_begin(&outlet->writer, type, outlet->event_sequence++);
    link_writer_add(&outlet->writer, head, head_length);
    if (tail_length > 0) {
        link_writer_add(&outlet->writer, tail, tail_length);
    }
    link_writer_end(&outlet->writer);
}

void outlet_text(const text_t *text) {
    static const uint8_t line_end[2] = {'\r', '\n'};
    write_to_board(NULL, (const uint8_t *)text->characters, text->length);
    write_to_board(NULL, line_end, sizeof line_end);
}

void outlet_print(const char *line) {
    text_t text;
    text_start(&text, line);
    outlet_text(&text);
}
