/* SPDX-License-Identifier: Apache-2.0 */
#include "semihosting.h"

#include "fault.h"

enum operation { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06 };
enum open_mode { OPEN_READ = 0, OPEN_WRITE = 4 };

static int32_t console_in = -1;
static int32_t console_out = -1;

static int32_t call(enum operation operation, const void *block) {
    register int32_t r0 __asm("r0") = (int32_t)operation;
    register const void *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int32_t open_console(enum open_mode mode) {
    static const char name[] = ":tt";
    uint32_t block[3] = {(uint32_t)(uintptr_t)name, (uint32_t)mode, sizeof name - 1};
    return call(SYS_OPEN, block);
}

bool semihosting_open(void) {
    fault_guard_begin();
    int32_t handle = open_console(OPEN_READ);
    if (fault_guard_end()) {
        return false;
    }
    console_in = handle;
    console_out = open_console(OPEN_WRITE);
    return console_in != -1 && console_out != -1;
}

/* Both calls answer with the number of bytes NOT transferred. */
static size_t transfer(enum operation operation, int32_t handle, const void *bytes, size_t size) {
    uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)bytes, (uint32_t)size};
    uint32_t left = (uint32_t)call(operation, block);
    return left <= size ? size - left : 0;
}

size_t semihosting_read(uint8_t *bytes, size_t size) {
    return transfer(SYS_READ, console_in, bytes, size);
}

void semihosting_write(const uint8_t *bytes, size_t size) {
    while (size > 0) {
        size_t done = transfer(SYS_WRITE, console_out, bytes, size);
        if (done == 0) {
            return; /* the host is gone */
        }
        bytes += done;
        size -= done;
    }
}
