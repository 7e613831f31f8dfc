/*
 * Arduino Nano 33 BLE Sense: pins as in its schematic (NANO33BLE_V2.0) and in Arduino's core.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

#include "nrf52840_config.h"

#define PORT_MARKER_PIN PORT_PIN(1, 11)  /* header D2: nothing on the board is wired to it */
#define PORT_UART_TX_PIN PORT_PIN(1, 3)  /* header TX */
#define PORT_UART_RX_PIN PORT_PIN(1, 10) /* header RX */

/* MP34DT05-A, powered by a pin; L/R to ground: the left channel. */
#define PORT_MICROPHONE_POWER_PIN PORT_PIN(0, 17)
#define PORT_MICROPHONE_CLOCK_PIN PORT_PIN(0, 26)
#define PORT_MICROPHONE_DATA_PIN PORT_PIN(0, 25)

/* What GPREGRET holds for Arduino's boot loader to stay: pins_arduino.h of Arduino's core. Whether
 * it feeds a watchdog is not known. */
#define PORT_BOOT_LOADER_MAGIC 0xB0u
#define PORT_BOOT_LOADER_FEEDS_WATCHDOG 0

#endif
