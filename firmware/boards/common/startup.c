/*
 * From reset to main(): the vector table, memory, the floating-point unit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "cortexm.h"
#include "fault.h"
#include "load.h"
#include "memory.h"
#include "port_config.h"

/* What the stack holds before its first use; board_stack_high_water() looks for its end. */
#define PAINT 0x5AFE57ACu

typedef void (*vector_t)(void);

int main(void);
void Reset_Handler(void);
void startup(void) __attribute__((noreturn));

/* Entry 0 is the first stack pointer, 1 .. 15 are the core's exceptions (DDI 0403, B1.5.2). The
 * last ones replace those that the range gave them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
__attribute__((section(".vectors"), used)) const vector_t vectors[16 + PORT_IRQ_COUNT] = {
    (vector_t)(uintptr_t)memory_stack_end,
    Reset_Handler,
    [2 ... 7] = fault_entry,
    [11 ... 12] = fault_entry,
    [14] = fault_entry,
    [15] = SysTick_Handler,
    [16 ... 16 + PORT_IRQ_COUNT - 1] = fault_entry,
    [16 + PORT_UART_IRQ] = UART_Handler,
#ifdef PORT_MICROPHONE_IRQ
    [16 + PORT_MICROPHONE_IRQ] = Microphone_Handler,
#endif
};
#pragma GCC diagnostic pop

/* Before any C: the stack (a debugger or a boot loader may have left another, or the process stack
 * in use), and access to the coprocessors 10 and 11 (CPACR), since compiled C may use
 * floating-point registers anywhere. */
__attribute__((naked)) void Reset_Handler(void) {
    __asm volatile(
        "cpsid i                    \n"
        "movs r0, #0                \n"
        "msr control, r0            \n"
        "isb                        \n"
        "ldr r0, =memory_stack_end  \n"
        "msr msp, r0                \n"
        "ldr r0, =0xE000ED88        \n"
        "ldr r1, [r0]               \n"
        "orr r1, r1, #0x00F00000    \n"
        "str r1, [r0]               \n"
        "dsb                        \n"
        "isb                        \n"
        "b startup                  \n");
}

static void copy_data(void) {
    const uint32_t *from = memory_data_image;
    for (uint32_t *to = memory_data_start; to < memory_data_end;) {
        *to++ = *from++;
    }
}

/* Code that runs at another address than it is written to. */
static void copy_code(void) {
    const size_t words = (size_t)(memory_code_end - memory_code_start);
    for (size_t i = 0; i < words; i++) {
        memory_code_place[i] = memory_code_image[i];
    }
    cortexm_barrier();
}

static void clear_bss(void) {
    for (uint32_t *word = memory_bss_start; word < memory_bss_end;) {
        *word++ = 0;
    }
}

/* Everything below the frame in use. */
static void paint_stack(void) {
    const uint32_t *in_use = (const uint32_t *)__builtin_frame_address(0) - 16;
    for (volatile uint32_t *word = memory_stack_start; word < in_use; word++) {
        *word = PAINT;
    }
}

/* A boot loader may have left interrupts on that nothing here handles. */
static void silence_interrupts(void) {
    for (uint32_t number = 0; number < PORT_IRQ_COUNT; number++) {
        cortexm_disable_irq(number);
    }
}

__attribute__((used)) void startup(void) {
    SCB_VTOR = (uint32_t)(uintptr_t)vectors;
    paint_stack();
    copy_data();
    copy_code();
    clear_bss();
    fault_init();
    silence_interrupts();
    __asm volatile("cpsie i" ::: "memory");
    (void)main();
    board_reset();
}

size_t board_stack_size(void) { return MEMORY_STACK_SIZE; }

void *board_spare_memory(size_t *size) {
    *size = (size_t)((uintptr_t)memory_spare_end - (uintptr_t)memory_spare_start);
    return memory_spare_start;
}

size_t board_stack_high_water(void) {
    const uint32_t *word = memory_stack_start;
    while (word < memory_stack_end && *word == PAINT) {
        word++;
    }
    return (size_t)((uintptr_t)memory_stack_end - (uintptr_t)word);
}
