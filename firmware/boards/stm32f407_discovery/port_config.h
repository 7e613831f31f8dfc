/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

/* RM0090, 12.2, vector table: positions 0 .. 81, USART2 at 38, stream 3 of DMA1 at 14. */
#define PORT_IRQ_COUNT 82
#define PORT_UART_IRQ 38
#define PORT_MICROPHONE_IRQ 14

/* W2S_CLOCK gives another one of the board's (firmware/build.py). */
#ifndef W2S_CLOCK_MHZ
#define W2S_CLOCK_MHZ 168
#endif

#endif
