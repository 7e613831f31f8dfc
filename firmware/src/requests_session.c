/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of a session: audio in, an answer out. Each may be repeated: its reply may be lost. */
#include <string.h>

#include "board.h"
#include "requests.h"

static uint32_t current_session(const session_t *session) {
    return session->state == SESSION_NONE ? 0 : session->id;
}

/* Is `id` the session that there is? Refuses the request if not. */
static bool check_session(app_t *app, uint32_t id) {
    const uint32_t current = current_session(&app->session);
    if (id != 0 && id == current) {
        return true;
    }
    requests_refuse(app, LINK_ERROR_NO_SESSION, current);
    return false;
}

static void send_start_reply(app_t *app) {
    const link_start_reply_t started = {
        .session = app->session.id,
        .next_block = app->session.next_block,
        .audio_window = app->session.hears ? 0 : SESSION_AUDIO_WINDOW,
    };
    requests_reply(app, LINK_START_REPLY, &started, sizeof started);
}

static void send_credit(app_t *app) {
    const link_credit_t credit = {
        .session = app->session.id,
        .next_block = app->session.next_block,
        .audio_window = SESSION_AUDIO_WINDOW,
    };
    requests_reply(app, LINK_CREDIT, &credit, sizeof credit);
}

typedef struct {
    uint8_t error; /* 0 for none */
    uint32_t detail;
} refusal_t;

/* Why this board cannot hear by itself what the session wants. */
static refusal_t microphone_refusal(const link_start_t *request) {
    if (request->source != LINK_SOURCE_MICROPHONE) {
        const bool wants_audio =
            (request->options & LINK_OPTION_AUDIO) != 0; /* it sends it itself */
        return (refusal_t){wants_audio ? LINK_ERROR_BAD_VALUE : 0, request->options};
    }
    if ((board_facts()->flags & BOARD_FLAG_MICROPHONE) == 0) {
        return (refusal_t){LINK_ERROR_NOT_SUPPORTED, request->source};
    }
    if (request->norm != LINK_NORM_LIVE) { /* of what is still to be said, nobody knows the mean */
        return (refusal_t){LINK_ERROR_BAD_VALUE, request->norm};
    }
    return (refusal_t){0, 0};
}

/* Why this build cannot run the session. */
static refusal_t start_refusal(const link_start_t *request) {
    const uint64_t buffer = (uint64_t)W2S_BUFFER_SECONDS * W2S_SAMPLE_RATE;
    if (request->session == 0) {
        return (refusal_t){LINK_ERROR_BAD_VALUE, 0};
    }
    if (request->norm > LINK_NORM_BUFFERED) {
        return (refusal_t){LINK_ERROR_BAD_VALUE, request->norm};
    }
    if (request->source > LINK_SOURCE_MICROPHONE) {
        return (refusal_t){LINK_ERROR_BAD_VALUE, request->source};
    }
    if ((request->options & ~(LINK_OPTION_PROFILE | LINK_OPTION_AUDIO)) != 0) {
        return (refusal_t){LINK_ERROR_BAD_VALUE, request->options};
    }
    if (request->tap_mask >> LINK_LAYERS != 0) {
        return (refusal_t){LINK_ERROR_BAD_VALUE, request->tap_mask};
    }
    const refusal_t refusal = microphone_refusal(request);
    if (refusal.error != 0) {
        return refusal;
    }
    if (request->window_segments > SESSION_MAX_WINDOW) {
        return (refusal_t){LINK_ERROR_NOT_SUPPORTED, request->window_segments};
    }
    if (request->norm == LINK_NORM_BUFFERED && buffer == 0) {
        return (refusal_t){LINK_ERROR_NOT_SUPPORTED, request->norm};
    }
    if (request->norm == LINK_NORM_BUFFERED && request->samples > buffer) {
        return (refusal_t){LINK_ERROR_TOO_LONG, (uint32_t)buffer};
    }
    return (refusal_t){0, 0};
}

void request_start(app_t *app) {
    link_start_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    const session_state_t state = app->session.state;
    const bool repeated = request.session == current_session(&app->session) &&
                          (state == SESSION_RUNNING || state == SESSION_FINISHED);
    if (repeated && request.session != 0) {
        send_start_reply(app);
        return;
    }
    const refusal_t refusal = start_refusal(&request);
    if (refusal.error != 0) {
        requests_refuse(app, refusal.error, refusal.detail);
        return;
    }
    const w2s_status status = session_start(&app->session, &request);
    if (status != W2S_OK) {
        requests_refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)status);
        return;
    }
    if (request.source == LINK_SOURCE_MICROPHONE &&
        !session_hear(&app->session, (request.options & LINK_OPTION_AUDIO) != 0)) {
        requests_refuse(app, LINK_ERROR_MICROPHONE, 0);
        return;
    }
    send_start_reply(app);
}

void request_audio(app_t *app) {
    session_t *session = &app->session;
    /* Samples where the reader decoded them: it aligns its payload. */
    const void *pcm = app->reader.payload + sizeof(link_audio_t);
    const size_t bytes = app->reader.length - sizeof(link_audio_t);
    link_audio_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (bytes == 0 || bytes % sizeof(int16_t) != 0) {
        requests_refuse(app, LINK_ERROR_BAD_LENGTH, (uint32_t)app->reader.length);
        return;
    }
    if (!check_session(app, request.session)) {
        return;
    }
    if (session->state == SESSION_FAILED) {
        requests_refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)session->status);
        return;
    }
    if (session->source == LINK_SOURCE_MICROPHONE) {
        ++session->blocks.refused;
        requests_refuse(app, LINK_ERROR_BAD_STATE, 0);
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
        requests_refuse(app, LINK_ERROR_BAD_STATE, 0);
        return;
    }
    const w2s_status status = session_push(session, pcm, bytes / sizeof(int16_t));
    ++session->blocks.accepted;
    if (status != W2S_OK) {
        requests_refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)status);
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
    requests_reply(app, LINK_RESULT, &result, sizeof result);
}

void request_finish(app_t *app) {
    session_t *session = &app->session;
    link_finish_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (!check_session(app, request.session)) {
        return;
    }
    session_hear_end(session);
    if (session->state == SESSION_FAILED) {
        requests_refuse(app, LINK_ERROR_AUDIO_ERROR, (uint32_t)session->status);
        return;
    }
    if (session->source == LINK_SOURCE_LINK && request.blocks != session->next_block) {
        requests_refuse(app, LINK_ERROR_MISSING_AUDIO, session->next_block);
        return;
    }
    if (session->state == SESSION_RUNNING) {
        session_finish(session);
    }
    send_result(app);
}

void request_stop(app_t *app) {
    link_stop_t request;
    memcpy(&request, app->reader.payload, sizeof request);
    if (request.session == current_session(&app->session)) {
        session_stop(&app->session);
    }
    requests_reply(app, LINK_ACK, NULL,
                   0); /* one that is over already: its ACK was lost, perhaps */
}
