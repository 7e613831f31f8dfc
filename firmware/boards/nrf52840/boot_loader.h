/*
 * Back to the boot loader, for new firmware.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BOOT_LOADER_H
#define BOOT_LOADER_H

/** Restarts the board into its boot loader, at once or within the watchdog's time. */
void boot_loader_enter(void) __attribute__((noreturn));

/** First of all at every start: goes on into the boot loader where boot_loader_enter() began. */
void boot_loader_resume(void);

#endif
