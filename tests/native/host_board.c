/* SPDX-License-Identifier: Apache-2.0 */
/* A board that is a process of the host: the link is stdin and stdout, the watchdog is SIGALRM,
 * and a reset starts the program anew. The application above it is the one of the firmware.
 *
 * Environment: HOST_BOARD_FAULT=1 starts as after a processor fault; HOST_BOARD_MARKER names a file
 * that gets a 1 when the marker rises and a 0 when it falls; HOST_BOARD_SPARE is the size of the
 * RAM that is left; by HOST_BOARD_PPM its uptime is fast; HOST_BOARD_MICROPHONE names a pipe from
 * which its microphone hears int16 samples, and with HOST_BOARD_DEAF that does not start. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "board.h"

enum {
    WAIT_MS = 10,          /* as board_read() promises */
    REFUSAL_MS = 20,       /* as board_write() promises */
    WATCHDOG_SECONDS = 20, /* sanitizers are slow, and so may the machine be */
    TICK_HZ = 1000000000,
    SPARE_SIZE = 80000,  /* as on the STM32F407 */
    RING_SAMPLES = 1024, /* of the microphone, likewise */
};

static board_facts_t facts = {
    .name = "host",
    .clock_hz = TICK_HZ,
    .tick_hz = TICK_HZ,
    .flags = BOARD_FLAG_EMULATED | BOARD_FLAG_WATCHDOG,
    .reset_cause = BOARD_RESET_POWER_ON,
};

static const board_fault_t sample_fault = {
    .kind = BOARD_FAULT_BUS,
    .pc = 0x08001234,
    .lr = 0x08005678,
    .cfsr = 0x8200,
    .hfsr = 0x40000000,
    .address = 0xDEADBEEF,
    .xpsr = 0x61000000,
};

static const board_fault_t *last_fault;
static uint64_t asleep; /* ticks */

static struct {
    int pipe; /* -1: no microphone */
    bool listens;
    int16_t ring[RING_SAMPLES];
    uint32_t head, tail, overruns;
} microphone = {.pipe = -1};

_Noreturn static void panic(const char *what) {
    perror(what);
    abort();
}

void board_init(void) {
    const char *boots = getenv("HOST_BOARD_BOOTS");
    if (boots != NULL) {
        facts.boot_id = (uint32_t)strtoul(boots, NULL, 10);
        facts.reset_cause = BOARD_RESET_SOFTWARE;
    } else if (getenv("HOST_BOARD_FAULT") != NULL) {
        facts.reset_cause = BOARD_RESET_FAULT;
        last_fault = &sample_fault;
    }
    if (fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK) != 0) {
        panic("fcntl");
    }
    const char *path = getenv("HOST_BOARD_MICROPHONE");
    if (path != NULL) {
        microphone.pipe = open(path, O_RDWR | O_NONBLOCK); /* to write too: so it never ends */
        if (microphone.pipe < 0) {
            panic(path);
        }
        facts.flags |= BOARD_FLAG_MICROPHONE;
    }
    board_watchdog_kick();
}

const board_facts_t *board_facts(void) { return &facts; }

/* What the microphone's interrupt does: as much as came since the last time. */
static void hear(void) {
    int16_t pcm[16]; /* 1 ms */
    ssize_t size;
    while (microphone.pipe >= 0 && (size = read(microphone.pipe, pcm, sizeof pcm)) > 0) {
        for (size_t i = 0; microphone.listens && i < (size_t)size / sizeof pcm[0]; ++i) {
            if (microphone.head - microphone.tail == RING_SAMPLES) {
                ++microphone.overruns;
            } else {
                microphone.ring[microphone.head++ % RING_SAMPLES] = pcm[i];
            }
        }
    }
}

static bool ready(int descriptor, short events, int timeout_ms) {
    struct pollfd poll_one = {.fd = descriptor, .events = events};
    return poll(&poll_one, 1, timeout_ms) > 0;
}

/* Whether a byte is there, after a while, which a sound cuts short. */
static bool wait_for_either(int timeout_ms) {
    struct pollfd both[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = microphone.pipe, .events = POLLIN}};
    (void)poll(both, 2, timeout_ms); /* a descriptor of -1 is ignored */
    return ready(STDIN_FILENO, POLLIN, 0);
}

size_t board_read(uint8_t *bytes, size_t size, bool wait) {
    const uint64_t begin = board_ticks();
    const bool waits = wait && board_microphone_waiting() < BOARD_MICROPHONE_BLOCK;
    const bool is_there = wait_for_either(waits ? WAIT_MS : 0);
    asleep += board_ticks() - begin;
    if (!is_there) {
        return 0;
    }
    ssize_t count = read(STDIN_FILENO, bytes, size);
    if (count < 0) {
        panic("read");
    }
    if (count == 0) {
        exit(EXIT_SUCCESS); /* the host closed its end: nothing can come any more */
    }
    return (size_t)count;
}

void board_write(const uint8_t *bytes, size_t size) {
    while (size > 0 && ready(STDOUT_FILENO, POLLOUT, REFUSAL_MS)) {
        ssize_t count = write(STDOUT_FILENO, bytes, size);
        if (count < 0) {
            if (errno == EAGAIN) {
                continue;
            }
            panic("write");
        }
        bytes += count;
        size -= (size_t)count;
    }
}

uint32_t board_rx_overruns(void) { return 0; }

uint32_t board_uart_errors(void) { return 0; }

bool board_microphone_start(void) {
    hear(); /* what came before is gone */
    microphone.head = 0;
    microphone.tail = 0;
    microphone.listens = microphone.pipe >= 0 && getenv("HOST_BOARD_DEAF") == NULL;
    return microphone.listens;
}

void board_microphone_stop(void) { microphone.listens = false; }

size_t board_microphone_waiting(void) {
    hear();
    return microphone.head - microphone.tail;
}

size_t board_microphone_read(int16_t *pcm, size_t size) {
    size_t count = 0;
    while (count < size && microphone.tail != microphone.head) {
        pcm[count++] = microphone.ring[microphone.tail++ % RING_SAMPLES];
    }
    return count;
}

uint32_t board_microphone_overruns(void) { return microphone.overruns; }

uint64_t board_ticks(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        panic("clock_gettime");
    }
    return (uint64_t)now.tv_sec * TICK_HZ + (uint64_t)now.tv_nsec;
}

uint64_t board_uptime(void) {
    const char *ppm = getenv("HOST_BOARD_PPM");
    const uint64_t fast = ppm == NULL ? 0 : strtoul(ppm, NULL, 10);
    return board_ticks() + board_ticks() / 1000000u * fast;
}

void board_measure(bool on) {
    (void)on;
    asleep = 0;
}

board_load_t board_load(void) { return (board_load_t){.asleep = asleep}; }

uint64_t board_work_ticks(void) { return board_ticks(); }

uint32_t board_ms(void) { return (uint32_t)(board_ticks() / 1000000u); }

void board_marker(bool high) {
    const char *path = getenv("HOST_BOARD_MARKER");
    if (path == NULL) {
        return;
    }
    FILE *file = fopen(path, "a");
    if (file == NULL || fputc(high ? '1' : '0', file) == EOF || fclose(file) != 0) {
        panic("marker");
    }
}

void board_watchdog_kick(void) { (void)alarm(WATCHDOG_SECONDS); }

_Noreturn void board_reset(void) {
    char boots[16];
    (void)snprintf(boots, sizeof boots, "%u", (unsigned)(facts.boot_id + 1u));
    if (setenv("HOST_BOARD_BOOTS", boots, 1) == 0) {
        execl("/proc/self/exe", "host_board", (char *)NULL);
    }
    panic("reset");
}

void *board_spare_memory(size_t *size) {
    const char *spare = getenv("HOST_BOARD_SPARE");
    *size = spare != NULL ? strtoul(spare, NULL, 10) : SPARE_SIZE;
    return malloc(*size); /* once; a sanitizer sees what runs over */
}

size_t board_stack_size(void) { return 4096; }

size_t board_stack_high_water(void) { return 1024; }

const board_fault_t *board_last_fault(void) { return last_fault; }

void board_fault_clear(void) { last_fault = NULL; }
