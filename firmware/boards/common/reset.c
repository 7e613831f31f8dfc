/* SPDX-License-Identifier: Apache-2.0 */
#include "reset.h"

#include <stdbool.h>
#include <stddef.h>

#include "cortexm.h"

#define RECORD_MAGIC 0x57325352u /* "W2SR" */

/* In RAM that the start-up code leaves alone. After power-on it holds noise; the check says so. */
typedef struct {
    uint32_t magic;
    uint32_t boot_id;
    uint32_t cause;      /* enum board_reset, for the boot that follows */
    board_fault_t fault; /* kind 0: none */
    uint32_t check;
} record_t;

static record_t record __attribute__((section(".noinit")));
static bool is_first_boot;

/* FNV-1a, by words. */
static uint32_t record_check(void) {
    const uint32_t *word = (const uint32_t *)(const void *)&record;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < offsetof(record_t, check) / sizeof *word; i++) {
        hash = (hash ^ word[i]) * 16777619u;
    }
    return hash;
}

static void record_seal(void) { record.check = record_check(); }

uint8_t reset_init(void) {
    is_first_boot = record.magic != RECORD_MAGIC || record.check != record_check();
    if (is_first_boot) {
        uint32_t noise = record_check();
        record = (record_t){.magic = RECORD_MAGIC, .boot_id = noise, .cause = BOARD_RESET_POWER_ON};
    }
    uint32_t cause = record.cause;
    record.cause = BOARD_RESET_UNKNOWN;
    record_seal();
    return (uint8_t)cause;
}

uint32_t reset_boot_id(uint32_t entropy) {
    record.boot_id = is_first_boot ? record.boot_id ^ entropy : record.boot_id + 1u;
    record_seal();
    return record.boot_id;
}

void reset_because(enum board_reset cause) {
    record.cause = (uint32_t)cause;
    record_seal();
    cortexm_barrier();
    SCB_AIRCR = SCB_AIRCR_RESET;
    cortexm_barrier();
    for (;;) {
    }
}

void reset_after_fault(const board_fault_t *fault) {
    record.fault = *fault;
    reset_because(BOARD_RESET_FAULT);
}

void board_reset(void) { reset_because(BOARD_RESET_SOFTWARE); }

const board_fault_t *board_last_fault(void) {
    return record.fault.kind != 0 ? &record.fault : NULL;
}

void board_fault_clear(void) {
    record.fault = (board_fault_t){0};
    record_seal();
}
