// SPDX-License-Identifier: Apache-2.0
//
// attention.c: see attention.h. host/wav2small_micro/attention.py is its independent twin.
#include "attention.h"

#include <string.h>

// x * weight / 2^16, rounded to nearest, halves up.
static int64_t scale(int64_t x, uint32_t weight) { return (x * (int64_t)weight + 32768) >> 16; }

void w2s_segment_reset(w2s_segment *segment) {
    memset(segment, 0, sizeof *segment);
    memset(segment->peak, -128, sizeof segment->peak);
}

void w2s_segment_add(w2s_segment *segment, const w2s_model *model, const int8_t *lin,
                     const int8_t *sof) {
    const uint32_t *table = model->exp_table;
    const int32_t zero = model->lin.zero_out;
    for (unsigned k = 0; k < W2S_WIDE; k++) {
        int32_t weighted = segment->sum[k].weighted;
        uint32_t weight = segment->sum[k].weight, added = 65536;
        int distance = segment->peak[k] - sof[k];
        if (distance >= 0) {
            added = table[distance];
        } else {
            segment->peak[k] = sof[k];
            weighted = (int32_t)scale(weighted, table[-distance]);
            weight = (uint32_t)scale(weight, table[-distance]);
        }
        segment->sum[k].weighted = weighted + (int32_t)added * (lin[k] - zero);
        segment->sum[k].weight = weight + added;
    }
}

void w2s_sums_reset(w2s_sums *sums) {
    memset(sums, 0, sizeof *sums);
    memset(sums->peak, -128, sizeof sums->peak);
}

// One entry of the sums, in hand.
typedef struct {
    int64_t weighted, weight;
    int peak;
} entry;

static void add_to(entry *sum, const uint32_t *table, const w2s_segment *segment, unsigned k) {
    int distance = segment->peak[k] - sum->peak;
    if (distance > 0) {
        sum->weighted = scale(sum->weighted, table[distance]);
        sum->weight = scale(sum->weight, table[distance]);
        sum->peak = segment->peak[k];
        distance = 0;
    }
    sum->weighted += scale(segment->sum[k].weighted, table[-distance]);
    sum->weight += scale(segment->sum[k].weight, table[-distance]);
}

void w2s_sums_add(w2s_sums *sums, const w2s_model *model, const w2s_segment *segment) {
    for (unsigned k = 0; k < W2S_WIDE; k++) {
        entry sum = {sums->weighted[k], sums->weight[k], sums->peak[k]};
        add_to(&sum, model->exp_table, segment, k);
        sums->weighted[k] = sum.weighted;
        sums->weight[k] = sum.weight;
        sums->peak[k] = (int8_t)sum.peak;
    }
}

// x / d, for x < 2^50 and d < 2^26 by digits of six bits: a core that divides words in hardware
// takes a fraction of the time of a 64-bit division.
static uint32_t divide(uint64_t x, uint64_t d) {
    if (d >> 26 != 0 || x >> 50 != 0) return (uint32_t)(x / d);
    uint32_t by = (uint32_t)d, rest = (uint32_t)(x >> 18), quotient = rest / by;
    for (int digit = 12; digit >= 0; digit -= 6) {
        rest = (rest % by) << 6 | ((uint32_t)(x >> digit) & 63u);
        quotient = quotient << 6 | rest / by;
    }
    return quotient;
}

// weighted / weight in Q12, rounded to nearest, halves away from zero: |result| <= 255 * 2^12.
static int32_t average_q12(int64_t weighted, int64_t weight) {
    uint64_t x = (uint64_t)(weighted < 0 ? -weighted : weighted) * 4096;
    int32_t average = (int32_t)divide(x + (uint64_t)weight / 2, (uint64_t)weight);
    return weighted < 0 ? -average : average;
}

void w2s_sums_average(const w2s_sums *sums, int32_t x[W2S_WIDE]) {
    for (unsigned k = 0; k < W2S_WIDE; k++) x[k] = average_q12(sums->weighted[k], sums->weight[k]);
}

void w2s_window_average(const w2s_segment ring[W2S_SEGMENTS], uint32_t end, uint32_t count,
                        const w2s_model *model, int32_t x[W2S_WIDE]) {
    for (unsigned k = 0; k < W2S_WIDE; k++) {
        entry sum = {0, 0, -128};
        for (uint32_t i = end - count; i < end; i++) {
            add_to(&sum, model->exp_table, &ring[i % W2S_SEGMENTS], k);
        }
        x[k] = average_q12(sum.weighted, sum.weight);
    }
}

// acc * 2^-shift, rounded to nearest, halves up.
static int64_t round_shift(int64_t acc, unsigned shift) {
    return (acc + ((int64_t)1 << (shift - 1))) >> shift;
}

// Products of X X^T with the gram weights: sum over channel pairs of <x_i, x_j> w_ij. The rows
// of X lie [band][channel]; inner products are Q12, below 2^32.
static void gram(const int32_t x[W2S_WIDE], const int32_t *weight, int64_t acc[W2S_OUTPUTS]) {
    for (unsigned i = 0; i < W2S_CHANNELS; i++) {
        for (unsigned j = 0; j < W2S_CHANNELS; j++) {
            int64_t inner = 0;
            for (unsigned band = 0; band < W2S_BANDS; band++) {
                const int32_t *row = x + band * W2S_CHANNELS;
                inner += (int64_t)row[i] * row[j];
            }
            inner = round_shift(inner, 12);
            for (unsigned o = 0; o < W2S_OUTPUTS; o++) {
                acc[o] += inner * weight[(o * W2S_CHANNELS + i) * W2S_CHANNELS + j];
            }
        }
    }
}

void w2s_head(const int32_t x[W2S_WIDE], const w2s_model *model, w2s_adv *adv) {
    int64_t acc[W2S_OUTPUTS] = {0}, acc_gram[W2S_OUTPUTS] = {0};
    int32_t answer[W2S_OUTPUTS];
    for (unsigned o = 0; o < W2S_OUTPUTS; o++) {
        const int32_t *weight = model->head_weight + o * W2S_WIDE;
        for (unsigned k = 0; k < W2S_WIDE; k++) acc[o] += (int64_t)x[k] * weight[k];
    }
    if (model->gram_weight != NULL) gram(x, model->gram_weight, acc_gram);
    for (unsigned o = 0; o < W2S_OUTPUTS; o++) {
        // Q(12 + shift) to Q24, add up, to Q16; shifts are at least 13 (the generator sees to it)
        int64_t sum = model->head_bias[o] + round_shift(acc[o], model->head_shift - 12u);
        if (model->gram_weight != NULL) sum += round_shift(acc_gram[o], model->gram_shift - 12u);
        answer[o] = (int32_t)round_shift(sum, 8);
    }
    adv->arousal = answer[0];
    adv->dominance = answer[1];
    adv->valence = answer[2];
}
