/* SPDX-License-Identifier: Apache-2.0 */
#include "mlperf_replies.h"

#include <string.h>

#include "outlet.h"
#include "version.h"

/* What the runner finds its test by. */
#define MODEL "w2s01"

enum {
    ROW_BYTES = 8,       /* of a line of bytes */
    ANSWER_DECIMALS = 5, /* 10^-5 is less than a step of Q16: the text tells the exact integer */
    LONGEST_ECHO = 40,   /* characters of an unknown command that are said again */
};

void mlperf_say_ready(void) { outlet_print("m-ready"); }

void mlperf_say_number(const char *before, uint64_t number, const char *after) {
    text_t line;
    text_start(&line, before);
    text_add_number(&line, number);
    text_add(&line, after);
    outlet_text(&line);
}

void mlperf_say_error(const char *complaint) {
    text_t line;
    text_start(&line, "e-[");
    text_add(&line, complaint);
    text_add(&line, "]");
    outlet_text(&line);
}

void mlperf_say_unknown(const char *word, size_t length) {
    char echo[LONGEST_ECHO + 1] = {0};
    text_t line;
    memcpy(echo, word, length < LONGEST_ECHO ? length : LONGEST_ECHO);
    text_start(&line, "e-[Unknown command: ");
    text_add(&line, echo);
    text_add(&line, "]");
    outlet_text(&line);
}

void mlperf_say_mode(bool energy) {
    outlet_print(energy ? "m-timestamp-mode-energy" : "m-timestamp-mode-performance");
}

void mlperf_say_profile(const w2s_model *model) {
    text_t line;
    text_start(&line, "m-profile-[Wav2Small Micro ");
    text_add_number(&line, FIRMWARE_VERSION_MAJOR);
    text_add(&line, ".");
    text_add_number(&line, FIRMWARE_VERSION_MINOR);
    text_add(&line, ".");
    text_add_number(&line, FIRMWARE_VERSION_PATCH);
    text_add(&line, ", ");
    text_add(&line, model->name);
    text_add(&line, "]");
    outlet_text(&line);
    outlet_print("m-model-[" MODEL "]");
}

void mlperf_say_help(void) {
    outlet_print("name         : which device this is");
    outlet_print("profile      : its firmware and its model");
    outlet_print("timestamp    : a time in us as m-lap-us-N, or a pulse of the marker");
    outlet_print("mode [M]     : performance (times as text) or energy (as pulses)");
    outlet_print("db load N    : expect N bytes: int16 samples, the low byte first, 16 kHz");
    outlet_print("db HH[HH]    : the next bytes");
    outlet_print("db print [N] [OFFSET] : N of them again, all without N");
    outlet_print("infer [N] [W]: N timed runs after W others; without them 1 and 10");
    outlet_print("results      : arousal, dominance, valence of the last run");
}

void mlperf_say_results(const w2s_adv *answer) {
    const int32_t values[W2S_OUTPUTS] = {answer->arousal, answer->dominance, answer->valence};
    text_t line;
    text_start(&line, "m-results-[");
    for (int i = 0; i < W2S_OUTPUTS; ++i) {
        text_add(&line, i > 0 ? "," : "");
        text_add_q16(&line, values[i], ANSWER_DECIMALS);
    }
    text_add(&line, "]");
    outlet_text(&line);
}

static void say_row(const uint8_t *bytes, uint32_t count) {
    text_t line;
    text_start(&line, "m-buffer");
    for (uint32_t i = 0; i < count; ++i) {
        text_add(&line, "-");
        text_add_hex(&line, bytes[i], 2);
    }
    outlet_text(&line);
}

void mlperf_say_bytes(const uint8_t *bytes, uint32_t count) {
    for (uint32_t done = 0; done < count; done += ROW_BYTES) {
        say_row(bytes + done, count - done < ROW_BYTES ? count - done : ROW_BYTES);
    }
}
