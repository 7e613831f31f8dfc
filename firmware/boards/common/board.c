/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include "clock.h"
#include "cortexm.h"
#include "microphone.h"
#include "port.h"
#include "reset.h"
#include "semihosting.h"
#include "uart.h"

static board_facts_t facts = {.name = BOARD_NAME};

static bool has(enum board_flag flag) { return (facts.flags & (uint8_t)flag) != 0; }

/* QEMU does not model DWT: its registers read 0, while every real core that we know says how many
 * comparators it has (DDI 0403, C1.8.7). */
static bool is_emulated(void) {
    DEMCR |= DEMCR_TRCENA;
    return DWT_CTRL == 0;
}

/* The hardware's word first. A software reset is one of ours: the record says which. */
static uint8_t reset_cause(void) {
    uint8_t recorded = reset_init();
    uint8_t hardware = port_reset_cause();
    if (hardware == BOARD_RESET_UNKNOWN ||
        (hardware == BOARD_RESET_SOFTWARE && recorded != BOARD_RESET_UNKNOWN)) {
        return recorded;
    }
    return hardware;
}

/* Semihosting stops the core while the emulated watchdog counts on, so only one of the two. */
static void start_transport(bool emulated) {
    if (emulated && semihosting_open()) {
        facts.flags |= BOARD_FLAG_SEMIHOSTING;
        return;
    }
    port_uart_init(facts.clock_hz);
    if (port_watchdog_start(emulated)) {
        facts.flags |= BOARD_FLAG_WATCHDOG;
    }
}

void board_init(void) {
    bool emulated = is_emulated();
    facts.flags = emulated ? BOARD_FLAG_EMULATED | BOARD_FLAG_ICOUNT : 0;
    facts.reset_cause = reset_cause();
    facts.clock_hz = port_clock_init(emulated);
    facts.tick_hz = facts.clock_hz;
    clock_start(facts.clock_hz, emulated);
    port_marker_init();
    if (microphone_is_there(emulated)) {
        facts.flags |= BOARD_FLAG_MICROPHONE;
    }
    start_transport(emulated);
    facts.boot_id = reset_boot_id((uint32_t)board_ticks());
}

const board_facts_t *board_facts(void) { return &facts; }

size_t board_read(uint8_t *bytes, size_t size, bool wait) {
    if (!has(BOARD_FLAG_SEMIHOSTING)) {
        return uart_read(bytes, size, wait);
    }
    if (!wait) {
        return 0;
    }
    size_t count = semihosting_read(bytes, size);
    if (count == 0) {
        cortexm_wait_for_interrupt(); /* the console has ended: let the host's processor rest */
    }
    return count;
}

void board_write(const uint8_t *bytes, size_t size) {
    if (has(BOARD_FLAG_SEMIHOSTING)) {
        semihosting_write(bytes, size);
    } else {
        uart_write(bytes, size);
    }
}

void board_marker(bool high) { port_marker(high); }

void board_watchdog_kick(void) {
    if (has(BOARD_FLAG_WATCHDOG)) {
        port_watchdog_kick();
    }
}
