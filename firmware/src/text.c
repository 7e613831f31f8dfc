/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

static void add_character(text_t *text, char character) {
    if (text->length < TEXT_SIZE) {
        text->characters[text->length++] = character;
    }
}

void text_start(text_t *text, const char *string) {
    text->length = 0;
    text_add(text, string);
}

void text_add(text_t *text, const char *string) {
    for (; *string != '\0'; ++string) {
        add_character(text, *string);
    }
}

/* At least `least` digits, zeros in front. */
static void add_digits(text_t *text, uint64_t number, size_t least) {
    char digits[20]; /* of 2^64 - 1 */
    size_t count = 0;
    while (number != 0 || count < least) {
        digits[count++] = (char)('0' + (char)(number % 10u));
        number /= 10u;
    }
    while (count > 0) {
        add_character(text, digits[--count]);
    }
}

void text_add_number(text_t *text, uint64_t number) { add_digits(text, number, 1); }

void text_add_hex(text_t *text, uint32_t number, unsigned digits) {
    while (digits > 0) {
        --digits;
        add_character(text, "0123456789abcdef"[(number >> (4u * digits)) & 15u]);
    }
}

void text_add_q16(text_t *text, int32_t number, unsigned decimals) {
    uint64_t magnitude = number < 0 ? (uint64_t) - (int64_t)number : (uint64_t)number;
    uint64_t scale = 1;
    for (unsigned i = 0; i < decimals; ++i) {
        scale *= 10u;
    }
    const uint64_t scaled = (magnitude * scale + 0x8000u) >> 16;
    if (number < 0 && scaled > 0) {
        add_character(text, '-');
    }
    text_add_number(text, scaled / scale);
    add_character(text, '.');
    add_digits(text, scaled % scale, decimals);
}
