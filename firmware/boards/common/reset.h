/*
 * What outlives a reset: a count of boots, why the board restarted, and the last fault.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESET_H
#define RESET_H

#include <stdint.h>

#include "board.h"

/** Reads the record that the run before left; call once. Returns the cause that it gave
 *  (BOARD_RESET_POWER_ON if there is no record). */
uint8_t reset_init(void);

/** Another value after every reset. `entropy` makes it another after power-on, too. */
uint32_t reset_boot_id(uint32_t entropy);

/** Notes the cause and restarts the board. */
void reset_because(enum board_reset cause) __attribute__((noreturn));

/** Notes the fault and restarts the board. */
void reset_after_fault(const board_fault_t *fault) __attribute__((noreturn));

#endif
