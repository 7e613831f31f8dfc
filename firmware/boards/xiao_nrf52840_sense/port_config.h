/*
 * Seeed XIAO nRF52840 Sense: pins as in its schematic and in Seeed's Arduino core.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

#include "nrf52840_config.h"

#define PORT_MARKER_PIN PORT_PIN(0, 2)   /* header D0: nothing on the board is wired to it */
#define PORT_UART_TX_PIN PORT_PIN(1, 11) /* header D6 */
#define PORT_UART_RX_PIN PORT_PIN(1, 12) /* header D7 */

/* MSM261D3526H1CPM, powered by a pin; L/R to ground: the left channel. */
#define PORT_MICROPHONE_POWER_PIN PORT_PIN(1, 10)
#define PORT_MICROPHONE_CLOCK_PIN PORT_PIN(1, 0)
#define PORT_MICROPHONE_DATA_PIN PORT_PIN(0, 16)

/* What GPREGRET holds for Adafruit's boot loader to stay, with its drive and its port (src/main.c:
 * DFU_MAGIC_UF2_RESET). It feeds a watchdog that runs (wait_for_events() in bootloader.c). */
#define PORT_BOOT_LOADER_MAGIC 0x57u
#define PORT_BOOT_LOADER_FEEDS_WATCHDOG 1

#endif
