/*
 * A board under test: one letter in, one line out. test_boards.py is the other side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "board.h"

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define NVIC_ISER0 REG32(0xE000E100u)
#define NVIC_ISPR0 REG32(0xE000E200u)
#define UNUSED_IRQ 31u

static void put(const char *text) { board_write((const uint8_t *)text, strlen(text)); }

static void put_number(const char *name, uint64_t value) {
    char digits[22];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value > 0);
    put(name);
    put("=");
    put(at);
    put(" ");
}

static void put_facts(void) {
    const board_facts_t *facts = board_facts();
    put("board=");
    put(facts->name);
    put(" ");
    put_number("clock_hz", facts->clock_hz);
    put_number("tick_hz", facts->tick_hz);
    put_number("boot_id", facts->boot_id);
    put_number("flags", facts->flags);
    put_number("reset_cause", facts->reset_cause);
    put_number("ticks", board_ticks());
    put_number("ms", board_ms());
    put_number("stack_size", board_stack_size());
    put_number("stack_high_water", board_stack_high_water());
    put_number("rx_overruns", board_rx_overruns());
    put_number("uart_errors", board_uart_errors());
    put("\n");
}

static void put_fault(void) {
    const board_fault_t *fault = board_last_fault();
    if (fault == NULL) {
        put("none\n");
        return;
    }
    put_number("kind", fault->kind);
    put_number("pc", fault->pc);
    put_number("lr", fault->lr);
    put_number("cfsr", fault->cfsr);
    put_number("hfsr", fault->hfsr);
    put_number("address", fault->address);
    put_number("xpsr", fault->xpsr);
    put("\n");
    board_fault_clear();
}

/* Each level holds 256 bytes that the compiler cannot drop. */
__attribute__((noinline)) uint32_t overflow_stack(uint32_t depth);

uint32_t overflow_stack(uint32_t depth) {
    volatile uint32_t frame[64];
    frame[depth % 64u] = depth;
    return depth == 0 ? 0 : overflow_stack(depth - 1u) + frame[depth % 64u];
}

static volatile uint32_t zero;
static volatile float quarter = 0.25f;

static void divide_by_zero(void) { zero = 1000u / zero; }

static void read_nothing(void) { (void)REG32(0xF0000000u); }

static void undefined_instruction(void) { __asm volatile("udf #0"); }

static void unhandled_interrupt(void) {
    NVIC_ISER0 = 1u << UNUSED_IRQ;
    NVIC_ISPR0 = 1u << UNUSED_IRQ;
}

/* Reads nothing for a second. */
static void be_deaf(void) {
    for (uint32_t end = board_ms() + 1000u; board_ms() < end;) {
    }
    put("listening\n");
}

static void hang(void) {
    for (;;) {
    }
}

/* A counted loop of exactly 2 instructions a turn. */
static void count_instructions(void) {
    uint64_t start = board_ticks();
    __asm volatile("mov r0, %0\n1: subs r0, #1\n bne 1b" ::"r"(1000000u) : "r0", "cc");
    put_number("ticks", board_ticks() - start);
    put("\n");
}

/* Reads the time for 20 ms: the longest step, or 0 if one went back. */
static void watch_time(void) {
    uint64_t last = board_ticks();
    uint64_t longest = 0;
    bool went_back = false;
    for (uint32_t end = board_ms() + 20u; board_ms() < end;) {
        uint64_t now = board_ticks();
        went_back = went_back || now < last;
        longest = now - last > longest ? now - last : longest;
        last = now;
    }
    put_number("longest", went_back ? 0 : longest);
    put("\n");
}

static void use_float(void) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < 16; i++) {
        sum += quarter * (float)i;
    }
    put_number("sum", (uint64_t)sum);
    put("\n");
}

/* Repeats what comes until a newline, as fast as it can. */
static void echo(void) {
    uint8_t bytes[256];
    for (;;) {
        size_t count = board_read(bytes, sizeof bytes, true);
        board_write(bytes, count);
        board_watchdog_kick();
        if (count > 0 && bytes[count - 1] == '\n') {
            return;
        }
    }
}

static void mark(void) {
    board_marker(true);
    board_marker(false);
    put("marked\n");
}

static void obey(char command) {
    switch (command) {
        case 'i':
            put_facts();
            break;
        case 'f':
            put_fault();
            break;
        case 'n':
            count_instructions();
            break;
        case 't':
            watch_time();
            break;
        case 'd':
            be_deaf();
            break;
        case 'v':
            use_float();
            break;
        case 'e':
            echo();
            break;
        case 'm':
            mark();
            break;
        case 'r':
            board_reset();
            break;
        case 's':
            put_number("sum", overflow_stack(10000));
            break;
        case 'z':
            divide_by_zero();
            break;
        case 'b':
            read_nothing();
            break;
        case 'u':
            undefined_instruction();
            break;
        case 'x':
            unhandled_interrupt();
            break;
        case 'h':
            hang();
            break;
        default:
            break;
    }
}

int main(void) {
    board_init();
    put("ready\n");
    for (;;) {
        uint8_t command;
        if (board_read(&command, 1, true) == 1) {
            obey((char)command);
        }
        board_watchdog_kick();
    }
}
