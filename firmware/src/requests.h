/* SPDX-License-Identifier: Apache-2.0 */
/* Answers the requests of the host, one handler a message. */
#ifndef REQUESTS_H
#define REQUESTS_H

#include "app.h"

/* Carries out the request that the reader holds. Every request gets exactly one reply, an ERROR
 * where it cannot be carried out; what a session sends on the way comes before it. */
void requests_handle(app_t *app);

#endif
