// SPDX-License-Identifier: Apache-2.0
//
// fuzz_cobs.c: any bytes into the COBS decoder, and any bytes through the encoder and back.
// Promises (docs/security.md): S1, S2.
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "link_cobs.h"

typedef struct {
    uint8_t *data;
    size_t length;
    size_t room;
} collected_t;

static void collect(void *context, const uint8_t *data, size_t length) {
    collected_t *collected = context;
    CHECK(length <= LINK_COBS_FULL_BLOCK + 1);
    CHECK(length <= collected->room - collected->length);
    memcpy(collected->data + collected->length, data, length);
    collected->length += length;
}

// What is no encoding is refused; what is one decodes within its own bytes.
static void decode(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);  // of the exact size: the sanitizer sees one byte beyond
    size_t decoded = 0;
    memcpy(copy, data, size);
    copy = realloc(copy, size > 0 ? size : 1);
    if (link_cobs_decode(copy, size, &decoded)) {
        CHECK(size > 0 && decoded < size);
    }
    free(copy);
}

// The encoding is as long as promised, holds no 0x00 inside, and decodes to what went in.
static void round_trip(const uint8_t *data, size_t size, size_t cut) {
    const size_t most = LINK_COBS_ENCODED_SIZE(size) + 2;
    collected_t collected = {malloc(most), 0, most};
    link_cobs_encoder_t encoder;
    size_t decoded = 0;
    link_cobs_encoder_start(&encoder, collect, &collected);
    link_cobs_encoder_add(&encoder, data, cut);
    link_cobs_encoder_add(&encoder, data + cut, size - cut);
    link_cobs_encoder_finish(&encoder);
    CHECK(collected.data[0] == 0 && collected.data[collected.length - 1] == 0);
    CHECK(memchr(collected.data + 1, 0, collected.length - 2) == NULL);
    CHECK(link_cobs_decode(collected.data + 1, collected.length - 2, &decoded));
    CHECK(decoded == size && memcmp(collected.data + 2, data, size) == 0);
    free(collected.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    decode(data, size);
    round_trip(data, size, size > 0 ? data[0] % size : 0);
    return 0;
}
