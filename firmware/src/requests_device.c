/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about the device: who it is, how it does, and that it start anew. */
#include <string.h>

#include "board.h"
#include "requests.h"
#include "version.h"

static void copy_name(char name[LINK_NAME_SIZE], const char *string) {
    strncpy(name, string, LINK_NAME_SIZE - 1u); /* pads with zeros */
    name[LINK_NAME_SIZE - 1u] = '\0';
}

void request_hello(app_t *app) {
    const board_facts_t *facts = board_facts();
    const w2s_model *model = app->session.model;
    link_hello_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (request.protocol != LINK_PROTOCOL_VERSION) {
        requests_refuse(app, LINK_ERROR_BAD_VERSION, LINK_PROTOCOL_VERSION);
        return;
    }
    link_hello_reply_t hello = {
        .protocol = LINK_PROTOCOL_VERSION,
        .fw_major = FIRMWARE_VERSION_MAJOR,
        .fw_minor = FIRMWARE_VERSION_MINOR,
        .fw_patch = FIRMWARE_VERSION_PATCH,
        .flags = facts->flags,
        .boot_id = facts->boot_id,
        .clock_hz = facts->clock_hz,
        .max_payload = LINK_MAX_PAYLOAD,
        .block_samples = LINK_BLOCK_SAMPLES,
        .segments = SESSION_MAX_WINDOW,
        .buffer_seconds = W2S_BUFFER_SECONDS,
        .audio_window = SESSION_AUDIO_WINDOW,
        .reset_cause = facts->reset_cause,
    };
    copy_name(hello.board, facts->name);
    copy_name(hello.model, model->name);
    memcpy(hello.model_sha256, model->sha256, sizeof hello.model_sha256);
    requests_reply(app, LINK_HELLO_REPLY, &hello, sizeof hello);
    /* At boot, perhaps nobody listened. Now somebody does. */
    app_report_fault(app);
    board_fault_clear();
}

void request_ping(app_t *app) {
    requests_reply(app, LINK_PONG, app->reader.payload, app->reader.length);
}

void request_counters(app_t *app) {
    const link_reader_counters_t *received = &app->reader.counters;
    const session_t *session = &app->session;
    const session_ticks_t ticks = session_ticks(session);
    const link_counters_reply_t counters = {
        .frames_ok = received->frames_ok,
        .crc_errors = received->crc_errors,
        .framing_errors = received->framing_errors,
        .rx_overruns = board_rx_overruns(),
        .uart_errors = board_uart_errors(),
        .microphone_overruns = board_microphone_overruns(),
        .blocks_accepted = session->blocks.accepted,
        .blocks_repeated = session->blocks.repeated,
        .blocks_refused = session->blocks.refused,
        .tx_frames = app->outlet.writer.frames,
        .stack_size = (uint32_t)board_stack_size(),
        .stack_high_water = (uint32_t)board_stack_high_water(),
        .tick_hz = board_facts()->tick_hz,
        .samples = session->samples,
        .ticks_front_end = ticks.front_end,
        .ticks_network = ticks.network,
        .ticks_pool = ticks.pool,
        .ticks_total = ticks.total,
        .uptime = board_uptime(),
    };
    requests_reply(app, LINK_COUNTERS_REPLY, &counters, sizeof counters);
}

void request_reset(app_t *app) {
    link_reset_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (request.magic != LINK_RESET_MAGIC) {
        requests_refuse(app, LINK_ERROR_BAD_VALUE, request.magic);
        return;
    }
    requests_reply(app, LINK_ACK, NULL, 0);
    board_reset();
}
