/* SPDX-License-Identifier: Apache-2.0 */
#include "stm32.h"

#include "board.h"
#include "port.h"

/* The pin's flag is set with every other cause, too, so it comes last (RM0090, 7.3.21; RM0432,
 * "Control/status register (RCC_CSR)"). */
uint8_t stm32_reset_cause(uint32_t flags, uint32_t power_on) {
    const struct {
        uint32_t flags;
        uint8_t cause;
    } causes[] = {
        {RCC_CSR_LPWRRSTF, BOARD_RESET_LOW_POWER},
        {RCC_CSR_IWDGRSTF | RCC_CSR_WWDGRSTF, BOARD_RESET_WATCHDOG},
        {RCC_CSR_SFTRSTF, BOARD_RESET_SOFTWARE},
        {power_on, BOARD_RESET_POWER_ON},
        {RCC_CSR_PINRSTF, BOARD_RESET_PIN},
    };
    for (uint32_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((flags & causes[i].flags) != 0) {
            return causes[i].cause;
        }
    }
    return BOARD_RESET_UNKNOWN;
}

/* 32 kHz / 64 = 500 Hz, 1000 counts: 2 s. The oscillator runs at 17 to 47 kHz in an STM32F4
 * (DS8626, LSI), so 1.4 s to 3.8 s; an STM32L4's is within 10 %. Once started it cannot be stopped;
 * a halted core stops it. */
bool port_watchdog_start(bool emulated) {
    if (emulated) {
        return false;
    }
    DBGMCU_APB1_FZ |= DBGMCU_APB1_FZ_IWDG_STOP;
    IWDG_KR = IWDG_KR_START;
    IWDG_KR = IWDG_KR_UNLOCK;
    IWDG_PR = IWDG_PR_DIV64;
    IWDG_RLR = 999u;
    (void)stm32_wait_for(&IWDG_SR, IWDG_SR_BUSY, 0);
    IWDG_KR = IWDG_KR_RELOAD;
    return true;
}

void port_watchdog_kick(void) { IWDG_KR = IWDG_KR_RELOAD; }

bool port_watchdog_warned(void) { return false; }
