/*
 * nRF52840: clock, reset cause, marker and watchdog. The link is usbd.c or uart0.c, the microphone
 * pdm.c; which pins: port_config.h of the board.
 *
 * A boot loader has run before, so registers need not hold what a reset leaves: what matters is
 * written. Interrupts need nothing of the boot loader: they come by our own vector table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port.h"

#include "board.h"
#include "boot_loader.h"
#include "nrf52840.h"
#include "port_config.h"

#define CLOCK_HZ 64000000u

/* Polls; the crystal starts in 0.4 ms or less (PS, CLOCK, electrical specification). */
#define PATIENCE 100000u

static void start_crystal(void) {
    CLOCK_TASKS_HFCLKSTART = 1;
    for (uint32_t i = 0; i < PATIENCE; i++) {
        if ((CLOCK_HFCLKSTAT & CLOCK_HFCLKSTAT_HFXO) == CLOCK_HFCLKSTAT_HFXO) {
            return;
        }
    }
}

/* The core always runs at 64 MHz, which the crystal makes exact: USB needs that, and the rate of
 * the microphone follows it. Without a crystal the internal oscillator is within 8 % (PS, CLOCK).
 * The converter of REG1 saves a third of the current; REG0 has nothing to do on boards that feed
 * VDD and VDDH together. */
uint32_t port_clock_init(bool emulated) {
    (void)emulated;
    POWER_DCDCEN = 1;
    NVMC_ICACHECNF = NVMC_ICACHECNF_CACHEEN;
    start_crystal();
    /* Newer chips close their debug port at every reset unless both of UICR and the firmware say
     * otherwise (PS, "Access port protection"): what UICR says, holds. */
    if ((UICR_APPROTECT & 0xFFu) == APPROTECT_OFF) {
        APPROTECT_DISABLE = APPROTECT_OFF;
    }
    return CLOCK_HZ;
}

/* Bits add up until they are cleared by writing 1. After a reset by the pin others may be set
 * wrongly (Errata, anomaly 136), so it comes first; after power-on none is set (PS, RESETREAS). */
uint8_t port_reset_cause(void) {
    static const struct {
        uint32_t flags;
        uint8_t cause;
    } causes[] = {
        {POWER_RESETREAS_RESETPIN, BOARD_RESET_PIN},
        {POWER_RESETREAS_DOG, BOARD_RESET_WATCHDOG},
        {POWER_RESETREAS_LOCKUP, BOARD_RESET_FAULT},
        {POWER_RESETREAS_SREQ, BOARD_RESET_SOFTWARE},
        {POWER_RESETREAS_WAKEUP, BOARD_RESET_LOW_POWER},
    };
    boot_loader_resume();
    const uint32_t flags = POWER_RESETREAS;
    POWER_RESETREAS = flags;
    for (uint32_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((flags & causes[i].flags) != 0) {
            return causes[i].cause;
        }
    }
    return flags == 0 ? BOARD_RESET_POWER_ON : BOARD_RESET_UNKNOWN;
}

void port_marker_init(void) {
    port_marker(false);
    GPIO_PIN_CNF(PORT_MARKER_PIN) = GPIO_PIN_CNF_OUTPUT;
}

/* One store, which no interrupt can tear. */
void port_marker(bool high) {
    if (high) {
        GPIO_OUTSET(PORT_MARKER_PIN) = GPIO_BIT(PORT_MARKER_PIN);
    } else {
        GPIO_OUTCLR(PORT_MARKER_PIN) = GPIO_BIT(PORT_MARKER_PIN);
    }
}

/* (CRV + 1) / 32768 s (PS, WDT): 2 s, by an oscillator of its own that is within 5 %. It runs on
 * through a software reset, and its registers are locked while it runs: then it is this one, or a
 * boot loader's, which is kept alive all the same. */
#define WATCHDOG_SECONDS 2u

bool port_watchdog_start(bool emulated) {
    if (emulated) {
        return false;
    }
    if (WDT_RUNSTATUS == 0) {
        WDT_CONFIG = WDT_CONFIG_SLEEP;
        WDT_CRV = WATCHDOG_SECONDS * WDT_HZ - 1u;
        WDT_RREN = 1u;
        WDT_TASKS_START = 1;
    }
    port_watchdog_kick();
    return true;
}

/* It wants each reload register that is enabled. */
void port_watchdog_kick(void) {
    const uint32_t enabled = WDT_RREN;
    for (uint32_t i = 0; i < WDT_RR_COUNT; i++) {
        if ((enabled & (1u << i)) != 0) {
            WDT_RR(i) = WDT_RR_RELOAD;
        }
    }
}

bool port_watchdog_warned(void) { return false; }
