// SPDX-License-Identifier: Apache-2.0
//
// wav2small.h: arousal, dominance and valence from 16 kHz speech, on integers.
//
//   int16 PCM -> log-mel rows -> int8 rows -> attention sums -> A/D/V
//
// Everything is row by row: memory does not grow with the audio. No heap, no floating point, no
// libc beyond <string.h>. The same sources run on the device and, compiled natively, in the
// Python package, and give the same bits. The network is Wav2Small (arXiv 2408.13920).
#ifndef WAV2SMALL_H
#define WAV2SMALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Version ///

// Of this interface. The model has its own: the SHA-256 of the .tflite that it was made from.
#define W2S_VERSION_MAJOR 0
#define W2S_VERSION_MINOR 1

/// Shapes ///

#define W2S_SAMPLE_RATE 16000
#define W2S_FRAME 64  // samples in a frame: 4 ms
#define W2S_HOP 32    // samples from frame to frame: 2 ms, 500 frames a second
#define W2S_MEL 26    // mel bands; band 0 is empty in Wav2Small, a constant -100 dB
#define W2S_CHANNELS 13
#define W2S_BANDS 13                         // mel bands after the pool
#define W2S_WIDE (W2S_BANDS * W2S_CHANNELS)  // 169: a row of `lin` or of `sof`
#define W2S_CONVS 7                          // l1 .. l7; the pool follows l3
#define W2S_OUTPUTS 3                        // arousal, dominance, valence, in this order

/// Tunables ///

// Rows of `lin`/`sof` in a segment of the attention sums: 125 are half a second. The int32 sums
// of attention.h hold 128 at most.
#define W2S_SEGMENT_ROWS 125

// Segments kept for the sliding window: the longest window, in half seconds; 1.5 KB each.
#ifndef W2S_SEGMENTS
#define W2S_SEGMENTS 8
#endif

// Seconds of log-mel kept for W2S_NORM_BUFFERED: 13 KB each; 0 leaves the mode out.
#ifndef W2S_BUFFER_SECONDS
#define W2S_BUFFER_SECONDS 0
#endif

// Longest audio that one answer may sum over, in rows of 4 ms: 4.6 hours. Keeps the 64-bit sums
// clear of overflow (attention.h). Windows of live audio have no such limit.
#define W2S_MAX_ROWS (1u << 22)

/// Errors ///

typedef enum {
    W2S_OK = 0,
    W2S_E_ARG = -1,    // a null pointer, an unknown mode, statistics that cannot be
    W2S_E_STATE = -2,  // push or finish without start, or after finish
    W2S_E_SHORT = -3,  // not one whole frame, or not one whole segment, to answer from
    W2S_E_LONG = -4,   // more than W2S_MAX_ROWS, or than the log-mel buffer holds
    W2S_E_MODEL = -5,  // the model is not of a shape that this library runs
} w2s_status;

/// The model: constants that the generator writes from the int8 .tflite ///

typedef enum { W2S_ARCH_72K = 0, W2S_ARCH_17K = 1 } w2s_architecture;

// A convolution. Requantisation is TFLite's: Q31 multiplier, then a power of two, each rounded.
typedef struct {
    const int8_t *weight;       // [out][ky][kx][in]
    const int32_t *bias;        // [out], minus zero_in * sum(weight): rows go in as they are
    const int32_t *multiplier;  // [out], Q31
    const int8_t *shift;        // [out], the power of two after it
    int8_t zero_in;             // int8 value of real 0: what padding holds
    int8_t zero_out;
    int8_t minimum;  // zero_out where a ReLU is fused, else -128
    uint8_t in_channels;
} w2s_layer;

typedef struct {
    const char *name;
    uint8_t sha256[32];  // of the int8 .tflite
    w2s_architecture architecture;
    int32_t input_multiplier;  // Q24: int8 steps in 1/128 dB
    int8_t input_zero;
    w2s_layer conv[W2S_CONVS];
    w2s_layer lin, sof;          // 72K: [169][169]; 17K: [13][13]
    const uint32_t *exp_table;   // [256]: exp(-d * scale of sof) in Q16
    const int32_t *head_weight;  // [3][169] by row order of lin, times the scale of lin
    const int32_t *gram_weight;  // 17K: [3][13][13], for X X^T, times its square; else NULL
    uint8_t head_shift;          // head_weight is in Q(head_shift)
    uint8_t gram_shift;
    int32_t head_bias[W2S_OUTPUTS];  // Q24
    const void *packed;              // weights as a kernel set wants them; NULL for the portable
} w2s_model;

/// Taps: any layer's rows, as they pass ///

typedef enum {
    W2S_TAP_LOGMEL = 0,  // int16[26], 1/128 dB, normalised
    W2S_TAP_INPUT = 1,   // int8[26]
    W2S_TAP_L1 = 2,      // int8[26][13]: l1 .. l3
    W2S_TAP_L4 = 5,      // int8[13][13]: l4 .. l7
    W2S_TAP_POOL = 9,    // int8[13][13], between l3 and l4
    W2S_TAP_LIN = 10,    // int8[169]; 17K: [mel][channel]
    W2S_TAP_SOF = 11,
    W2S_TAPS = 12,
} w2s_tap;

// Called for every row of a tapped layer. `row` counts from 0 since w2s_start; `data` holds only
// during the call.
typedef void (*w2s_tap_fn)(void *user, w2s_tap layer, uint32_t row, const void *data, size_t bytes);

/// Time spent ///

// A free-running counter in any unit (cycles, ticks): see w2s_set_clock.
typedef uint64_t (*w2s_clock_fn)(void);

/// Normalisation ///

typedef enum {
    W2S_NORM_GIVEN = 0,  // by the mean and variance of the whole utterance, which come ahead
    W2S_NORM_LIVE = 1,   // by a running mean and variance of what was heard so far
    // By the variance of the utterance, from a log-mel buffer of W2S_BUFFER_SECONDS in steps of
    // half a decibel; the mean is the running one.
    W2S_NORM_BUFFERED = 2,
} w2s_norm;

// Sums over an utterance of int16 samples.
typedef struct {
    uint64_t samples;
    int64_t sum;
    uint64_t sum_squares;
} w2s_stats;

/// State ///

#include "kernels/kernels.h"

// Statistics that normalise a frame.
typedef struct {
    w2s_stats total;  // all whole hops since the start
    uint32_t hops;
    int64_t mean;        // running mean of the sum of a hop, Q24
    int64_t power;       // running mean of the sum of squares of a hop, Q24
    int32_t mean_q14;    // mean of a sample, Q14
    int32_t log2_scale;  // log2 of the variance of a sample (with its epsilon), Q16
} w2s_norm_state;

// Attention sums of a segment, per entry of the row: sum of exp(sof - peak) * lin and of
// exp(sof - peak), weights in Q16.
typedef struct {
    struct {
        int32_t weighted;
        uint32_t weight;
    } sum[W2S_WIDE];
    int8_t peak[W2S_WIDE];
} w2s_segment;

typedef struct {
    int64_t weighted[W2S_WIDE];
    int64_t weight[W2S_WIDE];
    int8_t peak[W2S_WIDE];
} w2s_sums;

// All that an utterance or a stream needs. Its size is a constant: place it where you like.
// Fields are the library's own; read them in a debugger only.
typedef struct w2s_context {
    const w2s_model *model;
    w2s_tap_fn tap;
    void *tap_user;
    uint32_t tap_mask;
    w2s_clock_fn clock;
    uint64_t ticks[W2S_TAPS];

    uint8_t state;
    uint8_t norm;
    uint32_t hop_filled;       // samples of the hop under way
    uint32_t hops;             // whole hops since the start
    int16_t frame[W2S_FRAME];  // the hop before and the one under way
    uint32_t used[2];          // bits that their samples use (w2s_norm_hop)
    w2s_norm_state statistics;

    uint32_t frames;          // log-mel rows so far
    uint32_t rows[W2S_TAPS];  // rows of each layer so far
    w2s_kernel_state kernel;

    w2s_sums sums;                       // of finished segments of the utterance
    w2s_segment segments[W2S_SEGMENTS];  // ring of the latest; the current one is in it
    uint32_t segment;                    // finished segments
    uint32_t segment_rows;               // rows in the current one
#if W2S_BUFFER_SECONDS > 0
    uint8_t buffer[W2S_BUFFER_SECONDS * (W2S_SAMPLE_RATE / W2S_HOP)][W2S_MEL];
#endif
} w2s_context;

/// Interface ///

// An answer in Q16: 65536 is 1.0. About 0 .. 1, not clamped.
typedef struct {
    int32_t arousal, dominance, valence;
} w2s_adv;

// Binds a context to a model. W2S_E_MODEL where the model is not one that this library runs.
w2s_status w2s_init(w2s_context *ctx, const w2s_model *model);

// Begins an utterance or a stream, whatever went before. `stats` is for W2S_NORM_GIVEN, else NULL.
w2s_status w2s_start(w2s_context *ctx, w2s_norm norm, const w2s_stats *stats);

// Takes `count` samples, any number, and runs every row that they complete.
w2s_status w2s_push(w2s_context *ctx, const int16_t *pcm, size_t count);

// Ends the utterance (zero padding after its last row) and answers over all of it.
w2s_status w2s_finish(w2s_context *ctx, w2s_adv *adv);

// Finished segments of half a second since the start. Watch it to know when a window is due.
uint32_t w2s_segments(const w2s_context *ctx);

// Answers over the last `segments` finished segments (fewer at the beginning; at most
// W2S_SEGMENTS - 1 while one is under way). W2S_E_SHORT before the first is finished.
w2s_status w2s_window(w2s_context *ctx, uint32_t segments, w2s_adv *adv);

// Rows of a layer since the start; LOGMEL counts frames.
uint32_t w2s_rows(const w2s_context *ctx, w2s_tap layer);

// Calls `tap` for the layers whose bit (1 << w2s_tap) is set; 0 or NULL for none. Survives start.
void w2s_set_tap(w2s_context *ctx, w2s_tap_fn tap, void *user, uint32_t mask);

// Adds what `clock` counts to ticks[] of each layer (LOGMEL is the front end, L1 also quantises
// its input, INPUT is the attention pool and head); NULL for none. w2s_ticks reads them, w2s_start
// clears them.
void w2s_set_clock(w2s_context *ctx, w2s_clock_fn clock);
uint64_t w2s_ticks(const w2s_context *ctx, w2s_tap layer);

// Statistics of `count` samples, added to `stats` (zero it first).
void w2s_stats_add(w2s_stats *stats, const int16_t *pcm, size_t count);

#ifdef __cplusplus
}
#endif
#endif
