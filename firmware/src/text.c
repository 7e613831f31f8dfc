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

void text_add_number(text_t *text, uint64_t number) {
    char digits[20]; /* of 2^64 - 1 */
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + (char)(number % 10u));
        number /= 10u;
    } while (number != 0);
    while (count > 0) {
        add_character(text, digits[--count]);
    }
}

void text_add_hex(text_t *text, uint32_t number, unsigned digits) {
    while (digits > 0) {
        --digits;
        add_character(text, "0123456789abcdef"[(number >> (4u * digits)) & 15u]);
    }
}

void text_add_q16(text_t *text, int32_t number) {
    uint64_t magnitude = number < 0 ? (uint64_t) - (int64_t)number : (uint64_t)number;
    uint64_t hundredths = (magnitude * 100u + 0x8000u) >> 16;
    if (number < 0 && hundredths > 0) {
        add_character(text, '-');
    }
    text_add_number(text, hundredths / 100u);
    add_character(text, '.');
    add_character(text, (char)('0' + (char)(hundredths / 10u % 10u)));
    add_character(text, (char)('0' + (char)(hundredths % 10u)));
}
