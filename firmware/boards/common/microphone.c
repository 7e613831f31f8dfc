/* SPDX-License-Identifier: Apache-2.0 */
#include "microphone.h"

#include "board.h"
#include "cortexm.h"
#include "port_config.h"

#ifdef PORT_MICROPHONE_IRQ

#include "port.h"
#include "uart.h"

/* Samples that are thrown away first, 100 ms: a microphone wakes up and filters settle, with a
 * thump that the loudness of what follows would be measured against. */
#ifndef PORT_MICROPHONE_SETTLING
#define PORT_MICROPHONE_SETTLING 1600u
#endif

/* As in uart.c: the interrupt alone writes `head` and what lies before it, the reader alone `tail`.
 * The ring is there while it listens. */
static int16_t *ring;
static uint32_t ring_size; /* samples, a power of two */
static volatile uint32_t head;
static volatile uint32_t tail;
static volatile uint32_t overruns;
static uint32_t settling;

bool microphone_is_there(bool emulated) { return !emulated; }

static size_t waiting(void) { return head - tail; }

bool microphone_is_due(void) { return waiting() >= BOARD_MICROPHONE_BLOCK; }

void microphone_lost(uint32_t count) { overruns = overruns + count; }

void microphone_received(const int16_t *pcm, size_t count) {
    const uint32_t at = head;
    if (settling > 0) {
        settling = settling > count ? settling - (uint32_t)count : 0;
        return;
    }
    if (ring_size - (at - tail) < count) {
        microphone_lost((uint32_t)count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ring[(at + i) & (ring_size - 1u)] = pcm[i];
    }
    cortexm_order();
    head = at + (uint32_t)count;
}

bool board_microphone_start(void) {
    if ((board_facts()->flags & BOARD_FLAG_MICROPHONE) == 0) {
        return false;
    }
    board_microphone_stop();
    size_t bytes;
    ring = uart_lend(&bytes);
    ring_size = (uint32_t)(bytes / sizeof *ring);
    settling = PORT_MICROPHONE_SETTLING;
    cortexm_lower_priority(PORT_MICROPHONE_IRQ);
    cortexm_enable_irq(PORT_MICROPHONE_IRQ);
    if (port_microphone_start()) {
        return true;
    }
    board_microphone_stop();
    return false;
}

void board_microphone_stop(void) {
    if (ring == NULL) {
        return;
    }
    cortexm_disable_irq(PORT_MICROPHONE_IRQ); /* it may be pending: its peripheral is going */
    port_microphone_stop();
    cortexm_disable_irq(PORT_MICROPHONE_IRQ);
    head = 0;
    tail = 0;
    ring = NULL;
    uart_take_back();
}

size_t board_microphone_waiting(void) { return waiting(); }

size_t board_microphone_read(int16_t *pcm, size_t size) {
    size_t count = waiting();
    count = count < size ? count : size;
    cortexm_order();
    for (size_t i = 0; i < count; i++) {
        pcm[i] = ring[(tail + i) & (ring_size - 1u)];
    }
    cortexm_order();
    tail = tail + (uint32_t)count;
    return count;
}

uint32_t board_microphone_overruns(void) { return overruns; }

#else /* no microphone */

bool microphone_is_there(bool emulated) {
    (void)emulated;
    return false;
}

bool microphone_is_due(void) { return false; }

bool board_microphone_start(void) { return false; }

void board_microphone_stop(void) {}

size_t board_microphone_waiting(void) { return 0; }

size_t board_microphone_read(int16_t *pcm, size_t size) {
    (void)pcm;
    (void)size;
    return 0;
}

uint32_t board_microphone_overruns(void) { return 0; }

#endif
