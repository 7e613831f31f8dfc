/*
 * STM32F4DISCOVERY: clock from the 8 MHz crystal, link on USART2 (PA2 out, PA3 in), and PD0 high
 * while the core computes. The microphone is in i2s2.c.
 *
 * The same ELF runs in QEMU's netduinoplus2 (an STM32F405), where RCC, FLASH, GPIO and IWDG are
 * not modelled: they read 0 and ignore writes. So no wait is unbounded, and the emulator has its
 * own clock. The 64 KB of core-coupled RAM fault there and are not used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port.h"

#include "board.h"
#include "port_config.h"
#include "stm32f4.h"
#include "uart.h"

#define HSI_HZ 16000000u
#define EMULATED_HZ 168000000u /* fixed by the machine */

/* The PLL takes 8 MHz / 4 or 16 MHz / 8 = 2 MHz, times N, by P (RM0090, 7.3.2). Wait states at 2.7
 * to 3.6 V: table 10. APB1 runs at 42 MHz at most, APB2 at 84 (7.2). The voltage may be lower where
 * the clock is at most 144 MHz (5.1.3). */
#if W2S_CLOCK_MHZ == 168
#define PLL_FACTORS (RCC_PLLCFGR_N(168u) | RCC_PLLCFGR_P(2u)) /* 336 MHz, 168 MHz */
#define WAIT_STATES 5u
#define APB1_DIVIDER 4u
#define BUS_DIVIDERS (RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2)
#define VOLTAGE_SCALE PWR_CR_VOS
#elif W2S_CLOCK_MHZ == 64
#define PLL_FACTORS (RCC_PLLCFGR_N(128u) | RCC_PLLCFGR_P(4u)) /* 256 MHz, 64 MHz */
#define WAIT_STATES 2u
#define APB1_DIVIDER 2u
#define BUS_DIVIDERS (RCC_CFGR_PPRE1_DIV2 | RCC_CFGR_PPRE2_DIV1)
#define VOLTAGE_SCALE 0u
#else
#error "this board runs at 168 or 64 MHz"
#endif
#define FULL_SPEED_HZ (W2S_CLOCK_MHZ * 1000000u)

/* Q is for peripherals not used here: 7 is its least at 336 MHz, for 48 MHz. */
static uint32_t pll_config(bool crystal) {
    const uint32_t source = crystal ? RCC_PLLCFGR_SRC_HSE | 4u : 8u;
    return source | PLL_FACTORS | RCC_PLLCFGR_Q(7u);
}

static uint32_t apb1_hz(uint32_t clock_hz) {
    return clock_hz == FULL_SPEED_HZ ? clock_hz / APB1_DIVIDER : clock_hz;
}

/* Without a crystal the PLL runs from the internal oscillator, within 1 % at room temperature.
 * Without the PLL the core stays at 16 MHz, where the link still works. */
uint32_t port_clock_init(bool emulated) {
    if (emulated) {
        return EMULATED_HZ;
    }
    RCC_APB1ENR |= RCC_APB1ENR_PWR;
    (void)RCC_APB1ENR; /* the clock needs two cycles to arrive: a read takes as long */
    PWR_CR = (PWR_CR & ~PWR_CR_VOS) | VOLTAGE_SCALE;
    RCC_CR |= RCC_CR_HSEON;
    RCC_PLLCFGR = pll_config(stm32_wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY));
    RCC_CR |= RCC_CR_PLLON;
    if (!stm32_wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        return HSI_HZ;
    }
    /* The wait states must be in force before the clock is raised (RM0090, 3.5.1). */
    FLASH_ACR = FLASH_ACR_WAIT_STATES(WAIT_STATES) | FLASH_ACR_PREFETCH |
                FLASH_ACR_INSTRUCTION_CACHE | FLASH_ACR_DATA_CACHE;
    if (!stm32_wait_for(&FLASH_ACR, FLASH_ACR_LATENCY, FLASH_ACR_WAIT_STATES(WAIT_STATES))) {
        return HSI_HZ;
    }
    RCC_CFGR = BUS_DIVIDERS;
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    (void)stm32_wait_for(&RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL);
    return FULL_SPEED_HZ;
}

uint8_t port_reset_cause(void) {
    const uint32_t flags = RCC_CSR;
    RCC_CSR |= RCC_CSR_RMVF;
    return stm32_reset_cause(flags, RCC_CSR_PORRSTF | RCC_CSR_BORRSTF);
}

/* PA2 and PA3 to alternate function 7, pull-up on the receiver so that an open wire is idle. */
static void uart_pins(void) {
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOA;
    (void)RCC_AHB1ENR;
    GPIOA_AFRL = (GPIOA_AFRL & ~(0xFFu << 8)) | (0x77u << 8);
    GPIOA_OSPEEDR |= 0xAu << 4;
    GPIOA_PUPDR = (GPIOA_PUPDR & ~(0xFu << 4)) | (0x4u << 4);
    GPIOA_MODER = (GPIOA_MODER & ~(0xFu << 4)) | (0xAu << 4);
}

void port_uart_init(uint32_t clock_hz) {
    uart_pins();
    RCC_APB1ENR |= RCC_APB1ENR_USART2;
    (void)RCC_APB1ENR;
    /* 16 samples a bit: BRR is the divider itself. 42 MHz / 46 = 913043, 0.9 % slow, or
     * 32 MHz / 35 = 914286, 0.8 %; the receiver allows 3.3 % (RM0090, 30.3.5). */
    USART2_BRR = (apb1_hz(clock_hz) + PORT_UART_BAUD / 2u) / PORT_UART_BAUD;
    USART2_CR1 = USART_CR1_UE | USART_CR1_RXNEIE | USART_CR1_TE | USART_CR1_RE;
    cortexm_enable_irq(PORT_UART_IRQ);
}

size_t port_uart_send(const uint8_t *bytes, size_t size) {
    if (size == 0 || (USART2_SR & USART_SR_TXE) == 0) {
        return 0;
    }
    USART2_DR = bytes[0];
    return 1;
}

void port_uart_poll(void) {}

/* Reading SR and then DR clears every flag (RM0090, 30.6.1). */
void port_uart_irq(void) {
    uint32_t status = USART2_SR;
    if ((status & (USART_SR_ORE | USART_SR_FE | USART_SR_NF)) != 0) {
        uart_error();
    }
    if ((status & (USART_SR_RXNE | USART_SR_ORE)) != 0) {
        uart_received((uint8_t)USART2_DR);
    }
}

/* PD0: on a header, and nothing on the board is wired to it (UM1472, "MCU pin description versus
 * board function"); an LED would draw more than the core. Low before it becomes an output: MODER
 * 01 (RM0090, 8.4.1), in the reset state push-pull and slow, which is fast enough for marks of
 * milliseconds (8.4.2, 8.4.3). */
#define MARKER_PIN 0u

void port_marker_init(void) {
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOD; /* 7.3.10 */
    (void)RCC_AHB1ENR;
    port_marker(false);
    GPIOD_MODER = (GPIOD_MODER & ~(3u << (2u * MARKER_PIN))) | (1u << (2u * MARKER_PIN));
}

/* One store, which no interrupt can tear (RM0090, 8.4.7). */
void port_marker(bool high) { GPIOD_BSRR = 1u << (high ? MARKER_PIN : 16u + MARKER_PIN); }
