/*
 * The link over the UART on the board's header, for a USB-serial adapter (W2S_LINK=uart).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port.h"

#include "port_config.h"

#ifdef W2S_LINK_UART

#include "nrf52840.h"
#include "uart.h"

static bool is_idle = true; /* nothing was sent yet, so no TXDRDY either */

/* BAUDRATE is the rate as a fraction of 16 MHz, in units of 2^-32, rounded to 2^-20 (PS, UART,
 * table "BAUDRATE": 0x01D7E000 for 115200). */
static uint32_t baud_rate(uint32_t baud) {
    const uint64_t fraction = ((uint64_t)baud << 32) / 16000000u;
    return (uint32_t)((fraction + 0x800u) & 0xFFFFF000u);
}

/* The line idles at 1, before the peripheral has the pin (PS, UART, "Pin configuration"); a pull-up
 * on the receiver makes an open wire idle. */
static void uart_pins(void) {
    GPIO_OUTSET(PORT_UART_TX_PIN) = GPIO_BIT(PORT_UART_TX_PIN);
    GPIO_PIN_CNF(PORT_UART_TX_PIN) = GPIO_PIN_CNF_OUTPUT;
    GPIO_PIN_CNF(PORT_UART_RX_PIN) = GPIO_PIN_CNF_INPUT | GPIO_PIN_CNF_INPUT_PULLUP;
    UART0_PSEL_TXD = PORT_UART_TX_PIN;
    UART0_PSEL_RXD = PORT_UART_RX_PIN;
}

void port_uart_init(uint32_t clock_hz) {
    (void)clock_hz; /* the peripheral has a clock of its own, 16 MHz */
    uart_pins();
    UART0_BAUDRATE = baud_rate(PORT_UART_BAUD);
    UART0_CONFIG = 0; /* no parity, one stop bit, no flow control */
    UART0_ENABLE = UART0_ENABLE_ON;
    UART0_INTENSET = UART0_INT_RXDRDY | UART0_INT_ERROR;
    UART0_TASKS_STARTTX = 1;
    UART0_TASKS_STARTRX = 1;
    cortexm_enable_irq(PORT_UART_IRQ);
}

size_t port_uart_send(const uint8_t *bytes, size_t size) {
    if (size == 0 || !(nrf_take(&UART0_EVENTS_TXDRDY) || is_idle)) {
        return 0;
    }
    is_idle = false;
    UART0_TXD = bytes[0];
    return 1;
}

void port_uart_poll(void) {}

/* The event is forgotten before the byte is taken: reading RXD may bring the next one up from the
 * FIFO of six, with an event of its own. */
void port_uart_irq(void) {
    if (nrf_take(&UART0_EVENTS_ERROR)) {
        UART0_ERRORSRC = UART0_ERRORSRC;
        uart_error();
    }
    if (nrf_take(&UART0_EVENTS_RXDRDY)) {
        uart_received((uint8_t)UART0_RXD);
    }
}

#endif
