/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"

#include "board.h"
#include "console.h"
#include "messages.h"
#include "requests.h"

enum { READ_SIZE = 128 }; /* of the stack; each piece costs some 300 cycles beside its bytes */

static void announce_boot(app_t *app) {
    const board_facts_t *facts = board_facts();
    const link_boot_t boot = {.boot_id = facts->boot_id, .reset_cause = facts->reset_cause};
    outlet_event(&app->outlet, LINK_BOOT, &boot, sizeof boot, NULL, 0);
}

void app_report_fault(app_t *app) {
    const board_fault_t *fault = board_last_fault();
    if (fault == NULL) {
        return;
    }
    const link_fault_t report = {
        .kind = fault->kind,
        .pc = fault->pc,
        .lr = fault->lr,
        .cfsr = fault->cfsr,
        .hfsr = fault->hfsr,
        .address = fault->address,
        .xpsr = fault->xpsr,
    };
    outlet_event(&app->outlet, LINK_FAULT, &report, sizeof report, NULL, 0);
}

void app_init(app_t *app, const w2s_model *model) {
    link_reader_init(&app->reader);
    outlet_init(&app->outlet);
    if (session_init(&app->session, model, &app->outlet) != W2S_OK) {
        /* A build of mixed versions. The link works; a START is refused. */
        outlet_print("This firmware cannot run its model: generate its weights anew.");
    }
    console_greet(app);
    mlperf_start(&app->mlperf, &app->session);
    if (!MLPERF_RUNNER) {
        announce_boot(app);
        app_report_fault(app);
    }
}

static void handle(app_t *app, link_reader_event_t event) {
    if (event != LINK_READER_NOTHING) {
        mlperf_interrupt(&app->mlperf);
    }
    switch (event) {
        case LINK_READER_FRAME:
            requests_handle(app);
            break;
        case LINK_READER_LINE:
            console_handle(app, link_reader_line(&app->reader));
            break;
        case LINK_READER_COMMAND:
            mlperf_handle(&app->mlperf, link_reader_line(&app->reader), app->reader.is_cut);
            break;
        case LINK_READER_NOTHING:
            break;
    }
}

void app_poll(app_t *app) {
    uint8_t bytes[READ_SIZE];
    const uint32_t begin = board_ms();
    const bool idle = !mlperf_is_busy(&app->mlperf) && !session_is_due(&app->session);
    const size_t count = board_read(bytes, sizeof bytes, idle);
    /* Only time spent listening is silence: while a request is at work, bytes wait unread. */
    link_reader_wait(&app->reader, board_ms() - begin);
    for (size_t taken = 0; taken < count;) {
        link_reader_event_t event;
        taken += link_reader_feed(&app->reader, bytes + taken, count - taken, &event);
        handle(app, event);
    }
    if (session_is_due(&app->session)) {
        session_take_heard(&app->session);
    }
    if (mlperf_is_busy(&app->mlperf)) {
        mlperf_step(&app->mlperf);
    }
}
