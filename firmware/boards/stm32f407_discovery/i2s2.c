/*
 * The board's microphone, an MP45DT02: I2S2 gives it a clock (PB10) and takes a bit a period (PC3),
 * which DMA puts into memory. Its interrupt makes samples of them (lib/pdm).
 *
 * I2S takes the bits as channels of 16, left and right in turn; here they are one stream. The word
 * select has no pin.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"
#include "microphone.h"
#include "pdm.h"
#include "port.h"
#include "port_config.h"
#include "stm32f4.h"

/* The PLL for I2S has the main one's input, 2 MHz: times 192 is 384 MHz, by 3 is 128 MHz, and I2S
 * divides by 125 (62 twice, and the odd one): 1.024 MHz to the last digit, 64 bits for each sample
 * at 16 kHz (RM0090, 7.3.23 and 28.4.4). The microphone wants 1 to 3.25 MHz (its datasheet). */
#define PLL_N 192u
#define PLL_R 3u
#define BIT_DIVIDER 125u

/* 0.5 ms of bits, in halfwords. DMA fills two of these in turn. */
#define HALF 32u
#define SAMPLES_OF_HALF 8u
#define HALVES_A_SECOND 2000u

#ifndef PORT_MICROPHONE_GAIN
#define PORT_MICROPHONE_GAIN LEVEL_SPEECH
#endif

/* Polls. The PLL locks in 0.3 ms (datasheet DS8626); a stream stops with the transfer under way. */
#define PATIENCE 20000u

#define FLAGS (DMA_LISR_FEIF3 | DMA_LISR_DMEIF3 | DMA_LISR_TEIF3 | DMA_LISR_HTIF3 | DMA_LISR_TCIF3)
#define BOTH (DMA_LISR_HTIF3 | DMA_LISR_TCIF3)

static uint16_t bits[2][HALF] __attribute__((aligned(4)));
static pdm_t pdm;
static uint32_t last; /* when a half was taken, by board_uptime() */

/// Start and stop ///

static bool start_clock(void) {
    RCC_PLLI2SCFGR = RCC_PLLI2SCFGR_N(PLL_N) | RCC_PLLI2SCFGR_R(PLL_R);
    RCC_CFGR &= ~RCC_CFGR_I2SSRC;
    RCC_CR |= RCC_CR_PLLI2SON;
    for (uint32_t i = 0; i < PATIENCE; i++) {
        if ((RCC_CR & RCC_CR_PLLI2SRDY) != 0) {
            return true;
        }
    }
    return false;
}

/* PB10 is I2S2_CK and PC3 I2S2_SD as alternate function 5 (DS8626, table 9). No pull: half of the
 * time the microphone leaves the line alone, and it must keep its level. */
static void connect_pins(void) {
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOB | RCC_AHB1ENR_GPIOC | RCC_AHB1ENR_DMA1;
    (void)RCC_AHB1ENR;
    GPIOB_AFRH = (GPIOB_AFRH & ~(0xFu << 8)) | (5u << 8);
    GPIOB_OSPEEDR = (GPIOB_OSPEEDR & ~(3u << 20)) | (1u << 20);
    GPIOB_MODER = (GPIOB_MODER & ~(3u << 20)) | (2u << 20);
    GPIOC_AFRL = (GPIOC_AFRL & ~(0xFu << 12)) | (5u << 12);
    GPIOC_PUPDR &= ~(3u << 6);
    GPIOC_MODER = (GPIOC_MODER & ~(3u << 6)) | (2u << 6);
}

static void stop_stream(void) {
    DMA1_S3CR &= ~DMA_SCR_EN;
    for (uint32_t i = 0; i < PATIENCE && (DMA1_S3CR & DMA_SCR_EN) != 0; i++) {
    }
    DMA1_LIFCR = FLAGS; /* RM0090, 10.3.17: none may be left when it is enabled */
}

/* SPI2_RX is channel 0 of stream 3 (RM0090, table 42). Without FIFO, which is off after reset. */
static void start_stream(void) {
    stop_stream();
    DMA1_S3PAR = (uint32_t)(uintptr_t)&SPI2_DR;
    DMA1_S3M0AR = (uint32_t)(uintptr_t)bits;
    DMA1_S3NDTR = 2u * HALF;
    DMA1_S3FCR = 0;
    DMA1_S3CR = DMA_SCR_CHANNEL(0u) | DMA_SCR_PL_HIGH | DMA_SCR_MSIZE_16 | DMA_SCR_PSIZE_16 |
                DMA_SCR_MINC | DMA_SCR_CIRC | DMA_SCR_TCIE | DMA_SCR_HTIE | DMA_SCR_TEIE;
    DMA1_S3CR |= DMA_SCR_EN;
    last = (uint32_t)board_uptime();
}

/* A reset of the peripheral ends whatever it was doing. */
static void reset_i2s(void) {
    RCC_APB1RSTR |= RCC_APB1RSTR_SPI2;
    RCC_APB1RSTR &= ~RCC_APB1RSTR_SPI2;
}

bool port_microphone_start(void) {
    RCC_APB1ENR |= RCC_APB1ENR_SPI2;
    (void)RCC_APB1ENR;
    connect_pins();
    reset_i2s();
    if (!start_clock()) {
        return false;
    }
    pdm_init(&pdm, &pdm_1024khz, PDM_HALFWORDS, PORT_MICROPHONE_GAIN);
    start_stream();
    SPI2_I2SPR = SPI_I2SPR_DIVIDER(BIT_DIVIDER);
    SPI2_CR2 = SPI_CR2_RXDMAEN;
    SPI2_I2SCFGR =
        SPI_I2SCFGR_I2SMOD | SPI_I2SCFGR_MASTER_RECEIVE | SPI_I2SCFGR_MSB | SPI_I2SCFGR_CKPOL;
    SPI2_I2SCFGR |= SPI_I2SCFGR_I2SE;
    return true;
}

/* Without its clock the microphone sleeps. */
void port_microphone_stop(void) {
    SPI2_I2SCFGR &= ~SPI_I2SCFGR_I2SE;
    reset_i2s();
    stop_stream();
    RCC_APB1ENR &= ~RCC_APB1ENR_SPI2;
    RCC_CR &= ~RCC_CR_PLLI2SON;
}

/// The interrupt ///

/* A word that came before the last one was taken: a quarter of a sample. Reading DR, then SR clears
 * the flag (RM0090, 28.4.8). */
static void count_overrun(void) {
    if ((SPI2_SR & SPI_SR_OVR) != 0) {
        (void)SPI2_DR;
        (void)SPI2_SR;
        microphone_lost(1u);
    }
}

/* Both halves were full, one of them is being overwritten; the clock tells how many were. */
static void count_late(void) {
    const uint32_t ticks = (uint32_t)board_uptime() - last;
    const uint32_t halves = ticks / (board_facts()->clock_hz / HALVES_A_SECOND);
    microphone_lost((halves > 2u ? halves - 1u : 1u) * SAMPLES_OF_HALF);
}

/* The half that is whole. DMA counts down. */
static const uint16_t *whole_half(uint32_t flags) {
    if ((flags & BOTH) == BOTH) {
        return DMA1_S3NDTR > HALF ? bits[1] : bits[0];
    }
    return (flags & DMA_LISR_HTIF3) != 0 ? bits[0] : bits[1];
}

static void take_half(const uint16_t *half) {
    int16_t pcm[SAMPLES_OF_HALF + PDM_SAMPLES];
    const size_t count = pdm_to_pcm(&pdm, (const uint8_t *)half, sizeof bits[0], pcm);
    if ((DMA1_LISR & BOTH) != 0) { /* DMA has come round, and writes where it was read */
        microphone_lost(count > 0 ? (uint32_t)count : SAMPLES_OF_HALF);
    } else if (count > 0) {
        microphone_received(pcm, count);
    }
}

/* An error on the bus has switched the stream off (RM0090, 10.3.18). */
void port_microphone_irq(void) {
    const uint32_t flags = DMA1_LISR & FLAGS;
    DMA1_LIFCR = flags;
    count_overrun();
    if ((flags & DMA_LISR_TEIF3) != 0) {
        microphone_lost(SAMPLES_OF_HALF);
        start_stream();
        return;
    }
    if ((flags & BOTH) == 0) {
        return;
    }
    if ((flags & BOTH) == BOTH) {
        count_late();
    }
    last = (uint32_t)board_uptime();
    take_half(whole_half(flags));
}
