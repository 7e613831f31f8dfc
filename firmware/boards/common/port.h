/*
 * What one board adds to the common code: clock, link, marker, watchdog, reset cause.
 *
 * A board's folder holds port.c with these functions, or shares a driver, and port_config.h with
 * its numbers: PORT_IRQ_COUNT, PORT_UART_IRQ and what its driver needs. One with a microphone
 * defines PORT_MICROPHONE_IRQ too, and then has the functions of a microphone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PORT_H
#define PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* W2S_BAUD gives another one (firmware/build.py). */
#ifndef PORT_UART_BAUD
#define PORT_UART_BAUD 921600u
#endif

/** Brings the core to full speed and returns its clock in Hz. In the emulator the clock is a
 *  property of the machine, and there is nothing to set. */
uint32_t port_clock_init(bool emulated);

/** Why the board started (enum board_reset) as far as the hardware keeps it; then forgets it. */
uint8_t port_reset_cause(void);

/** Starts the UART at PORT_UART_BAUD, 8N1, with its receive interrupt enabled. */
void port_uart_init(uint32_t clock_hz);

/** Hands bytes to the transmitter, as many as it takes at once: 0 while it is busy. */
size_t port_uart_send(const uint8_t *bytes, size_t size);

/** The receive interrupt: gives each byte to uart_received(), each error to uart_error(). One with
 *  flow control takes no more than uart_room() tells. */
void port_uart_irq(void);

/** After bytes were taken, and at least every 10 ms while the application waits for some. Nothing
 * for a UART; a link with flow control, or with a plug, sees to these. */
void port_uart_poll(void);

/** Starts the microphone, whose interrupt the caller has enabled; false if it does not start. */
bool port_microphone_start(void);

/** Stops it, its interrupt being off. */
void port_microphone_stop(void);

/** The microphone's interrupt: gives samples to microphone_received(), and what the hardware lost
 *  to microphone_lost(). The UART's may interrupt it. */
void port_microphone_irq(void);

/** Makes the pin of port_marker() an output, low. */
void port_marker_init(void);

/** Drives the pin that board_marker() stands for. */
void port_marker(bool high);

/** Starts the watchdog. False if there is none. */
bool port_watchdog_start(bool emulated);

/** Restarts the watchdog's count. */
void port_watchdog_kick(void);

/** The watchdog's warning, where it comes as NMI: clears it and returns true. */
bool port_watchdog_warned(void);

#endif
