/*
 * Processor faults: recorded, survived by a reset, or expected under a guard.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

/** Turns the configurable faults on, and the guard at the stack's end. */
void fault_init(void);

/** Until fault_guard_end() a faulting 16-bit instruction is skipped instead of recorded. */
void fault_guard_begin(void);

/** Ends the guard. True if something was skipped. */
bool fault_guard_end(void);

/** The entry of every vector that is a fault or that nothing handles. */
void fault_entry(void);

#endif
