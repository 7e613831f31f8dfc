/*
 * NUCLEO-L4R5ZI: 120 MHz from the PLL, link on LPUART1 (PG7 out, PG8 in: the ST-LINK's serial
 * port), and PF13 high while the core computes.
 *
 * RM0432 is the reference manual of the STM32L4R5, DS12023 its datasheet, UM2179 the board's
 * manual. QEMU has no such machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port.h"

#include "board.h"
#include "port_config.h"
#include "stm32l4.h"
#include "uart.h"

#define MSI_HZ 4000000u /* after reset */
#define HSI_HZ 16000000u
#define FULL_SPEED_HZ 120000000u
#define WAIT_STATES 5u /* one more for each 20 MHz, in range 1 (RM0432, "Read access latency") */

/* The board comes without a crystal at the HSE, and without the ST-LINK's clock there (UM2179, "OSC
 * clock supply"); the internal oscillator is within 1 % at room temperature.
 * 16 MHz / 4 = 4 MHz, times 60 = 240 MHz, / 2 = 120 MHz. Outputs are enabled last (RM0432, "PLL").
 */
static bool start_pll(void) {
    RCC_PLLCFGR = RCC_PLLCFGR_SRC_HSI | RCC_PLLCFGR_M(4u) | RCC_PLLCFGR_N(60u) | RCC_PLLCFGR_R(2u);
    RCC_CR |= RCC_CR_PLLON;
    RCC_PLLCFGR |= RCC_PLLCFGR_REN;
    return stm32_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY);
}

static uint32_t stay_slow(void) {
    RCC_CFGR = RCC_CFGR_SW_HSI;
    return stm32_wait_for(&RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_HSI) ? HSI_HZ : MSI_HZ;
}

/* At least 1 us at 60 MHz: each read takes two cycles. */
static void wait_for_the_regulator(void) {
    for (uint32_t i = 0; i < 64u; i++) {
        (void)RCC_CFGR;
    }
}

/* Above 80 MHz the regulator is in its boost mode. The steps are those of RM0432, "Dynamic voltage
 * scaling management", from range 1 normal mode to boost mode: half of the clock by the AHB's
 * divider, boost, wait states, the clock, 1 us, and the whole of it. */
static bool go_fast(void) {
    RCC_CFGR = RCC_CFGR_HPRE_DIV2;
    PWR_CR5 &= ~PWR_CR5_R1MODE;
    FLASH_ACR =
        WAIT_STATES | FLASH_ACR_PREFETCH | FLASH_ACR_INSTRUCTION_CACHE | FLASH_ACR_DATA_CACHE;
    if (!stm32_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY, WAIT_STATES)) {
        return false;
    }
    RCC_CFGR = RCC_CFGR_HPRE_DIV2 | RCC_CFGR_SW_PLL;
    if (!stm32_wait_for(&RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL)) {
        return false;
    }
    wait_for_the_regulator();
    RCC_CFGR = RCC_CFGR_SW_PLL;
    return true;
}

/* Without the PLL the core runs from the internal oscillator, where the link still works. */
uint32_t port_clock_init(bool emulated) {
    (void)emulated;
    RCC_APB1ENR1 |= RCC_APB1ENR1_PWR; /* for the UART's pins, too */
    (void)RCC_APB1ENR1; /* the clock needs two cycles to arrive: a read takes as long */
    RCC_CR |= RCC_CR_HSION;
    if (!stm32_wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY)) {
        return MSI_HZ;
    }
    if (!start_pll() || !go_fast()) {
        return stay_slow();
    }
    return FULL_SPEED_HZ;
}

uint8_t port_reset_cause(void) {
    const uint32_t flags = RCC_CSR;
    RCC_CSR |= RCC_CSR_RMVF;
    return stm32_reset_cause(flags, RCC_CSR_BORRSTF);
}

/* PG7 and PG8 to alternate function 8, pull-up on the receiver so that an open wire is idle. Port G
 * is cut off from its supply VDDIO2 until it is told to be there (RM0432, "Independent I/O supply
 * rail"). */
static void uart_pins(void) {
    PWR_CR2 |= PWR_CR2_IOSV;
    RCC_AHB2ENR |= RCC_AHB2ENR_GPIOG;
    (void)RCC_AHB2ENR;
    GPIOG_AFRL = (GPIOG_AFRL & ~(15u << 28)) | (8u << 28);
    GPIOG_AFRH = (GPIOG_AFRH & ~15u) | 8u;
    GPIOG_OSPEEDR |= 0xAu << 14;
    GPIOG_PUPDR = (GPIOG_PUPDR & ~(0xFu << 14)) | (0x4u << 14);
    GPIOG_MODER = (GPIOG_MODER & ~(0xFu << 14)) | (0xAu << 14);
}

/* An LPUART's clock is 3 to 4096 times the rate (RM0432, "LPUART baud rate generation"): a slow
 * line, as MLPerf Tiny's runner wants it, has the internal oscillator instead of APB1's clock. */
#if PORT_UART_BAUD > 30000u
#define UART_CLOCK 0u
#define UART_HZ(clock_hz) (clock_hz)
#elif PORT_UART_BAUD >= 4000u
#define UART_CLOCK RCC_CCIPR_LPUART1_HSI
#define UART_HZ(clock_hz) ((void)(clock_hz), HSI_HZ)
#else
#error "LPUART1 runs at 4000 baud or more"
#endif

void port_uart_init(uint32_t clock_hz) {
    uart_pins();
    RCC_CCIPR |= UART_CLOCK;
    RCC_APB1ENR2 |= RCC_APB1ENR2_LPUART1;
    (void)RCC_APB1ENR2;
    /* 256 * 120 MHz / 33333 = 921609: 10 ppm. */
    LPUART1_BRR =
        (uint32_t)((UINT64_C(256) * UART_HZ(clock_hz) + PORT_UART_BAUD / 2u) / PORT_UART_BAUD);
    LPUART1_CR1 = LPUART_CR1_RXNEIE | LPUART_CR1_TE | LPUART_CR1_RE;
    LPUART1_CR1 |= LPUART_CR1_UE;
    cortexm_enable_irq(PORT_UART_IRQ);
}

size_t port_uart_send(const uint8_t *bytes, size_t size) {
    if (size == 0 || (LPUART1_ISR & LPUART_ISR_TXE) == 0) {
        return 0;
    }
    LPUART1_TDR = bytes[0];
    return 1;
}

void port_uart_poll(void) {}

void port_uart_irq(void) {
    const uint32_t status = LPUART1_ISR;
    const uint32_t errors = status & (LPUART_ISR_ORE | LPUART_ISR_NE | LPUART_ISR_FE);
    if (errors != 0) {
        LPUART1_ICR = errors;
        uart_error();
    }
    if ((status & LPUART_ISR_RXNE) != 0) {
        uart_received((uint8_t)LPUART1_RDR);
    }
}

/* PF13: D7 of the Arduino header, where submissions to MLPerf Tiny have theirs on this board. Low
 * before it becomes an output: MODER 01, in the reset state push-pull and slow, which is fast
 * enough for marks of milliseconds (RM0432, "GPIO registers"). */
#define MARKER_PIN 13u

void port_marker_init(void) {
    RCC_AHB2ENR |= RCC_AHB2ENR_GPIOF;
    (void)RCC_AHB2ENR;
    port_marker(false);
    GPIOF_MODER = (GPIOF_MODER & ~(3u << (2u * MARKER_PIN))) | (1u << (2u * MARKER_PIN));
}

/* One store, which no interrupt can tear. */
void port_marker(bool high) { GPIOF_BSRR = 1u << (high ? MARKER_PIN : 16u + MARKER_PIN); }
