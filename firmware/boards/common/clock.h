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

#endif
