/* SPDX-License-Identifier: Apache-2.0 */
#include "requests.h"

/* The wire is little endian, and payloads are copied as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little endian");

typedef struct {
    uint8_t type;
    uint16_t shortest; /* payload, bytes */
    uint16_t longest;
    void (*handle)(app_t *app);
} request_t;

/* A handler may rely on the length of the payload. */
static const request_t requests[] = {
    {LINK_HELLO, sizeof(link_hello_t), sizeof(link_hello_t), request_hello},
    {LINK_START, sizeof(link_start_t), sizeof(link_start_t), request_start},
    {LINK_AUDIO, sizeof(link_audio_t), sizeof(link_audio_t) + LINK_BLOCK_SAMPLES * sizeof(int16_t),
     request_audio},
    {LINK_FINISH, sizeof(link_finish_t), sizeof(link_finish_t), request_finish},
    {LINK_COUNTERS, 0, 0, request_counters},
    {LINK_RESET, sizeof(link_reset_t), sizeof(link_reset_t), request_reset},
    {LINK_PING, 0, LINK_MAX_PAYLOAD, request_ping},
    {LINK_STOP, sizeof(link_stop_t), sizeof(link_stop_t), request_stop},
};

void requests_reply(app_t *app, uint8_t type, const void *payload, size_t length) {
    outlet_reply(&app->outlet, type, app->reader.sequence, payload, length);
}

void requests_refuse(app_t *app, uint8_t error, uint32_t detail) {
    outlet_error(&app->outlet, error, app->reader.type, app->reader.sequence, detail);
}

void requests_handle(app_t *app) {
    const link_reader_t *frame = &app->reader;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; ++i) {
        if (requests[i].type != frame->type) {
            continue;
        }
        if (frame->length < requests[i].shortest || frame->length > requests[i].longest) {
            requests_refuse(app, LINK_ERROR_BAD_LENGTH, (uint32_t)frame->length);
            return;
        }
        requests[i].handle(app);
        return;
    }
    requests_refuse(app, LINK_ERROR_UNKNOWN_TYPE, frame->type);
}
