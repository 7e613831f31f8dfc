/* SPDX-License-Identifier: Apache-2.0 */
#include "uart.h"

#include <string.h>

#include "board.h"
#include "cortexm.h"
#include "load.h"
#include "microphone.h"
#include "port.h"

/* 44 ms at 921600 baud: longer than the slowest step between two reads, and more than the audio
 * that the host may have on its way (the link's credit). A power of two. While the board's own
 * microphone is heard no audio comes, and half of it will do. */
#ifndef UART_RING_SIZE
#define UART_RING_SIZE 4096u
#endif
#define READ_WAIT_MS 10u
#define WRITE_PATIENCE_MS 250u

/* Written by the interrupt alone: `ring`, `head` and the counters. By the reader alone: `tail`.
 * Both count bytes and wrap with 2^32; a byte is in the ring before `head` says so. */
static uint8_t ring[UART_RING_SIZE] __attribute__((aligned(4)));
static volatile uint32_t ring_size = UART_RING_SIZE; /* a power of two, too */
static volatile uint32_t head;
static volatile uint32_t tail;
static volatile uint32_t overruns;
static volatile uint32_t errors;

void uart_received(uint8_t byte) {
    uint32_t at = head;
    const uint32_t size = ring_size;
    if (at - tail == size) {
        overruns = overruns + 1u;
        return;
    }
    ring[at & (size - 1u)] = byte;
    cortexm_order();
    head = at + 1u;
}

void uart_error(void) { errors = errors + 1u; }

static size_t waiting(void) { return head - tail; }

size_t uart_room(void) { return ring_size - (head - tail); }

static bool is_due(size_t enough) { return waiting() >= enough || microphone_is_due(); }

/* Sleeps until one of: `size` bytes are there, a millisecond has turned since the first came,
 * READ_WAIT_MS brought nothing, or a block of the microphone waits. Taking bytes in runs costs a
 * reader far less than one by one. */
static void wait_for_bytes(size_t size) {
    const size_t enough = size < ring_size / 2u ? size : ring_size / 2u;
    uint32_t deadline = board_ms() + READ_WAIT_MS;
    bool is_empty = true;
    while (!is_due(enough) && (int32_t)(deadline - board_ms()) > 0) {
        if (is_empty && waiting() > 0) {
            is_empty = false;
            deadline = board_ms() + 1u;
        }
        /* Masked, an interrupt that comes between the test and WFI still ends WFI. */
        uint32_t mask = cortexm_mask();
        if (!is_due(enough)) {
            load_sleep();
        }
        cortexm_unmask(mask);
    }
}

/* Copies what lies before the ring's end. */
static size_t take(uint8_t *bytes, size_t size) {
    const uint32_t from = tail & (ring_size - 1u);
    const size_t to_end = ring_size - from;
    size_t count = waiting(); /* once: it grows meanwhile */
    count = count < to_end ? count : to_end;
    count = count < size ? count : size;
    cortexm_order();
    memcpy(bytes, &ring[from], count);
    cortexm_order();
    tail = tail + (uint32_t)count;
    return count;
}

size_t uart_read(uint8_t *bytes, size_t size, bool wait) {
    if (wait) {
        wait_for_bytes(size);
    }
    size_t count = take(bytes, size);
    if ((tail & (ring_size - 1u)) == 0) { /* at the ring's end: more may be at its start */
        count += take(bytes + count, size - count);
    }
    port_uart_poll();
    return count;
}

/* Both move what waits to where a ring of the other size has it. It is nothing, or a request that
 * is coming in: few bytes, and so a short time without interrupts. */
void *uart_lend(size_t *size) {
    const uint32_t half = UART_RING_SIZE / 2u;
    *size = half;
    const uint32_t mask = cortexm_mask();
    const uint32_t from = tail & (ring_size - 1u);
    uint32_t count = head - tail;
    if (count > half) {
        overruns = overruns + (count - half);
        count = half;
    }
    if (ring_size > half) {
        const uint32_t to_end = UART_RING_SIZE - from;
        const uint32_t first = count < to_end ? count : to_end;
        memmove(&ring[first], ring, count - first); /* nothing, where the run does not wrap */
        memmove(ring, &ring[from], first);
        tail = 0;
        head = count;
        ring_size = half;
    }
    cortexm_unmask(mask);
    return &ring[half];
}

void uart_take_back(void) {
    const uint32_t half = UART_RING_SIZE / 2u;
    const uint32_t mask = cortexm_mask();
    if (ring_size == half) {
        const uint32_t count = head - tail;
        tail = tail & (half - 1u);
        head = tail + count;
        if (head > half) {
            memcpy(&ring[half], ring, head - half);
        }
        ring_size = UART_RING_SIZE;
    }
    cortexm_unmask(mask);
}

/* Once the other end has let the patience run out, it costs no more until it takes bytes again. */
static bool is_stuck;

void uart_write(const uint8_t *bytes, size_t size) {
    uint32_t since = board_ms();
    while (size > 0) {
        const size_t taken = port_uart_send(bytes, size);
        if (taken > 0) {
            since = board_ms();
            is_stuck = false;
        } else if (is_stuck || board_ms() - since > WRITE_PATIENCE_MS) {
            is_stuck = true;
            return;
        }
        bytes += taken;
        size -= taken;
    }
}

uint32_t board_rx_overruns(void) { return overruns; }

uint32_t board_uart_errors(void) { return errors; }
