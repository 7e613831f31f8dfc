/*
 * Where the linker script (sections.ld) put things.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

extern uint32_t memory_stack_start[];
extern uint32_t memory_stack_end[];
extern uint32_t memory_data_start[], memory_data_end[];
extern const uint32_t memory_data_image[];
extern uint32_t memory_code_start[], memory_code_end[], memory_code_place[];
extern const uint32_t memory_code_image[];
extern uint32_t memory_bss_start[], memory_bss_end[];
extern uint64_t memory_spare_start[], memory_spare_end[];

#define MEMORY_STACK_SIZE ((uint32_t)((uintptr_t)memory_stack_end - (uintptr_t)memory_stack_start))

#endif
