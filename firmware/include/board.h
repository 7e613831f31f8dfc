/*
 * The board, as the application sees it.
 *
 * One implementation a board lives in firmware/boards/; the native tests put a host
 * process behind the same functions. Nothing here allocates, and nothing here blocks
 * for ever: a dead peer costs at most the time stated beside the function.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Facts ///

/** Bits of board_facts_t::flags. The link's HELLO_REPLY carries them unchanged. */
enum board_flag {
    BOARD_FLAG_EMULATED = 1u << 0,    /**< runs in an emulator (the cycle counter reads 0) */
    BOARD_FLAG_ICOUNT = 1u << 1,      /**< ticks count instructions if started with -icount */
    BOARD_FLAG_MICROPHONE = 1u << 2,  /**< the board has a microphone driver */
    BOARD_FLAG_WATCHDOG = 1u << 3,    /**< a watchdog runs; board_watchdog_kick() is due */
    BOARD_FLAG_SEMIHOSTING = 1u << 4, /**< the link runs over semihosting, not over the UART */
};

/** Why the board started. Values are part of the link protocol. */
enum board_reset {
    BOARD_RESET_UNKNOWN = 0,
    BOARD_RESET_POWER_ON = 1,
    BOARD_RESET_PIN = 2,
    BOARD_RESET_SOFTWARE = 3, /**< board_reset(), or a debugger */
    BOARD_RESET_WATCHDOG = 4,
    BOARD_RESET_FAULT = 5, /**< the fault handler; see board_last_fault() */
    BOARD_RESET_LOW_POWER = 6,
};

/** What does not change from board_init() to the next reset. */
typedef struct {
    const char *name;    /**< as in `pio run -e NAME`, at most 23 characters */
    uint32_t clock_hz;   /**< core clock */
    uint32_t tick_hz;    /**< rate of board_ticks() */
    uint32_t boot_id;    /**< another value after every reset */
    uint8_t flags;       /**< enum board_flag */
    uint8_t reset_cause; /**< enum board_reset */
} board_facts_t;

/** Sets up clock, UART, tick, watchdog and transport. Call once, first. */
void board_init(void);

/** The facts; valid after board_init(). */
const board_facts_t *board_facts(void);

/// Bytes to and from the host ///

/**
 * Takes up to `size` received bytes, and says how many.
 *
 * Without `wait` it returns at once, 0 when nothing is there (over semihosting, whose read
 * blocks by nature, always 0: call with `wait` wherever the application has nothing else
 * to do). With `wait` it may sleep until `size` bytes are there, 1 ms has passed since the first,
 * or 10 ms brought none; over semihosting it blocks until the host writes.
 */
size_t board_read(uint8_t *bytes, size_t size, bool wait);

/** Sends `size` bytes and returns when the transmitter has taken them. If it refuses a byte
 *  for 250 ms the rest is dropped, and what follows until it takes some again: the link's host asks
 *  anew for what was lost. */
void board_write(const uint8_t *bytes, size_t size);

/** Bytes lost since the start because board_read() came too late. */
uint32_t board_rx_overruns(void);

/** Receive errors of the UART since the start: overrun, framing, noise. */
uint32_t board_uart_errors(void);

/// Microphone ///

/** 20 ms at 16 kHz: board_read() waits no longer once so many samples are there. */
enum { BOARD_MICROPHONE_BLOCK = 320 };

/** Begins to listen, anew if it does already. False where the board has no microphone
 *  (BOARD_FLAG_MICROPHONE) or it does not start. While it listens, board_read() has half the
 *  memory for what comes: enough for requests, and not for audio. */
bool board_microphone_start(void);

/** Ends it; what nobody took is gone. */
void board_microphone_stop(void);

/** Samples that wait. */
size_t board_microphone_waiting(void);

/** Takes up to `size` of the samples that wait, 16 kHz mono, oldest first, and says how many. */
size_t board_microphone_read(int16_t *pcm, size_t size);

/** Samples lost since the start of the board: nobody took them in time, or the hardware erred. */
uint32_t board_microphone_overruns(void);

/// Time ///

/** Ticks since board_init(), at board_facts()->tick_hz: core cycles on hardware,
 *  exact instructions under QEMU's `-icount shift=0`. */
uint64_t board_ticks(void);

/** The same by SysTick, which counts while the core sleeps, where a cycle counter may not. */
uint64_t board_uptime(void);

/** Milliseconds since board_init(); wraps after 49 days. */
uint32_t board_ms(void);

/// Load ///

/** Where the time of the core went since board_measure(true), beside the application's work. */
typedef struct {
    uint64_t interrupts; /**< ticks in interrupts, with their entry and return */
    uint64_t asleep;     /**< ticks in board_read(), waiting for an interrupt */
    uint32_t count;      /**< interrupts */
} board_load_t;

/** Begins to measure the load, from zero, or ends it. While it runs, an interrupt takes some 60
 *  cycles more; those are counted with it. */
void board_measure(bool on);

/** The load since board_measure(true). */
board_load_t board_load(void);

/** board_ticks() less what interrupts took since board_measure(true). */
uint64_t board_work_ticks(void);

/// Power ///

/**
 * Raises or lowers the pin that shows a power analyser when the core computes an answer: low from
 * board_init() on. The board's port.c says which pin; a board without one does nothing.
 */
void board_marker(bool high);

/// Health ///

/** Tells the watchdog that the application is alive; due every second. Nothing without one. */
void board_watchdog_kick(void);

/** Restarts the board. */
void board_reset(void) __attribute__((noreturn));

/** Size of the stack in bytes, fixed at link time. */
size_t board_stack_size(void);

/** Most bytes of the stack ever used since the start. */
size_t board_stack_high_water(void);

/** RAM that neither the firmware nor its stack uses, at a multiple of 8; `size` tells how much. Its
 *  content is anything. For what is no part of the product: the buffer of a benchmark. */
void *board_spare_memory(size_t *size);

/** What stopped the last run. Values of `kind` are part of the link protocol. */
enum board_fault_kind {
    BOARD_FAULT_HARD = 1,
    BOARD_FAULT_MEMORY = 2,
    BOARD_FAULT_BUS = 3,
    BOARD_FAULT_USAGE = 4,
    BOARD_FAULT_STACK = 5,     /**< stack overflow */
    BOARD_FAULT_EXCEPTION = 6, /**< an interrupt that nothing handles; `address` is its number */
};

/** A processor fault, kept in RAM over the reset that follows it. */
typedef struct {
    uint32_t kind;    /**< enum board_fault_kind */
    uint32_t pc;      /**< address of the faulting instruction; 0 if the stack was unusable */
    uint32_t lr;      /**< caller, likewise */
    uint32_t cfsr;    /**< Configurable Fault Status Register */
    uint32_t hfsr;    /**< HardFault Status Register */
    uint32_t address; /**< MMFAR or BFAR when the CFSR says that it is valid, else 0 */
    uint32_t xpsr;    /**< program status, likewise */
} board_fault_t;

/** The fault that ended the run before this one, or NULL. */
const board_fault_t *board_last_fault(void);

/** Forgets the fault: it has been reported. */
void board_fault_clear(void);

#endif
