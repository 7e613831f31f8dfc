/*
 * The board's microphone through the PDM peripheral, which makes 16-bit samples by itself.
 *
 * EasyDMA fills two blocks in turn: SAMPLE.PTR is read when a block begins (STARTED), and then
 * takes the address of the one after it (PS, PDM, "EasyDMA").
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "board.h"
#include "microphone.h"
#include "nrf52840.h"
#include "port.h"
#include "port_config.h"

/* 10 ms: as long as the interrupt may be late. */
#define BLOCK 160u
#define BLOCK_MS 10u

#ifndef PORT_MICROPHONE_GAIN
#define PORT_MICROPHONE_GAIN 0x28u /* steps of 0.5 dB from -20 dB: 0 dB, the reset value */
#endif

/* Polls; stopping takes until the end of a sample. */
#define PATIENCE 100000u

static int16_t blocks[2][BLOCK] __attribute__((aligned(4)));
static uint32_t filling;    /* the block that EasyDMA is at, once it has begun */
static uint32_t last_block; /* when the last one was full, in ms */

static void set_next(uint32_t block) { PDM_SAMPLE_PTR = (uint32_t)(uintptr_t)blocks[block]; }

/* The pins' levels before the peripheral has them: PS, PDM, "Pin configuration". */
static void pins(void) {
    GPIO_OUTCLR(PORT_MICROPHONE_CLOCK_PIN) = GPIO_BIT(PORT_MICROPHONE_CLOCK_PIN);
    GPIO_PIN_CNF(PORT_MICROPHONE_CLOCK_PIN) = GPIO_PIN_CNF_OUTPUT;
    GPIO_PIN_CNF(PORT_MICROPHONE_DATA_PIN) = GPIO_PIN_CNF_INPUT;
    GPIO_OUTSET(PORT_MICROPHONE_POWER_PIN) = GPIO_BIT(PORT_MICROPHONE_POWER_PIN);
    GPIO_PIN_CNF(PORT_MICROPHONE_POWER_PIN) = GPIO_PIN_CNF_OUTPUT | GPIO_PIN_CNF_S0H1;
}

/* 32 MHz / 25 = 1.28 MHz, / 80 = 16 kHz exactly, where the reset values give 16.125 kHz. */
bool port_microphone_start(void) {
    pins();
    PDM_PSEL_CLK = PORT_MICROPHONE_CLOCK_PIN;
    PDM_PSEL_DIN = PORT_MICROPHONE_DATA_PIN;
    PDM_PDMCLKCTRL = PDM_PDMCLKCTRL_1280K;
    PDM_RATIO = PDM_RATIO_80;
    PDM_MODE = PDM_MODE_MONO; /* left, at the falling edge */
    PDM_GAINL = PORT_MICROPHONE_GAIN;
    PDM_GAINR = PORT_MICROPHONE_GAIN;
    PDM_EVENTS_STARTED = 0;
    PDM_EVENTS_STOPPED = 0;
    PDM_EVENTS_END = 0;
    PDM_SAMPLE_MAXCNT = BLOCK;
    filling = 1;
    set_next(0);
    PDM_INTENSET = PDM_INT_STARTED | PDM_INT_END;
    PDM_ENABLE = 1;
    last_block = board_ms();
    PDM_TASKS_START = 1;
    return true;
}

/* The peripheral must have stopped before the block's memory is anybody else's; here it never is,
 * but the next start wants a peripheral at rest. */
void port_microphone_stop(void) {
    PDM_INTENCLR = PDM_INT_STARTED | PDM_INT_END;
    PDM_EVENTS_STOPPED = 0;
    PDM_TASKS_STOP = 1;
    for (uint32_t i = 0; i < PATIENCE && PDM_EVENTS_STOPPED == 0; i++) {
    }
    PDM_ENABLE = 0;
    GPIO_OUTCLR(PORT_MICROPHONE_POWER_PIN) = GPIO_BIT(PORT_MICROPHONE_POWER_PIN);
}

/* An event tells that a block is full, not how many: the clock, which counts from the same crystal,
 * tells those that were overwritten because this came late. */
static void count_lost(void) {
    const uint32_t now = board_ms();
    const uint32_t count = (now - last_block + BLOCK_MS / 2u) / BLOCK_MS;
    last_block = now;
    if (count > 1u) {
        microphone_lost((count - 1u) * BLOCK);
    }
}

/* A block that begins is set going by the end of the one before: so END first. */
void port_microphone_irq(void) {
    if (nrf_take(&PDM_EVENTS_END)) {
        cortexm_order();
        microphone_received(blocks[filling], BLOCK);
        count_lost();
    }
    if (nrf_take(&PDM_EVENTS_STARTED)) {
        filling = 1u - filling;
        set_next(1u - filling);
    }
}
