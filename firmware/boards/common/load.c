/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "board.h"
#include "clock.h"
#include "cortexm.h"
#include "port.h"
#include "port_config.h"

/* What lies outside the two stamps below. Entry and return of an exception: 12 cycles each
 * (Cortex-M4 TRM, "Exception handling"; the return is taken to be as long). The handler around
 * them: about 50 by the cycle model, 25 instructions. The emulator enters and returns in none. */
#define UNSEEN_CYCLES (24u + 50u)
#define UNSEEN_INSTRUCTIONS 25u /* of a nanosecond each */

static uint32_t unseen;           /* in ticks */
static volatile bool is_measured; /* changes outside interrupts only */
static volatile board_load_t load;

/* Of an interrupt that no other interrupts. */
static void run_measured(void (*handle)(void)) {
    const uint32_t begin = clock_stamp();
    handle();
    load.interrupts = load.interrupts + clock_since(begin) + unseen;
    load.count = load.count + 1u;
}

void SysTick_Handler(void) {
    if (is_measured) {
        run_measured(clock_tick);
    } else {
        clock_tick();
    }
}

void UART_Handler(void) {
    if (is_measured) {
        run_measured(port_uart_irq);
    } else {
        port_uart_irq();
    }
}

#ifdef PORT_MICROPHONE_IRQ
/* Others come in between, whose time is counted by then: it is not counted twice. Masked is what
 * they must not part. */
static void run_measured_among_others(void (*handle)(void)) {
    uint32_t mask = cortexm_mask();
    const uint32_t begin = clock_stamp();
    const uint64_t before = load.interrupts;
    cortexm_unmask(mask);
    handle();
    mask = cortexm_mask();
    const uint64_t within = load.interrupts - before;
    const uint64_t whole = clock_since(begin);
    load.interrupts = before + (whole > within ? whole : within) + unseen;
    load.count = load.count + 1u;
    cortexm_unmask(mask);
}

void Microphone_Handler(void) {
    if (is_measured) {
        run_measured_among_others(port_microphone_irq);
    } else {
        port_microphone_irq();
    }
}
#endif

/* SysTick ends a sleep after a millisecond, the most that clock_since() knows. */
void load_sleep(void) {
    if (!is_measured) {
        cortexm_wait_for_interrupt();
        return;
    }
    const uint32_t begin = clock_stamp();
    cortexm_wait_for_interrupt();
    load.asleep = load.asleep + clock_since(begin);
}

static uint32_t unseen_ticks(void) {
    const uint64_t hz = board_facts()->tick_hz;
    return clock_counts_instructions()
               ? (uint32_t)((UNSEEN_INSTRUCTIONS * hz + 500000000u) / 1000000000u)
               : UNSEEN_CYCLES;
}

void board_measure(bool on) {
    unseen = unseen_ticks();
    const uint32_t mask = cortexm_mask();
    load.interrupts = 0;
    load.asleep = 0;
    load.count = 0;
    is_measured = on;
    cortexm_unmask(mask);
}

board_load_t board_load(void) {
    const uint32_t mask = cortexm_mask();
    const board_load_t now = {
        .interrupts = load.interrupts, .asleep = load.asleep, .count = load.count};
    cortexm_unmask(mask);
    return now;
}

uint64_t board_work_ticks(void) {
    const uint32_t mask = cortexm_mask();
    const uint64_t ticks = board_ticks() - load.interrupts;
    cortexm_unmask(mask);
    return ticks;
}
