/* SPDX-License-Identifier: Apache-2.0 */
#include "requests.h"

#include <string.h>

#include "board.h"
#include "messages.h"
#include "version.h"

/* The wire is little endian, and payloads are copied as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little endian");

static void reply(app_t *app, uint8_t type, const void *payload, size_t length) {
    outlet_reply(&app->outlet, type, app->reader.sequence, payload, length);
}

static void refuse(app_t *app, uint8_t error, uint32_t detail) {
    outlet_error(&app->outlet, error, app->reader.type, app->reader.sequence, detail);
}

/// Who and how ///

static void copy_name(char name[LINK_NAME_SIZE], const char *string) {
    strncpy(name, string, LINK_NAME_SIZE - 1u); /* pads with zeros */
    name[LINK_NAME_SIZE - 1u] = '\0';
}

static void handle_hello(app_t *app) {
    const board_facts_t *facts = board_facts();
    const w2s_model *model = app->session.model;
    link_hello_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (request.protocol != LINK_PROTOCOL_VERSION) {
        refuse(app, LINK_ERROR_BAD_VERSION, LINK_PROTOCOL_VERSION);
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
    reply(app, LINK_HELLO_REPLY, &hello, sizeof hello);
    /* At boot, perhaps nobody listened. Now somebody does. */
    app_report_fault(app);
    board_fault_clear();
}

static void handle_ping(app_t *app) {
    reply(app, LINK_PONG, app->reader.payload, app->reader.length);
}

static void handle_counters(app_t *app) {
    const link_reader_counters_t *received = &app->reader.counters;
    const session_t *session = &app->session;
    const session_ticks_t ticks = session_ticks(session);
    const link_counters_reply_t counters = {
        .frames_ok = received->frames_ok,
        .crc_errors = received->crc_errors,
        .framing_errors = received->framing_errors,
        .rx_overruns = board_rx_overruns(),
        .uart_errors = board_uart_errors(),
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
    };
    reply(app, LINK_COUNTERS_REPLY, &counters, sizeof counters);
}

static void handle_reset(app_t *app) {
    link_reset_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (request.magic != LINK_RESET_MAGIC) {
        refuse(app, LINK_ERROR_BAD_VALUE, request.magic);
        return;
    }
    reply(app, LINK_ACK, NULL, 0);
    board_reset();
}

/// Sessions ///

static uint32_t current_session(const session_t *session) {
    return session->state == SESSION_NONE ? 0 : session->id;
}

/* Is `id` the session that there is? Refuses the request if not. */
static bool check_session(app_t *app, uint32_t id) {
    const uint32_t current = current_session(&app->session);
    if (id != 0 && id == current) {
        return true;
    }
    refuse(app, LINK_ERROR_NO_SESSION, current);
    return false;
}

static void send_start_reply(app_t *app) {
    const link_start_reply_t started = {
        .session = app->session.id,
        .next_block = app->session.next_block,
        .audio_window = SESSION_AUDIO_WINDOW,
    };
    reply(app, LINK_START_REPLY, &started, sizeof started);
}

static void send_credit(app_t *app) {
    const link_credit_t credit = {
        .session = app->session.id,
        .next_block = app->session.next_block,
        .audio_window = SESSION_AUDIO_WINDOW,
    };
    reply(app, LINK_CREDIT, &credit, sizeof credit);
}

/* Can this build run the session? Refuses the request if not. */
static bool check_start(app_t *app, const link_start_t *request) {
    const uint64_t buffer = (uint64_t)W2S_BUFFER_SECONDS * W2S_SAMPLE_RATE;
    uint8_t error;
    uint32_t detail;
    if (request->session == 0) {
        error = LINK_ERROR_BAD_VALUE, detail = 0;
    } else if (request->norm > LINK_NORM_BUFFERED) {
        error = LINK_ERROR_BAD_VALUE, detail = request->norm;
    } else if (request->source > LINK_SOURCE_MICROPHONE) {
        error = LINK_ERROR_BAD_VALUE, detail = request->source;
    } else if (request->tap_mask >> LINK_LAYERS != 0) {
        error = LINK_ERROR_BAD_VALUE, detail = request->tap_mask;
    } else if (request->source == LINK_SOURCE_MICROPHONE) {
        error = LINK_ERROR_NOT_SUPPORTED, detail = request->source;
    } else if (request->window_segments > SESSION_MAX_WINDOW) {
        error = LINK_ERROR_NOT_SUPPORTED, detail = request->window_segments;
    } else if (request->norm == LINK_NORM_BUFFERED && buffer == 0) {
        error = LINK_ERROR_NOT_SUPPORTED, detail = request->norm;
    } else if (request->norm == LINK_NORM_BUFFERED && request->samples > buffer) {
        error = LINK_ERROR_TOO_LONG, detail = (uint32_t)buffer;
    } else {
        return true;
    }
    refuse(app, error, detail);
    return false;
}

static void handle_start(app_t *app) {
    link_start_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    const session_state_t state = app->session.state;
    const bool repeated = request.session == current_session(&app->session) &&
                          (state == SESSION_RUNNING || state == SESSION_FINISHED);
    if (repeated && request.session != 0) {
        send_start_reply(app);
        return;
    }
    if (!check_start(app, &request)) {
        return;
    }
    const w2s_status status = session_start(&app->session, &request);
    if (status != W2S_OK) {
        refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)status);
        return;
    }
    send_start_reply(app);
}

static void handle_audio(app_t *app) {
    session_t *session = &app->session;
    const uint8_t *pcm = app->reader.payload + sizeof(link_audio_t);
    const size_t bytes = app->reader.length - sizeof(link_audio_t);
    link_audio_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (bytes == 0 || bytes % sizeof(int16_t) != 0) {
        refuse(app, LINK_ERROR_BAD_LENGTH, (uint32_t)app->reader.length);
        return;
    }
    if (!check_session(app, request.session)) {
        return;
    }
    if (session->state == SESSION_FAILED) {
        refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)session->status);
        return;
    }
    if (request.block < session->next_block) {
        ++session->blocks.repeated; /* its CREDIT was lost, perhaps */
        send_credit(app);
        return;
    }
    if (request.block > session->next_block) {
        ++session->blocks.refused; /* one before it was lost: the host goes back */
        send_credit(app);
        return;
    }
    if (session->state != SESSION_RUNNING) {
        ++session->blocks.refused;
        refuse(app, LINK_ERROR_BAD_STATE, 0);
        return;
    }
    const w2s_status status = session_push(session, pcm, bytes / sizeof(int16_t));
    if (status != W2S_OK) {
        refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)status);
        return;
    }
    send_credit(app);
}

static void send_result(app_t *app) {
    const session_t *session = &app->session;
    const link_result_t result = {
        .session = session->id,
        .status = session->status,
        .arousal = session->result.arousal,
        .dominance = session->result.dominance,
        .valence = session->result.valence,
        .frames = session_frames(session),
        .rows = session_rows(session),
    };
    reply(app, LINK_RESULT, &result, sizeof result);
}

static void handle_finish(app_t *app) {
    session_t *session = &app->session;
    link_finish_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (!check_session(app, request.session)) {
        return;
    }
    if (session->state == SESSION_FAILED) {
        refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)session->status);
        return;
    }
    if (request.blocks != session->next_block) {
        refuse(app, LINK_ERROR_MISSING_AUDIO, session->next_block);
        return;
    }
    if (session->state == SESSION_RUNNING) {
        session_finish(session);
    }
    send_result(app);
}

static void handle_stop(app_t *app) {
    link_stop_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (request.session == current_session(&app->session)) {
        session_stop(&app->session);
    }
    reply(app, LINK_ACK, NULL, 0); /* one that is over already: its ACK was lost, perhaps */
}

/// Table of the requests ///

typedef struct {
    uint8_t type;
    uint16_t shortest; /* payload, bytes */
    uint16_t longest;
    void (*handle)(app_t *app);
} request_t;

/* A handler may rely on the length of the payload. */
static const request_t requests[] = {
    {LINK_HELLO, sizeof(link_hello_t), sizeof(link_hello_t), handle_hello},
    {LINK_START, sizeof(link_start_t), sizeof(link_start_t), handle_start},
    {LINK_AUDIO, sizeof(link_audio_t), sizeof(link_audio_t) + LINK_BLOCK_SAMPLES * sizeof(int16_t),
     handle_audio},
    {LINK_FINISH, sizeof(link_finish_t), sizeof(link_finish_t), handle_finish},
    {LINK_COUNTERS, 0, 0, handle_counters},
    {LINK_RESET, sizeof(link_reset_t), sizeof(link_reset_t), handle_reset},
    {LINK_PING, 0, LINK_MAX_PAYLOAD, handle_ping},
    {LINK_STOP, sizeof(link_stop_t), sizeof(link_stop_t), handle_stop},
};

void requests_handle(app_t *app) {
    const link_reader_t *frame = &app->reader;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; ++i) {
        if (requests[i].type != frame->type) {
            continue;
        }
        if (frame->length < requests[i].shortest || frame->length > requests[i].longest) {
            refuse(app, LINK_ERROR_BAD_LENGTH, (uint32_t)frame->length);
            return;
        }
        requests[i].handle(app);
        return;
    }
    refuse(app, LINK_ERROR_UNKNOWN_TYPE, frame->type);
}
