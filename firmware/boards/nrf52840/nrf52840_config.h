/*
 * What the boards with an nRF52840 share of their port_config.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NRF52840_CONFIG_H
#define NRF52840_CONFIG_H

/* P1.03 is PORT_PIN(1, 3); PSEL registers want the same number. */
#define PORT_PIN(port, number) (32u * (port) + (number))

/* The number of an interrupt is bits 12 .. of its peripheral's address (PS, "Peripheral ID"). */
#define PORT_IRQ_COUNT 48
#define PORT_MICROPHONE_IRQ 29 /* PDM, 0x4001D000 */

/* The link: the USB device behind the board's connector, or with W2S_LINK=uart (firmware/build.py)
 * the UART on its header. */
#ifdef W2S_LINK_UART
#define PORT_UART_IRQ 2 /* UART0, 0x40002000 */
#else
#define PORT_UART_IRQ 39 /* USBD, 0x40027000 */
#endif

#endif
