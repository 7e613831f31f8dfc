/*
 * Arm's MPS2 and MPS3 FPGA boards: UART, LED and watchdog of the Cortex-M System Design Kit.
 *
 * Registers as in Arm DDI 0479, "Cortex-M System Design Kit", chapter "APB components".
 * Which addresses and clocks: port_config.h of the board.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port.h"

#include "board.h"
#include "cortexm.h"
#include "port_config.h"
#include "uart.h"

#define UART_DATA REG32(PORT_UART_BASE + 0x00u)
#define UART_STATE REG32(PORT_UART_BASE + 0x04u)
#define UART_STATE_TX_FULL (1u << 0)
#define UART_STATE_RX_FULL (1u << 1)
#define UART_STATE_RX_OVERRUN (1u << 3)
#define UART_CTRL REG32(PORT_UART_BASE + 0x08u)
#define UART_CTRL_TX (1u << 0)
#define UART_CTRL_RX (1u << 1)
#define UART_CTRL_RX_INTERRUPT (1u << 3)
#define UART_INTCLEAR REG32(PORT_UART_BASE + 0x0Cu)
#define UART_INTCLEAR_RX (1u << 1)
#define UART_BAUDDIV REG32(PORT_UART_BASE + 0x10u)

/* The FPGA's own registers; bit 0 is the first user LED (DAI 0386, 0500 and 0547, "FPGA system
 * control and I/O"). */
#define FPGA_LED REG32(PORT_FPGA_IO_BASE + 0x000u)
#define FPGA_LED_MARKER (1u << 0)

#define WDOG_LOAD REG32(PORT_WATCHDOG_BASE + 0x000u)
#define WDOG_CONTROL REG32(PORT_WATCHDOG_BASE + 0x008u)
#define WDOG_CONTROL_INTERRUPT (1u << 0)
#define WDOG_CONTROL_RESET (1u << 1)
#define WDOG_INTCLR REG32(PORT_WATCHDOG_BASE + 0x00Cu)
#define WDOG_RIS REG32(PORT_WATCHDOG_BASE + 0x010u)
#define WDOG_LOCK REG32(PORT_WATCHDOG_BASE + 0xC00u)
#define WDOG_LOCK_OPEN 0x1ACCE551u

/* To the warning, which comes as NMI; as long again to the reset if nobody answers. */
#define WATCHDOG_SECONDS 4u

/* The FPGA image fixes the clock. */
uint32_t port_clock_init(bool emulated) {
    (void)emulated;
    return PORT_CLOCK_HZ;
}

uint8_t port_reset_cause(void) { return BOARD_RESET_UNKNOWN; }

void port_uart_init(uint32_t clock_hz) {
    UART_BAUDDIV = clock_hz / PORT_UART_BAUD; /* at least 16 */
    UART_CTRL = UART_CTRL_TX | UART_CTRL_RX | UART_CTRL_RX_INTERRUPT;
    cortexm_enable_irq(PORT_UART_IRQ);
}

size_t port_uart_send(const uint8_t *bytes, size_t size) {
    if (size == 0 || (UART_STATE & UART_STATE_TX_FULL) != 0) {
        return 0;
    }
    UART_DATA = bytes[0];
    return 1;
}

void port_uart_poll(void) {}

/* The interrupt is cleared before the byte is taken: the next byte may come in between. */
void port_uart_irq(void) {
    UART_INTCLEAR = UART_INTCLEAR_RX;
    if ((UART_STATE & UART_STATE_RX_OVERRUN) != 0) {
        UART_STATE = UART_STATE_RX_OVERRUN;
        uart_error();
    }
    if ((UART_STATE & UART_STATE_RX_FULL) != 0) {
        uart_received((uint8_t)UART_DATA);
    }
}

/* These boards have no pin to spare for the core; their first LED is what it can reach. */
void port_marker_init(void) { port_marker(false); }

void port_marker(bool high) { FPGA_LED = high ? FPGA_LED_MARKER : 0u; }

bool port_watchdog_start(bool emulated) {
    (void)emulated;
    WDOG_LOCK = WDOG_LOCK_OPEN;
    WDOG_LOAD = WATCHDOG_SECONDS * PORT_WATCHDOG_HZ;
    WDOG_CONTROL = WDOG_CONTROL_INTERRUPT | WDOG_CONTROL_RESET;
    return true;
}

void port_watchdog_kick(void) { WDOG_INTCLR = 1; } /* reloads as well */

bool port_watchdog_warned(void) { return (WDOG_RIS & 1u) != 0; }
