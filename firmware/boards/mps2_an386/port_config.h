/*
 * AN386, an MPS2 image with a Cortex-M4 (Arm DAI 0386).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

#define PORT_CLOCK_HZ 25000000u
#define PORT_IRQ_COUNT 32
#define PORT_UART_BASE 0x40004000u
#define PORT_UART_IRQ 0
#define PORT_FPGA_IO_BASE 0x40028000u
#define PORT_WATCHDOG_BASE 0x40008000u
#define PORT_WATCHDOG_HZ 25000000u

#endif
