/* SPDX-License-Identifier: Apache-2.0 */
/* The application: bytes come in, frames go to requests.c, lines of text to console.c, commands of
 * a benchmark's runner to mlperf.c. */
#ifndef APP_H
#define APP_H

#include "link_reader.h"
#include "mlperf.h"
#include "outlet.h"
#include "session.h"

typedef struct {
    link_reader_t reader;
    outlet_t outlet;
    session_t session;
    mlperf_t mlperf;
} app_t;

/* Binds the application to its model and announces the boot, and the fault before it if there
 * was one. The board is up. */
void app_init(app_t *app, const w2s_model *model);

/* Handles what has come in, and sleeps for a moment where nothing has. Call for ever. */
void app_poll(app_t *app);

/* Sends the fault that ended the last run as an event, if there was one. */
void app_report_fault(app_t *app);

#endif
