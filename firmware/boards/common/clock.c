/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include "board.h"
#include "cortexm.h"

static bool use_systick;           /* no cycle counter: count SysTick's own steps */
static uint32_t period;            /* SysTick steps in a millisecond */
static volatile uint32_t ms;       /* SysTick interrupts */
static volatile uint64_t reloads;  /* the same, never wrapping */
static volatile uint32_t high;     /* bits 32.. of the cycle count */
static volatile uint32_t low_seen; /* the cycle counter when last looked at */

/* DWT->CYCCNT with its wraps counted; it wraps in 25 s at 168 MHz, SysTick looks each ms. */
static uint64_t cycles(void) {
    uint32_t now = DWT_CYCCNT;
    if (now < low_seen) {
        high = high + 1u;
    }
    low_seen = now;
    return ((uint64_t)high << 32) | now;
}

/* At 0 the next count begins: whether its interrupt is already pending there, or not yet, differs
 * between implementations, and lasts for one step. So step over it. */
static uint32_t systick_left(void) {
    uint32_t left;
    do {
        left = SYST_CVR;
    } while (left == 0);
    return left;
}

/* SysTick counts down from period - 1 to 0, which ends a period (DDI 0403, B3.3). One whose
 * interrupt has not run yet is pending. */
static uint64_t systick_steps(void) {
    uint32_t left = systick_left();
    uint64_t periods = reloads;
    if ((SCB_ICSR & SCB_ICSR_PENDSTSET) != 0) {
        left = systick_left();
        periods++;
    }
    return periods * period + (period - left);
}

void clock_tick(void) {
    ms = ms + 1u;
    reloads = reloads + 1u;
    if (!use_systick) {
        (void)cycles();
    }
}

void clock_start(uint32_t clock_hz, bool emulated) {
    use_systick = emulated;
    period = clock_hz / 1000u;
    if (!emulated) {
        DWT_CYCCNT = 0;
        DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    }
    SYST_RVR = period - 1u;
    SYST_CVR = 0;
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE;
}

bool clock_counts_instructions(void) { return use_systick; }

uint32_t clock_stamp(void) { return systick_left(); }

uint32_t clock_since(uint32_t stamp) {
    const uint32_t now = systick_left();
    return stamp >= now ? stamp - now : stamp + period - now;
}

uint64_t board_uptime(void) {
    const uint32_t mask = cortexm_mask();
    const uint64_t steps = systick_steps();
    cortexm_unmask(mask);
    return steps;
}

uint64_t board_ticks(void) {
    uint32_t mask = cortexm_mask();
    uint64_t ticks = use_systick ? systick_steps() : cycles();
    cortexm_unmask(mask);
    return ticks;
}

uint32_t board_ms(void) { return ms; }
