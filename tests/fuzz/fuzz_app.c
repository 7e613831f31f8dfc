// SPDX-License-Identifier: Apache-2.0
//
// fuzz_app.c: the whole application of the firmware, over a board in memory: frames good and bad,
// text, silence, resets.
// Promises (docs/security.md): S1, S2, S3, S4, S5.
//
// No mutation finds a CRC, so the input is a programme: each step begins with an operation, and
// good frames are made here.
#include <string.h>

#include "app.h"
#include "board.h"
#include "board_memory.h"
#include "check.h"
#include "link_writer.h"

extern const w2s_model w2s_model_data;

static app_t app;

static void start(void) {
    memset(&app, 0, sizeof app);
    app_init(&app, &w2s_model_data);
}

static void step(void) { app_poll(&app); }

/// The input as a programme ///

typedef struct {
    const uint8_t *data;
    size_t left;
} input_t;

static uint8_t take(input_t *input) {
    if (input->left == 0) {
        return 0;
    }
    --input->left;
    return *input->data++;
}

// The next `count` bytes, or as many as there are.
static const uint8_t *take_bytes(input_t *input, size_t *count) {
    const uint8_t *bytes = input->data;
    *count = *count < input->left ? *count : input->left;
    input->data += *count;
    input->left -= *count;
    return bytes;
}

typedef struct {
    uint8_t data[2048];
    size_t length;
} bytes_t;

static void keep(void *context, const uint8_t *data, size_t length) {
    bytes_t *bytes = context;
    CHECK(length <= sizeof bytes->data - bytes->length);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void send_frame(uint8_t type, uint8_t sequence, const void *payload, size_t length) {
    bytes_t bytes = {.length = 0};
    link_writer_t writer;
    link_writer_init(&writer, keep, &bytes);
    link_writer_send(&writer, type, sequence, payload, length);
    fuzz_board_send(bytes.data, bytes.length, 128);
}

static void raw(input_t *input) {
    size_t count = take(input);
    const size_t piece = 1u + take(input) % 128u;
    const uint8_t *bytes = take_bytes(input, &count);
    fuzz_board_send(bytes, count, piece);
}

static void any_frame(input_t *input) {
    const uint8_t type = take(input);
    size_t count = take(input);
    uint8_t payload[LINK_MAX_PAYLOAD] = {0};
    const size_t times = 1u + take(input) % 5u;
    const uint8_t *bytes = take_bytes(input, &count);
    for (size_t i = 0; i < times; ++i) {
        const size_t room = sizeof payload - i * count;
        memcpy(payload + i * count, bytes, count < room ? count : room);
    }
    const size_t length = count * times;
    send_frame(type, take(input), payload, length < sizeof payload ? length : sizeof payload);
}

// A START that is likely to be taken.
static void begin_session(input_t *input) {
    const uint8_t choice = take(input);
    const uint8_t other = take(input);
    const link_start_t request = {
        .session = 1u + choice % 2u,
        .source = (uint8_t)(other >> 4 & 1u),
        .options = (uint8_t)(other >> 5 & 3u),
        .norm = (uint8_t)(choice >> 1 & 1u),
        .window_segments = (uint8_t)(choice >> 2 & 7u),
        .tap_mask = ((uint32_t)other << 8 | take(input)) & 0xFFFu,
        .samples = 1u + take(input),
        .sum = (int8_t)take(input),
        .sum_squares = (uint64_t)take(input) << (choice >> 4),
    };
    send_frame(LINK_START, take(input), &request, sizeof request);
}

// A block of the session, due or not.
static void send_audio(input_t *input) {
    uint8_t payload[sizeof(link_audio_t) + LINK_BLOCK_SAMPLES * sizeof(int16_t)];
    size_t count = take(input);
    const uint8_t ahead = take(input);
    const uint8_t *bytes = take_bytes(input, &count);
    const uint32_t block = app.session.next_block + (ahead < 200u ? 0u : ahead - 227u);
    memcpy(payload, &app.session.id, sizeof app.session.id);
    memcpy(payload + sizeof app.session.id, &block, sizeof block);
    for (size_t i = sizeof(link_audio_t); i < sizeof payload; ++i) {
        payload[i] = count > 0 ? bytes[i % count] : 0;
    }
    const size_t shorter = ahead % 16u == 15u ? ahead : 0;
    send_frame(LINK_AUDIO, ahead, payload, sizeof payload - shorter);
}

static void end_session(input_t *input) {
    const uint8_t choice = take(input);
    const link_finish_t request = {app.session.id, app.session.next_block + (choice & 1u)};
    send_frame(choice & 2u ? LINK_STOP : LINK_FINISH, choice, &request,
               choice & 2u ? sizeof(link_stop_t) : sizeof request);
}

static void text(input_t *input) {
    static const uint8_t ends[4] = {'%', '\r', '\n', '%'};  // MLPerf Tiny's commands end with %
    size_t count = take(input) % 84u;
    const uint8_t *end = ends + take(input) % sizeof ends;
    const uint8_t *bytes = take_bytes(input, &count);
    fuzz_board_send(bytes, count, 128);
    fuzz_board_send(end, 1, 128);
}

static void operate(input_t *input) {
    switch (take(input) % 8u) {
        case 0:
            raw(input);
            break;
        case 1:
            any_frame(input);
            break;
        case 2:
            begin_session(input);
            break;
        case 3:
        case 4:
            send_audio(input);
            break;
        case 5:
            end_session(input);
            break;
        case 6:
            text(input);
            break;
        default:
            fuzz_board_wait(take(input));
            app_poll(&app);
    }
    fuzz_board_run(start, step);
    CHECK(fuzz_board_said_whole());
}

/// What must hold ///

// A request gets its answer after any input, and is counted.
static void still_answers(void) {
    static const uint8_t token[4] = {'p', 0, 0xFF, 'g'};
    const uint8_t delimiter = 0;
    fuzz_board_send(&delimiter, 1, 1);
    fuzz_board_run(start, step);
    const uint32_t taken = app.reader.counters.frames_ok;
    send_frame(LINK_PING, 99, token, sizeof token);
    fuzz_board_run(start, step);
    const said_t *said = fuzz_board_said();
    CHECK(said->type == LINK_PONG && said->sequence == 99);
    CHECK(said->length == sizeof token && memcmp(said->payload, token, sizeof token) == 0);
    CHECK(app.reader.counters.frames_ok == taken + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input_t input = {data, size};
    fuzz_board_start();
    start();
    while (input.left > 0) {
        operate(&input);
    }
    still_answers();
    return 0;
}
