/* SPDX-License-Identifier: Apache-2.0 */
/* The same port for a person at a terminal: a few commands, answered in plain text. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "app.h"

/* Says who is here. */
void console_greet(const app_t *app);

/* Carries out one line. */
void console_handle(app_t *app, const char *line);

#endif
