/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

/* RM0432, "Nested vectored interrupt controller (NVIC)", vector table: positions 0 .. 94, LPUART1
 * at 70. */
#define PORT_IRQ_COUNT 95
#define PORT_UART_IRQ 70

#endif
