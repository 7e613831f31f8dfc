/*
 * Time: a millisecond tick, and a 64-bit count of core cycles or instructions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/** Starts SysTick, and uses DWT's cycle counter where there is one. */
void clock_start(uint32_t clock_hz, bool emulated);

/** The work of SysTick's interrupt. */
void clock_tick(void);

/** Whether ticks are SysTick's, and so may count instructions (QEMU's -icount). */
bool clock_counts_instructions(void);

/** A moment, for clock_since(): cheap, and good for less than a millisecond. */
uint32_t clock_stamp(void);

/** Ticks since a moment that is less than a millisecond ago, also while the core slept. */
uint32_t clock_since(uint32_t stamp);

#endif
