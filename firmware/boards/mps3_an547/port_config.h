/*
 * AN547, an MPS3 image with a Cortex-M55 in Arm's SSE-300 subsystem (Arm DAI 0547).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PORT_CONFIG_H
#define PORT_CONFIG_H

#define PORT_CLOCK_HZ 32000000u
#define PORT_IRQ_COUNT 128
#define PORT_UART_BASE 0x59303000u
#define PORT_UART_IRQ 33
#define PORT_FPGA_IO_BASE 0x59302000u
#define PORT_WATCHDOG_BASE 0x5802E000u
#define PORT_WATCHDOG_HZ 32768u

#endif
