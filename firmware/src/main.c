/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"
#include "board.h"

/* Generated from the int8 .tflite: models/NAME/c/weights.c. */
extern const w2s_model w2s_model_data;

static app_t app;

int main(void) {
    board_init();
    app_init(&app, &w2s_model_data);
    for (;;) {
        board_watchdog_kick();
        app_poll(&app);
    }
}
