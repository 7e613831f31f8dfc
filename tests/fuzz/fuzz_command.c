// SPDX-License-Identifier: Apache-2.0
//
// fuzz_command.c: any line into the parser of MLPerf Tiny's text commands.
// Promises (docs/security.md): S1.
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "mlperf_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *line = malloc(size > 0 ? size : 1);  // of the exact size: the sanitizer sees one beyond
    mlperf_command_t command;
    memcpy(line, data, size);
    memset(&command, 0xA5, sizeof command);  // nothing may depend on zeroed memory
    mlperf_parse(line, size, &command);
    CHECK(command.verb <= MLPERF_MALFORMED);
    if (command.verb == MLPERF_DB_DATA) {
        CHECK(command.count > 0 && command.count <= sizeof command.bytes);
    }
    if (command.verb == MLPERF_UNKNOWN) {
        CHECK(command.word >= line && command.word + command.word_length <= line + size);
    }
    if (command.verb == MLPERF_MALFORMED) {
        CHECK(command.complaint != NULL && strlen(command.complaint) < 80);
    }
    free(line);
    return 0;
}
