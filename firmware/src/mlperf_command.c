/* SPDX-License-Identifier: Apache-2.0 */
#include "mlperf_command.h"

#include <stdbool.h>
#include <string.h>

/// Words ///

typedef struct {
    const char *text;
    size_t length; /* 0: there is none */
} word_t;

typedef struct {
    const char *at;
    size_t left;
} cursor_t;

static word_t next_word(cursor_t *cursor) {
    while (cursor->left > 0 && *cursor->at == ' ') {
        ++cursor->at;
        --cursor->left;
    }
    word_t word = {cursor->at, 0};
    while (cursor->left > 0 && *cursor->at != ' ') {
        ++cursor->at;
        --cursor->left;
        ++word.length;
    }
    return word;
}

static bool is(word_t word, const char *text) {
    return word.length == strlen(text) && memcmp(word.text, text, word.length) == 0;
}

static void complain(mlperf_command_t *command, const char *complaint) {
    command->verb = MLPERF_MALFORMED;
    command->complaint = complaint;
}

/* Nothing may follow. */
static void end(cursor_t *cursor, mlperf_command_t *command) {
    if (command->verb != MLPERF_MALFORMED && next_word(cursor).length > 0) {
        complain(command, "Too many words");
    }
}

/// Numbers ///

/* A decimal number below 2^32. */
static bool read_number(word_t word, uint32_t *number) {
    uint64_t sum = 0;
    for (size_t i = 0; i < word.length; ++i) {
        const char digit = word.text[i];
        if (digit < '0' || digit > '9') {
            return false;
        }
        sum = sum * 10u + (uint64_t)(digit - '0');
        if (sum > UINT32_MAX) {
            return false;
        }
    }
    *number = (uint32_t)sum;
    return word.length > 0;
}

/* Takes a number that need not be there. */
static void take_number(cursor_t *cursor, mlperf_command_t *command, uint32_t *number) {
    const word_t word = next_word(cursor);
    if (word.length > 0 && !read_number(word, number)) {
        complain(command, "Not a decimal number below 2^32");
    }
}

/* The value of a hexadecimal digit, or -1. */
static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

/// Commands ///

static void read_load(cursor_t *cursor, mlperf_command_t *command) {
    command->verb = MLPERF_DB_LOAD;
    take_number(cursor, command, &command->first);
    if (command->verb == MLPERF_DB_LOAD && command->first == 0) {
        complain(command, "Command 'db load' needs a number of bytes above 0");
    }
}

static void read_print(cursor_t *cursor, mlperf_command_t *command) {
    command->verb = MLPERF_DB_PRINT;
    command->first = MLPERF_EVERYTHING;
    take_number(cursor, command, &command->first);
    take_number(cursor, command, &command->second);
}

static void read_data(word_t digits, mlperf_command_t *command) {
    command->verb = MLPERF_DB_DATA;
    if (digits.length % 2 != 0) {
        complain(command, "Odd number of hex digits");
        return;
    }
    if (digits.length / 2 > MLPERF_MAX_BYTES) {
        complain(command, "Too many hex digits");
        return;
    }
    for (size_t i = 0; i < digits.length; i += 2) {
        const int high = hex_value(digits.text[i]);
        const int low = hex_value(digits.text[i + 1]);
        if (high < 0 || low < 0) {
            complain(command, "Not a hex digit");
            return;
        }
        command->bytes[command->count++] = (uint8_t)(high * 16 + low);
    }
}

static void read_buffer(cursor_t *cursor, mlperf_command_t *command) {
    const word_t word = next_word(cursor);
    if (word.length == 0) {
        complain(command, "Command 'db' needs 'load', 'print' or hex digits");
    } else if (is(word, "load")) {
        read_load(cursor, command);
    } else if (is(word, "print")) {
        read_print(cursor, command);
    } else {
        read_data(word, command);
    }
}

static void read_infer(cursor_t *cursor, mlperf_command_t *command) {
    command->verb = MLPERF_INFER;
    command->first = 1;
    command->second = MLPERF_DEFAULT_WARMUPS;
    take_number(cursor, command, &command->first);
    take_number(cursor, command, &command->second);
    if (command->verb == MLPERF_INFER && command->first == 0) {
        complain(command, "Command 'infer' needs a number of runs above 0");
    }
}

static void read_mode(cursor_t *cursor, mlperf_command_t *command) {
    const word_t word = next_word(cursor);
    if (word.length == 0) {
        command->verb = MLPERF_MODE;
    } else if (is(word, "performance")) {
        command->verb = MLPERF_MODE_PERFORMANCE;
    } else if (is(word, "energy")) {
        command->verb = MLPERF_MODE_ENERGY;
    } else {
        complain(command, "The modes are 'performance' and 'energy'");
    }
}

void mlperf_parse(const char *line, size_t length, mlperf_command_t *command) {
    static const struct {
        const char *word;
        mlperf_verb_t verb;
    } simple[] = {
        {"name", MLPERF_NAME}, {"profile", MLPERF_PROFILE}, {"timestamp", MLPERF_TIMESTAMP},
        {"help", MLPERF_HELP}, {"results", MLPERF_RESULTS},
    };
    cursor_t cursor = {line, length};
    const word_t word = next_word(&cursor);
    memset(command, 0, sizeof *command);
    command->verb = MLPERF_UNKNOWN;
    command->word = word.text;
    command->word_length = word.length;
    if (word.length == 0) {
        command->verb = MLPERF_EMPTY;
        return;
    }
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; ++i) {
        if (is(word, simple[i].word)) {
            command->verb = simple[i].verb;
        }
    }
    if (is(word, "db")) {
        read_buffer(&cursor, command);
    } else if (is(word, "infer")) {
        read_infer(&cursor, command);
    } else if (is(word, "mode")) {
        read_mode(&cursor, command);
    }
    if (command->verb != MLPERF_UNKNOWN) {
        end(&cursor, command);
    }
}
