/*
 * What ST's STM32F4 and STM32L4 have in common: the independent watchdog, its freeze under a
 * debugger, causes of a reset, and how a port waits for hardware. RM0090 is the manual of the one,
 * RM0432 of the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STM32_H
#define STM32_H

#include <stdbool.h>

#include "cortexm.h"

/// Why it was reset: bits of RCC_CSR that both have ///

#define RCC_CSR_PINRSTF (1u << 26)
#define RCC_CSR_SFTRSTF (1u << 28)
#define RCC_CSR_IWDGRSTF (1u << 29)
#define RCC_CSR_WWDGRSTF (1u << 30)
#define RCC_CSR_LPWRRSTF (1u << 31)

/** enum board_reset from RCC_CSR. `power_on`: the flags of a power-on, which differ. */
uint8_t stm32_reset_cause(uint32_t flags, uint32_t power_on);

/// Independent watchdog (both manuals: "Independent watchdog (IWDG)", registers) ///

#define IWDG_KR REG32(0x40003000u)
#define IWDG_KR_UNLOCK 0x5555u
#define IWDG_KR_RELOAD 0xAAAAu
#define IWDG_KR_START 0xCCCCu
#define IWDG_PR REG32(0x40003004u)
#define IWDG_PR_DIV64 4u
#define IWDG_RLR REG32(0x40003008u)
#define IWDG_SR REG32(0x4000300Cu)
#define IWDG_SR_BUSY 3u

/// Debug (both manuals: "Debug support (DBG)", MCU debug component) ///

#define DBGMCU_APB1_FZ REG32(0xE0042008u) /* APB1FZR1 in RM0432 */
#define DBGMCU_APB1_FZ_IWDG_STOP (1u << 12)

/// Waits ///

/* Polls; several ms at 16 MHz. A crystal starts in 2 ms and a PLL locks in 0.3 ms (the datasheets'
 * characteristics of HSE and PLL). No wait is unbounded: in the emulator nothing ever gets ready.
 */
#define STM32_PATIENCE 20000u

static inline bool stm32_wait_for(volatile const uint32_t *reg, uint32_t mask, uint32_t value) {
    for (uint32_t i = 0; i < STM32_PATIENCE; i++) {
        if ((*reg & mask) == value) {
            return true;
        }
    }
    return false;
}

#endif
