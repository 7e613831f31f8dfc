// SPDX-License-Identifier: Apache-2.0
//
// run_clip.c: int16 samples on standard input through the library; A/D/V in Q16 on standard
// output, of the utterance live, and of every half second. The first argument is the block size.
#include <stdio.h>
#include <stdlib.h>

#include "weights.h"

static w2s_context context;

static void check(w2s_status status) {
    if (status == W2S_OK) return;
    fprintf(stderr, "status %d\n", status);
    exit(1);
}

static void print(w2s_adv adv) {
    printf("%d %d %d\n", (int)adv.arousal, (int)adv.dominance, (int)adv.valence);
}

int main(int argc, char **argv) {
    int16_t block[4096];
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 320, count;
    uint32_t segments = 0;
    w2s_adv adv;
    check(w2s_init(&context, &w2s_model_data));
    check(w2s_start(&context, W2S_NORM_LIVE, NULL));
    while ((count = fread(block, sizeof *block, size, stdin)) > 0) {
        check(w2s_push(&context, block, count));
        if (w2s_segments(&context) == segments) continue;
        segments = w2s_segments(&context);
        check(w2s_window(&context, 2, &adv));
        print(adv);
    }
    check(w2s_finish(&context, &adv));
    print(adv);
    return 0;
}
