/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a line of text for people, with integers only: printf would cost 20 KB of flash. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { TEXT_SIZE = 96 };

/* A line under way. What does not fit is left out. */
typedef struct {
    char characters[TEXT_SIZE];
    size_t length;
} text_t;

/* Begins with a copy of `string`. */
void text_start(text_t *text, const char *string);

/* Appends a string. */
void text_add(text_t *text, const char *string);

/* Appends a decimal number. */
void text_add_number(text_t *text, uint64_t number);

/* Appends `digits` hexadecimal digits, the lowest ones of `number`. */
void text_add_hex(text_t *text, uint32_t number, unsigned digits);

/* Appends a number in Q16 with `decimals` of them (9 at most), rounded to nearest: 34079 is 0.52.
 */
void text_add_q16(text_t *text, int32_t number, unsigned decimals);

#endif
