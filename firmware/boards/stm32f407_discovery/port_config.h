/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

/* RM0090, 12.2, vector table: positions 0 .. 81, USART2 at 38. */
#define PORT_IRQ_COUNT 82
#define PORT_UART_IRQ 38

#endif
