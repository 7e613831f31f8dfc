/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_loader.h"

#include <stdbool.h>

#include "nrf52840.h"
#include "port_config.h"

/* In RAM that the start-up code leaves alone, and that a watchdog's reset keeps. Noise after
 * power-on is neither of the two but once in 2^64. */
static volatile uint32_t wish __attribute__((section(".noinit")));
static volatile uint32_t wish_check __attribute__((section(".noinit")));

#define WISH 0x424F4F54u /* "BOOT" */

static void __attribute__((noreturn)) restart_into_it(void) {
    POWER_GPREGRET = PORT_BOOT_LOADER_MAGIC;
    cortexm_barrier();
    SCB_AIRCR = SCB_AIRCR_RESET;
    for (;;) {
    }
}

/* Nothing wakes the core any more. */
static void __attribute__((noreturn)) sleep_until_the_watchdog(void) {
    SYST_CSR = 0;
    cortexm_disable_irq(PORT_UART_IRQ);
    cortexm_disable_irq(PORT_MICROPHONE_IRQ);
    for (;;) {
        cortexm_wait_for_interrupt();
    }
}

/* A software reset does not stop the watchdog, which would end a boot loader that does not feed it
 * in the middle of its work. Its own reset does stop it, but forgets GPREGRET (PS, POWER, "Reset
 * behavior"): so wait for that one, and ask for the boot loader after it. */
void boot_loader_enter(void) {
    (void)cortexm_mask();
    if (!PORT_BOOT_LOADER_FEEDS_WATCHDOG && WDT_RUNSTATUS != 0) {
        wish = WISH;
        wish_check = ~WISH;
        sleep_until_the_watchdog();
    }
    restart_into_it();
}

void boot_loader_resume(void) {
    const bool is_wished = wish == WISH && wish_check == ~WISH;
    wish = 0;
    wish_check = 0;
    if (is_wished && WDT_RUNSTATUS == 0) {
        restart_into_it();
    }
}
