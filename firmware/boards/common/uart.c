/* SPDX-License-Identifier: Apache-2.0 */
#include "uart.h"

#include "board.h"
#include "cortexm.h"
#include "port.h"

/* 44 ms at 921600 baud: longer than the slowest step between two reads, and more than the audio
 * that the host may have on its way (the link's credit). A power of two. */
#define RING_SIZE 4096u
#define READ_WAIT_MS 10u
#define WRITE_PATIENCE_MS 250u

/* Written by the interrupt alone: `head` and the counters. By the reader alone: `tail`. */
static volatile uint8_t ring[RING_SIZE];
static volatile uint32_t head;
static volatile uint32_t tail;
static volatile uint32_t overruns;
static volatile uint32_t errors;

void uart_received(uint8_t byte) {
    uint32_t at = head;
    if (at - tail == RING_SIZE) {
        overruns = overruns + 1u;
        return;
    }
    ring[at % RING_SIZE] = byte;
    head = at + 1u;
}

void uart_error(void) { errors = errors + 1u; }

/* Sleeps until the ring holds something or READ_WAIT_MS pass. */
static void wait_for_byte(void) {
    uint32_t start = board_ms();
    while (head == tail && board_ms() - start < READ_WAIT_MS) {
        /* Masked, an interrupt that comes between the test and WFI still ends WFI. */
        uint32_t mask = cortexm_mask();
        if (head == tail) {
            cortexm_wait_for_interrupt();
        }
        cortexm_unmask(mask);
    }
}

size_t uart_read(uint8_t *bytes, size_t size, bool wait) {
    if (wait && size > 0) {
        wait_for_byte();
    }
    uint32_t at = tail;
    size_t count = 0;
    for (; count < size && at != head; count++, at++) {
        bytes[count] = ring[at % RING_SIZE];
    }
    tail = at;
    return count;
}

/* True once the transmitter is free, false after WRITE_PATIENCE_MS. */
static bool wait_for_transmitter(void) {
    uint32_t start = board_ms();
    while (!port_uart_ready()) {
        if (board_ms() - start > WRITE_PATIENCE_MS) {
            return false;
        }
    }
    return true;
}

void uart_write(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size && wait_for_transmitter(); i++) {
        port_uart_put(bytes[i]);
    }
}

uint32_t board_rx_overruns(void) { return overruns; }

uint32_t board_uart_errors(void) { return errors; }
