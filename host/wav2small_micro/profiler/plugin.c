// SPDX-License-Identifier: Apache-2.0
//
// plugin.c: what a run executed, as running totals at chosen moments.
//
// A QEMU TCG plugin (docs/devel/tcg-plugins.rst). The host says of every halfword of code what an
// instruction there costs and what happens there (struct site); the plugin adds up blocks as they
// run and notes the totals whenever an event happens. It knows nothing of Arm or of Wav2Small.
//
//   -plugin plugin.so,table=FILE,log=FILE,heat=FILE
//
// The log and the heat (what the blocks that begin at each site cost) are mapped memory, so that
// they are whole even when QEMU is killed. QEMU's distribution packages ship no header: the few
// declarations that are needed follow qemu-plugin.h, version 1.
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/// QEMU's side ///

#define EXPORT __attribute__((visibility("default")))

enum { API_VERSION = 1, CB_NO_REGS = 0, MEM_WRITE = 2 };

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id,
                                                  void (*)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *,
                                                 void (*)(unsigned, void *), int flags, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                             void (*)(unsigned, uint32_t, uint64_t, void *),
                                             int flags, int access, void *);
extern bool qemu_plugin_mem_is_store(uint32_t info);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = API_VERSION;

/// The host's side: layouts as in plugin.py ///

enum { SCOPES = 5, REFILLS = 3, NO_EVENT = 0, STORE_EVENT = 255 };

// An instruction: its cycles after a branch and after its neighbour, what a taken branch adds
// under each refill, the scope that it counts to, the event that its execution is, if it begins a
// block, and whether its stores into the watched window are events.
struct site {
    uint8_t first, after, taken[REFILLS], scope, event, watched;
};

struct table {
    uint32_t ranges;
    uint32_t window_begin, window_end;  // of data addresses
};

struct range {
    uint32_t begin, halfwords;  // and that many sites
};

struct totals {
    uint64_t instructions, cycles, refill[REFILLS];
};

struct event {
    uint32_t kind;    // site's event, or STORE_EVENT
    uint32_t offset;  // of a store, in the window
    struct totals totals[SCOPES];
};

struct log {
    uint64_t events, capacity;
    struct event event[];
};

/// State ///

struct block {
    struct totals *heat;
    uint64_t begin, end;
    uint32_t instructions, first, after;  // cycles, entered by a branch or from the block above
    uint8_t taken[REFILLS], scope, event;
};

static const uint8_t *table_bytes;
static struct log *events;
static struct totals *heat;  // for every site of the table, and one for code that is not in it
static struct totals totals[SCOPES];
static const struct block *last;

// Also says the number of the site, over all ranges.
static const struct site *site_at(uint64_t address, size_t *number) {
    static const struct site unknown;
    const struct table *table = (const void *)table_bytes;
    const uint8_t *at = table_bytes + sizeof *table;
    *number = 0;
    for (uint32_t i = 0; i < table->ranges; i++) {
        const struct range *range = (const void *)at;
        const struct site *sites = (const void *)(at + sizeof *range);
        if (address >= range->begin && (address - range->begin) / 2 < range->halfwords) {
            *number += (size_t)(address - range->begin) / 2;
            return &sites[(address - range->begin) / 2];
        }
        *number += range->halfwords;
        at = (const uint8_t *)(sites + range->halfwords);
    }
    return &unknown;
}

static void note(uint32_t kind, uint32_t offset) {
    if (events->events < events->capacity) {
        struct event *event = &events->event[events->events];
        event->kind = kind;
        event->offset = offset;
        memcpy(event->totals, totals, sizeof totals);
    }
    events->events++;  // beyond the capacity too: the host sees that some are missing
}

/// Callbacks ///

static void add(struct totals *to, const struct block *block, bool fell) {
    to->instructions += block->instructions;
    to->cycles += fell ? block->after : block->first;
}

static void add_refill(struct totals *to, const struct block *block) {
    for (int i = 0; i < REFILLS; i++) to->refill[i] += block->taken[i];
}

static void on_execution(unsigned cpu, void *data) {
    const struct block *block = data;
    (void)cpu;
    bool fell = last != NULL && last->end == block->begin;
    if (last != NULL && !fell) {
        add_refill(&totals[last->scope], last);
        add_refill(last->heat, last);
    }
    if (block->event != NO_EVENT) note(block->event, 0);
    add(&totals[block->scope], block, fell);
    add(block->heat, block, fell);
    last = block;
}

static void on_store(unsigned cpu, uint32_t info, uint64_t address, void *data) {
    const struct table *table = (const void *)table_bytes;
    (void)cpu, (void)data;
    if (!qemu_plugin_mem_is_store(info)) return;  // QEMU 7.2 reports loads too
    if (address >= table->window_begin && address < table->window_end) {
        note(STORE_EVENT, (uint32_t)(address - table->window_begin));
    }
}

// A block that is translated again gets a new record; there are few, and none is ever freed.
static void on_translation(plugin_id id, struct qemu_plugin_tb *tb) {
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *block = calloc(1, sizeof *block);
    if (block == NULL || count == 0) return;
    block->begin = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->instructions = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        size_t number;
        const struct site *site = site_at(address, &number);
        block->first += i == 0 ? site->first : site->after;
        block->after += site->after;
        memcpy(block->taken, site->taken, sizeof block->taken);
        block->end = address + qemu_plugin_insn_size(insn);
        if (i == 0) {
            block->scope = site->scope;
            block->event = site->event;
            block->heat = &heat[number];
        }
        if (site->watched) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_store, CB_NO_REGS, MEM_WRITE, NULL);
        }
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_execution, CB_NO_REGS, block);
}

/// Start ///

static void *map_file(const char *path, bool writable) {
    int file = open(path, writable ? O_RDWR : O_RDONLY);
    off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    if (size <= 0) return NULL;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *bytes = mmap(NULL, (size_t)size, protection, MAP_SHARED, file, 0);
    close(file);
    return bytes == MAP_FAILED ? NULL : bytes;
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "table=", 6) == 0) table_bytes = map_file(argv[i] + 6, false);
        if (strncmp(argv[i], "log=", 4) == 0) events = map_file(argv[i] + 4, true);
        if (strncmp(argv[i], "heat=", 5) == 0) heat = map_file(argv[i] + 5, true);
    }
    if (table_bytes == NULL || events == NULL || heat == NULL) {
        fprintf(stderr, "plugin: needs table=FILE, log=FILE and heat=FILE, made beforehand\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
