/* SPDX-License-Identifier: Apache-2.0 */
#include "console.h"

#include <stdbool.h>
#include <string.h>

#include "board.h"
#include "messages.h"
#include "version.h"

enum { LABEL_WIDTH = 20 };

/// Building blocks ///

static void start_row(text_t *line, const char *label) {
    text_start(line, "  ");
    text_add(line, label);
    while (line->length < LABEL_WIDTH) {
        text_add(line, " ");
    }
}

static void print_string(const char *label, const char *value) {
    text_t line;
    start_row(&line, label);
    text_add(&line, value);
    outlet_text(&line);
}

static void print_number(const char *label, uint64_t value, const char *unit) {
    text_t line;
    start_row(&line, label);
    text_add_number(&line, value);
    text_add(&line, unit);
    outlet_text(&line);
}

static const char *reset_cause(uint8_t cause) {
    static const char *const names[] = {
        [LINK_RESET_CAUSE_UNKNOWN] = "unknown cause", [LINK_RESET_CAUSE_POWER_ON] = "power on",
        [LINK_RESET_CAUSE_PIN] = "reset pin",         [LINK_RESET_CAUSE_SOFTWARE] = "software",
        [LINK_RESET_CAUSE_WATCHDOG] = "watchdog",     [LINK_RESET_CAUSE_FAULT] = "fault",
        [LINK_RESET_CAUSE_LOW_POWER] = "low power",
    };
    return cause < sizeof names / sizeof names[0] ? names[cause] : names[0];
}

/// Commands ///

static void command_help(app_t *app) {
    (void)app;
    outlet_print("help        this list");
    outlet_print("info        firmware, board and model");
    outlet_print("counters    what the link, the stack and the last session counted");
    outlet_print("live on     print A/D/V each half second of live audio");
    outlet_print("live off    no longer");
    outlet_print("listen on   hear the board's own microphone, and print A/D/V");
    outlet_print("listen off  no longer");
    outlet_print("reset       start anew");
    outlet_print("help%       the commands of MLPerf Tiny");
}

static void print_fault(void) {
    const board_fault_t *fault = board_last_fault();
    if (fault == NULL) {
        return;
    }
    text_t line;
    start_row(&line, "fault");
    text_add(&line, "kind ");
    text_add_number(&line, fault->kind);
    text_add(&line, " at pc 0x");
    text_add_hex(&line, fault->pc, 8);
    text_add(&line, " lr 0x");
    text_add_hex(&line, fault->lr, 8);
    text_add(&line, " cfsr 0x");
    text_add_hex(&line, fault->cfsr, 8);
    outlet_text(&line);
}

static void print_model_hash(const w2s_model *model) {
    text_t line;
    start_row(&line, "sha256");
    for (size_t i = 0; i < sizeof model->sha256; ++i) {
        text_add_hex(&line, model->sha256[i], 2);
    }
    outlet_text(&line);
}

static void command_info(app_t *app) {
    const board_facts_t *facts = board_facts();
    const w2s_model *model = app->session.model;
    console_greet(app);
    print_number("protocol", LINK_PROTOCOL_VERSION, "");
    print_string("board", facts->name);
    print_number("clock", facts->clock_hz, " Hz");
    print_string("runs",
                 (facts->flags & BOARD_FLAG_EMULATED) != 0 ? "in an emulator" : "on silicon");
    print_string("started by", reset_cause(facts->reset_cause));
    print_number("boot", facts->boot_id, "");
    print_string("model", model->name);
    print_model_hash(model);
    print_fault();
}

static void command_counters(app_t *app) {
    const link_reader_counters_t *received = &app->reader.counters;
    const session_t *session = &app->session;
    const session_ticks_t ticks = session_ticks(session);
    print_number("frames received", received->frames_ok, "");
    print_number("crc errors", received->crc_errors, "");
    print_number("framing errors", received->framing_errors, "");
    print_number("bytes overrun", board_rx_overruns(), "");
    print_number("uart errors", board_uart_errors(), "");
    print_number("samples overrun", board_microphone_overruns(), "");
    print_number("frames sent", app->outlet.writer.frames, "");
    print_number("blocks accepted", session->blocks.accepted, "");
    print_number("blocks repeated", session->blocks.repeated, "");
    print_number("blocks refused", session->blocks.refused, "");
    print_number("stack used", board_stack_high_water(), " bytes");
    print_number("stack size", board_stack_size(), " bytes");
    print_number("samples", session->samples, "");
    print_number("front end", ticks.front_end, " ticks");
    print_number("network", ticks.network, " ticks");
    print_number("attention pool", ticks.pool, " ticks");
    print_number("total", ticks.total, " ticks");
    print_number("tick rate", board_facts()->tick_hz, " Hz");
}

static void command_live_on(app_t *app) {
    app->session.print_windows = true;
    outlet_print("live on: lines come while a live session runs");
}

static void command_live_off(app_t *app) {
    app->session.print_windows = false;
    outlet_print("live off");
}

static void command_listen_on(app_t *app) {
    const link_start_t request = {
        .session = SESSION_OF_CONSOLE,
        .norm = LINK_NORM_LIVE,
        .source = LINK_SOURCE_MICROPHONE,
    };
    if ((board_facts()->flags & BOARD_FLAG_MICROPHONE) == 0) {
        outlet_print("This board has no microphone.");
    } else if (session_start(&app->session, &request) != W2S_OK ||
               !session_hear(&app->session, false)) {
        outlet_print("The microphone does not start.");
    } else {
        outlet_print("listening: the first line comes in a second");
    }
}

static void command_listen_off(app_t *app) {
    if (app->session.hears && app->session.id == SESSION_OF_CONSOLE) {
        session_stop(&app->session);
    }
    outlet_print("listen off");
}

static void command_reset(app_t *app) {
    (void)app;
    outlet_print("resetting");
    board_reset();
}

/// Interface ///

void console_greet(const app_t *app) {
    text_t line;
    text_start(&line, "Wav2Small Micro ");
    text_add_number(&line, FIRMWARE_VERSION_MAJOR);
    text_add(&line, ".");
    text_add_number(&line, FIRMWARE_VERSION_MINOR);
    text_add(&line, ".");
    text_add_number(&line, FIRMWARE_VERSION_PATCH);
    text_add(&line, ", ");
    text_add(&line, app->session.model->name);
    text_add(&line, " on ");
    text_add(&line, board_facts()->name);
    text_add(&line, ". Type help.");
    outlet_text(&line);
}

void console_handle(app_t *app, const char *line) {
    static const struct {
        const char *name;
        void (*run)(app_t *app);
    } commands[] = {
        {"help", command_help},
        {"info", command_info},
        {"counters", command_counters},
        {"live on", command_live_on},
        {"live off", command_live_off},
        {"listen on", command_listen_on},
        {"listen off", command_listen_off},
        {"reset", command_reset},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; ++i) {
        if (strcmp(line, commands[i].name) == 0) {
            commands[i].run(app);
            return;
        }
    }
    outlet_print("Unknown command. Type help.");
}
