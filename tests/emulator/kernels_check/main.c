/*
 * Fast kernels under test: a model and rows in, every layer's rows out. test_kernels.py is the
 * other side.
 *
 *   in   job_t, weights as the kernel set packs them (model_*.c), rows of 26 bytes
 *   out  of every row of every layer: its number, then its bytes; END
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "board.h"
#include "check.h"
#include "flow.h"

#define END 0xFFu

typedef struct {
    uint32_t architecture;
    int32_t input_zero;
    uint32_t rows;
} job_t;

static w2s_model model;
static w2s_context context;
/* What comes after lin and sof is not looked at: it gets tables of zeros. */
static const uint32_t no_table[256];
static const int32_t no_gram[1];

void check_get(void *into, size_t count) {
    uint8_t *at = into;
    while (count > 0) {
        const size_t got = board_read(at, count, true);
        at += got;
        count -= got;
    }
}

static void put_row(void *user, w2s_tap layer, uint32_t row, const void *data, size_t bytes) {
    (void)user;
    (void)row;
    const uint8_t number = (uint8_t)layer;
    board_write(&number, 1);
    board_write(data, bytes);
}

static void get_model(const job_t *job) {
    memset(&model, 0, sizeof model);
    model.architecture = (w2s_architecture)job->architecture;
    model.input_zero = (int8_t)job->input_zero;
    model.exp_table = no_table;
    model.gram_weight = job->architecture == W2S_ARCH_72K ? NULL : no_gram;
    model.packed = check_get_weights(model.architecture);
}

static void run(uint32_t rows) {
    int8_t row[W2S_MEL];
    w2s_set_tap(&context, put_row, NULL, ~(1u << W2S_TAP_INPUT));
    for (; rows > 0; rows--) {
        check_get(row, sizeof row);
        w2s_offer(&context, W2S_TAP_INPUT, row, sizeof row);
        w2s_network_row(&context, row);
    }
    w2s_network_finish(&context);
}

int main(void) {
    const uint8_t end = END;
    board_init();
    for (;;) {
        job_t job;
        check_get(&job, sizeof job);
        get_model(&job);
        if (w2s_init(&context, &model) == W2S_OK &&
            w2s_start(&context, W2S_NORM_LIVE, NULL) == W2S_OK) {
            run(job.rows);
        }
        board_write(&end, 1);
    }
}
