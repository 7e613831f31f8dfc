/*
 * Samples of the microphone: its interrupt fills a ring, which lies in memory that the UART lends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MICROPHONE_H
#define MICROPHONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Whether this board has one. No emulator does. */
bool microphone_is_there(bool emulated);

/** Whether as many samples wait as the application takes at once. */
bool microphone_is_due(void);

/** From the microphone's interrupt: `count` samples at 16 kHz came. All of them are lost, and
 *  counted, where they do not fit. */
void microphone_received(const int16_t *pcm, size_t count);

/** From the microphone's interrupt: the hardware lost or spoilt `count` samples. */
void microphone_lost(uint32_t count);

#endif
