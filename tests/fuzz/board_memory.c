// SPDX-License-Identifier: Apache-2.0
#include "board_memory.h"
#include "board.h"

#include <setjmp.h>
#include <string.h>

#include "check.h"
#include "link_bytes.h"
#include "link_cobs.h"
#include "link_crc32.h"
#include "link_reader.h"
#include "messages.h"

enum { LINE_SIZE = 1 << 16, IDLE_MS = 10, SPARE_SIZE = 1000 };

static struct {
    uint8_t data[LINE_SIZE];
    size_t begin, end, piece;
} line;

static struct {
    uint8_t data[LINK_COBS_ENCODED_SIZE(LINK_MAX_FRAME)];
    size_t length;
    bool in_frame;
} speech;

static said_t said;
static uint64_t now;
static jmp_buf restart;
static board_fault_t fault;
static bool faulted;

static board_facts_t facts = {
    .name = "memory",
    .clock_hz = 1000000,
    .tick_hz = 1000000,
    .flags = BOARD_FLAG_MICROPHONE,
};

enum { HEARD_AT_ONCE = 150, HEARD_MOST = 1024 };  // samples, for each read of the line

static struct {
    bool listens;
    size_t waiting;
    uint32_t noise;
    uint32_t overruns;
} microphone;

/// For the harness ///

void fuzz_board_start(void) {
    memset(&line, 0, sizeof line);
    memset(&speech, 0, sizeof speech);
    memset(&said, 0, sizeof said);
    memset(&microphone, 0, sizeof microphone);
    now = 0;
    facts.boot_id = 0;
    facts.reset_cause = BOARD_RESET_FAULT;
    fault = (board_fault_t){.kind = BOARD_FAULT_BUS, .pc = 0x08001234};
    faulted = true;
}

void fuzz_board_send(const uint8_t *bytes, size_t size, size_t piece) {
    memmove(line.data, line.data + line.begin, line.end - line.begin);
    line.end -= line.begin;
    line.begin = 0;
    CHECK(size <= sizeof line.data - line.end);
    memcpy(line.data + line.end, bytes, size);
    line.end += size;
    line.piece = piece;
}

size_t fuzz_board_waiting(void) { return line.end - line.begin; }

void fuzz_board_wait(uint32_t ms) { now += 1000u * (uint64_t)ms; }

void fuzz_board_run(void (*start)(void), void (*step)(void)) {
    if (setjmp(restart) != 0) {
        start();
    }
    while (fuzz_board_waiting() > 0) {
        step();
    }
}

const said_t *fuzz_board_said(void) { return &said; }

bool fuzz_board_said_whole(void) { return !speech.in_frame && speech.length == 0; }

/// What the application says ///

static void end_frame(void) {
    size_t size = 0;
    CHECK(link_cobs_decode(speech.data, speech.length, &size));
    const uint8_t *frame = speech.data + 1;
    CHECK(size >= LINK_FRAME_HEAD + LINK_FRAME_TAIL && size <= LINK_MAX_FRAME);
    const size_t checked = size - LINK_FRAME_TAIL;
    CHECK(link_crc32(0, frame, checked) == link_load_le32(frame + checked));
    ++said.frames;
    if (frame[0] >= LINK_WINDOW && frame[0] != LINK_ERROR) {
        return;
    }
    said.type = frame[0];
    said.sequence = frame[1];
    said.length = checked - LINK_FRAME_HEAD;
    memcpy(said.payload, frame + LINK_FRAME_HEAD, said.length);
}

static void hear(uint8_t byte) {
    if (byte == 0) {
        if (speech.in_frame) {
            end_frame();
        } else {
            CHECK(speech.length == 0);  // a frame within a line of text
        }
        speech.in_frame = !speech.in_frame;
        speech.length = 0;
        return;
    }
    if (!speech.in_frame && speech.length > 0 && speech.data[speech.length - 1] == '\r') {
        CHECK(byte == '\n');
        speech.length = 0;
        ++said.lines;
        return;
    }
    CHECK(speech.in_frame || (byte >= ' ' && byte <= '~') || byte == '\r');
    CHECK(speech.length < sizeof speech.data);
    speech.data[speech.length++] = byte;
}

/// board.h ///

void board_init(void) {}

const board_facts_t *board_facts(void) { return &facts; }

static void listen_on(void) {
    if (microphone.listens && microphone.waiting + HEARD_AT_ONCE <= HEARD_MOST) {
        microphone.waiting += HEARD_AT_ONCE;
    } else if (microphone.listens) {
        microphone.overruns += HEARD_AT_ONCE;
    }
}

size_t board_read(uint8_t *bytes, size_t size, bool wait) {
    listen_on();
    size_t count = fuzz_board_waiting();
    count = count < size ? count : size;
    count = count < line.piece ? count : line.piece;
    memcpy(bytes, line.data + line.begin, count);
    line.begin += count;
    if (count == 0 && wait) {
        fuzz_board_wait(IDLE_MS);
    }
    return count;
}

void board_write(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) {
        hear(bytes[i]);
    }
}

uint32_t board_rx_overruns(void) { return 0; }

uint32_t board_uart_errors(void) { return 0; }

bool board_microphone_start(void) {
    CHECK(!microphone.listens);  // else the one before had not been ended
    microphone.waiting = 0;
    microphone.listens = said.frames % 8u != 7u;  // sometimes it does not start
    return microphone.listens;
}

void board_microphone_stop(void) { microphone.listens = false; }

size_t board_microphone_waiting(void) { return microphone.waiting; }

size_t board_microphone_read(int16_t *pcm, size_t size) {
    CHECK(microphone.listens);
    const size_t count = size < microphone.waiting ? size : microphone.waiting;
    for (size_t i = 0; i < count; ++i) {
        microphone.noise = microphone.noise * 1664525u + 1013904223u;
        pcm[i] = (int16_t)(microphone.noise >> 16);
    }
    microphone.waiting -= count;
    return count;
}

uint32_t board_microphone_overruns(void) { return microphone.overruns; }

uint64_t board_ticks(void) { return ++now; }

uint64_t board_uptime(void) { return board_ticks(); }

void board_measure(bool on) { (void)on; }

board_load_t board_load(void) { return (board_load_t){0}; }

uint64_t board_work_ticks(void) { return board_ticks(); }

void board_marker(bool high) { (void)high; }

uint32_t board_ms(void) { return (uint32_t)(now / 1000u); }

void board_watchdog_kick(void) {}

void board_reset(void) {
    microphone.listens = false;
    ++facts.boot_id;
    facts.reset_cause = BOARD_RESET_SOFTWARE;
    longjmp(restart, 1);
}

void *board_spare_memory(size_t *size) {
    static void *spare;  // of its exact size: a sanitizer sees what runs over
    spare = spare != NULL ? spare : malloc(SPARE_SIZE);
    *size = SPARE_SIZE;
    return spare;
}

size_t board_stack_size(void) { return 4096; }

size_t board_stack_high_water(void) { return 1024; }

const board_fault_t *board_last_fault(void) { return faulted ? &fault : NULL; }

void board_fault_clear(void) { faulted = false; }
