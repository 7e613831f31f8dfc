/* SPDX-License-Identifier: Apache-2.0 */
/* Answers the requests of the host, one handler a message. */
#ifndef REQUESTS_H
#define REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "app.h"

/* Carries out the request that the reader holds. Every request gets exactly one reply, an ERROR
 * where it cannot be carried out; what a session sends on the way comes before it. */
void requests_handle(app_t *app);

/// Handlers ///

/* The payload in the reader has a length that requests.c allows for the message. */
void request_hello(app_t *app);
void request_counters(app_t *app);
void request_reset(app_t *app);
void request_ping(app_t *app);
void request_start(app_t *app);
void request_audio(app_t *app);
void request_finish(app_t *app);
void request_stop(app_t *app);

/* How a handler replies: to the request that the reader holds. */
void requests_reply(app_t *app, uint8_t type, const void *payload, size_t length);

/* ... or refuses it; `error` is a link_error_code, `detail` is explained there. */
void requests_refuse(app_t *app, uint8_t error, uint32_t detail);

#endif
