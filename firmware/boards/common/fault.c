/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include "board.h"
#include "cortexm.h"
#include "memory.h"
#include "port.h"
#include "reset.h"

/* Exception numbers, as in IPSR. */
enum exception { NMI = 2, HARD_FAULT = 3, MEMORY_FAULT = 4, BUS_FAULT = 5, USAGE_FAULT = 6 };

/* What the core pushes on exception entry. */
enum frame { FRAME_LR = 5, FRAME_PC = 6, FRAME_XPSR = 7, FRAME_WORDS = 8 };

/* The addresses below the stack that nothing may touch: more than any frame takes at once. */
#define GUARD_BITS 20u
#define GUARD_SIZE (1u << GUARD_BITS)

/* Used by assembler below. */
enum guard { GUARD_OFF, GUARD_ARMED, GUARD_HIT };
volatile uint32_t fault_guard;
/* The handler's own stack: the other may be what overflowed, and its frame is still needed. */
uint32_t fault_stack[64] __attribute__((section(".noinit"), aligned(8)));

void fault_skip(uint32_t *frame);
void fault_record(uint32_t exception, const uint32_t *frame) __attribute__((noreturn));

/* r0: exception number, r1: stack pointer at entry, which is where the frame is. */
__attribute__((naked)) void fault_entry(void) {
    __asm volatile(
        "mrs r0, ipsr              \n"
        "mrs r1, msp               \n"
        "ldr r2, =fault_guard      \n"
        "ldr r2, [r2]              \n"
        "cbz r2, 1f                \n"
        "mov r0, r1                \n"
        "b fault_skip              \n" /* returns through LR: ends the exception */
        "1:                        \n"
        "ldr r2, =fault_stack + 256\n"
        "msr msp, r2               \n"
        "b fault_record            \n");
}

__attribute__((used)) void fault_skip(uint32_t *frame) {
    frame[FRAME_PC] += 2u;
    fault_guard = GUARD_HIT;
    SCB_HFSR = SCB_HFSR; /* write one to clear */
}

void fault_guard_begin(void) { fault_guard = GUARD_ARMED; }

bool fault_guard_end(void) {
    bool hit = fault_guard == GUARD_HIT;
    fault_guard = GUARD_OFF;
    return hit;
}

static bool is_stack_overflow(uint32_t cfsr, uint32_t address) {
    const uint32_t stacking =
        SCB_CFSR_STKOF | SCB_CFSR_MSTKERR | SCB_CFSR_STKERR | SCB_CFSR_MLSPERR | SCB_CFSR_LSPERR;
    uint32_t start = (uint32_t)(uintptr_t)memory_stack_start;
    return (cfsr & stacking) != 0 || (address >= start - GUARD_SIZE && address < start);
}

static uint32_t fault_kind(uint32_t exception, uint32_t cfsr, uint32_t address) {
    if (exception < HARD_FAULT || exception > USAGE_FAULT) {
        return BOARD_FAULT_EXCEPTION;
    }
    if (is_stack_overflow(cfsr, address)) {
        return BOARD_FAULT_STACK;
    }
    return BOARD_FAULT_HARD + (exception - HARD_FAULT);
}

static uint32_t fault_address(uint32_t cfsr) {
    if ((cfsr & SCB_CFSR_MMARVALID) != 0) {
        return SCB_MMFAR;
    }
    return (cfsr & SCB_CFSR_BFARVALID) != 0 ? SCB_BFAR : 0;
}

/* The frame can be read if it lies wholly inside the stack. */
static bool is_frame(const uint32_t *frame) {
    return frame >= memory_stack_start && frame + FRAME_WORDS <= memory_stack_end;
}

__attribute__((used)) void fault_record(uint32_t exception, const uint32_t *frame) {
    if (exception == NMI && port_watchdog_warned()) {
        reset_because(BOARD_RESET_WATCHDOG);
    }
    board_fault_t fault = {.cfsr = SCB_CFSR, .hfsr = SCB_HFSR};
    fault.address = fault_address(fault.cfsr);
    fault.kind = fault_kind(exception, fault.cfsr, fault.address);
    if (fault.kind == BOARD_FAULT_EXCEPTION) {
        fault.address = exception;
    }
    if (is_frame(frame)) {
        fault.pc = frame[FRAME_PC];
        fault.lr = frame[FRAME_LR];
        fault.xpsr = frame[FRAME_XPSR];
    }
    reset_after_fault(&fault);
}

/* The stack ends at the lowest address of RAM, so that what runs over it hits no data. It is
 * stopped there by a limit register (ARMv8-M), or by a region without access that takes no RAM: on
 * some boards the addresses below are not empty. */
static void guard_stack(void) {
#if __ARM_ARCH >= 8
    __asm volatile("msr msplim, %0" ::"r"(memory_stack_start));
#else
    if (MPU_TYPE == 0) {
        return;
    }
    MPU_RNR = 0;
    MPU_RBAR = (uint32_t)(uintptr_t)memory_stack_start - GUARD_SIZE;
    MPU_RASR = MPU_RASR_XN | MPU_RASR_SIZE(GUARD_BITS) | MPU_RASR_ENABLE;
    MPU_CTRL = MPU_CTRL_PRIVDEFENA | MPU_CTRL_ENABLE;
    cortexm_barrier();
#endif
}

void fault_init(void) {
    SCB_SHCSR |= SCB_SHCSR_FAULTS;
    SCB_CCR |= SCB_CCR_DIV_0_TRP;
    guard_stack();
}
