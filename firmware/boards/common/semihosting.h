/*
 * The emulator's console as a byte stream, thirty times faster than its UART.
 *
 * Semihosting is a debugger's service: the core stops at BKPT 0xAB, the emulator serves the
 * request in R0 and R1 (Arm IHI 0100, "Semihosting for AArch32 and AArch64"). Without a
 * debugger BKPT is a fault, so this is for the emulator alone, and even there it is tried
 * under a guard.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Opens the console. False if the emulator was started without semihosting. */
bool semihosting_open(void);

/** Reads what is there, or blocks until something is; 0 when the console's time limit passes
 *  (a terminal with VMIN = 0) or at its end. The virtual clock runs on while it blocks. */
size_t semihosting_read(uint8_t *bytes, size_t size);

/** Writes everything; blocks while the host does not read. */
void semihosting_write(const uint8_t *bytes, size_t size);

#endif
