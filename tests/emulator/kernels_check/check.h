/*
 * What main.c and the sets' own model_*.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CHECK_H
#define CHECK_H

#include "wav2small.h"

/* Waits for so many bytes from the other side. */
void check_get(void *into, size_t count);

/* Takes the packed weights of a model. They stay until the next call. */
const w2s_packed_weights *check_get_weights(w2s_architecture architecture);

#endif
