/*
 * Bytes over the UART: an interrupt fills a ring, the transmitter is polled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** From the receive interrupt: one byte came. */
void uart_received(uint8_t byte);

/** How many bytes uart_received() can take now: for a link that can make the host wait. */
size_t uart_room(void);

/** From the receive interrupt: the hardware lost or spoilt a byte. */
void uart_error(void);

/** Takes up to `size` bytes from the ring. With `wait` it sleeps up to 10 ms for the first, and up
 *  to 1 ms more for the others. */
size_t uart_read(uint8_t *bytes, size_t size, bool wait);

/** Gives away half of the ring, `size` bytes at a multiple of 4, until uart_take_back(). What waits
 *  stays; what does not fit any more is counted as lost. */
void *uart_lend(size_t *size);

/** The whole ring again. */
void uart_take_back(void);

/** Sends; drops the rest after 250 ms without progress, and then everything until some is taken. */
void uart_write(const uint8_t *bytes, size_t size);

#endif
