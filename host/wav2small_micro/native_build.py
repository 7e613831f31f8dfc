# SPDX-License-Identifier: Apache-2.0
"""Builds ``wav2small_micro._native``: the firmware's own C library, compiled for the host.

With it the C for microphones, and a modulator that makes the bits of one.
And ``_native_dsp`` and ``_native_compact``, the same with the kernels for Cortex-M4, whose
assembler has a twin in C.

Run by setup.py at installation, without the package's dependencies. The declarations name only what
Python touches; the compiler checks them against the headers.
"""

from pathlib import Path

from cffi import FFI

LIBRARY = Path("firmware/lib/wav2small")
PDM_LIBRARY = Path("firmware/lib/pdm")
MODULATOR = Path("host/wav2small_micro/pdm")
BUFFER_SECONDS = 20
"""Log-mel buffer of the host's build, for the normalisation that the board offers as an option."""

DECLARATIONS = """

typedef struct {
    const int8_t *weight; const int32_t *bias; const int32_t *multiplier; const int8_t *shift;
    int8_t zero_in; int8_t zero_out; int8_t minimum; uint8_t in_channels; ...;
} w2s_layer;
typedef struct {
    const char *name; uint8_t sha256[32]; int architecture;
    int32_t input_multiplier; int8_t input_zero;
    w2s_layer conv[7]; w2s_layer lin, sof;
    const uint32_t *exp_table; const int32_t *head_weight; const int32_t *gram_weight;
    uint8_t head_shift; uint8_t gram_shift; int32_t head_bias[3]; const void *packed; ...;
} w2s_model;
typedef struct { uint64_t samples; int64_t sum; uint64_t sum_squares; } w2s_stats;
typedef struct { int32_t arousal, dominance, valence; } w2s_adv;
typedef struct { uint32_t frames; ...; } w2s_context;

static const int W2S_SEGMENTS, W2S_BUFFER_SECONDS;

int w2s_init(w2s_context *ctx, const w2s_model *model);
int w2s_start(w2s_context *ctx, int norm, const w2s_stats *stats);
int w2s_push(w2s_context *ctx, const int16_t *pcm, size_t count);
int w2s_finish(w2s_context *ctx, w2s_adv *adv);
uint32_t w2s_segments(const w2s_context *ctx);
int w2s_window(w2s_context *ctx, uint32_t segments, w2s_adv *adv);
void w2s_set_tap(w2s_context *ctx,
                 void (*tap)(void *, int, uint32_t, const void *, size_t),
                 void *user, uint32_t mask);
void w2s_stats_add(w2s_stats *stats, const int16_t *pcm, size_t count);

/* Rows of every tapped layer, appended to a buffer each: cheaper than a call into Python a row. */
typedef struct { uint8_t *data; size_t size; size_t used; } host_rows;
void host_collect(w2s_context *ctx, host_rows rows[12], uint32_t mask);

/* Internals, for tests. */
int32_t w2s_log2_q16(uint64_t v);
int32_t host_requantise(int32_t x, int32_t multiplier, int shift);
int host_logmel(const int16_t *pcm, size_t count, int norm, const w2s_stats *stats, int16_t *out);
"""

MICROPHONES = """
typedef struct { uint32_t hz; uint32_t bytes; ...; } pdm_clock;
typedef struct { ...; } pdm_t;
typedef struct { ...; } i2s_t;

static const int PDM_TAPS, PDM_SAMPLES, LEVEL_UNITY, LEVEL_SPEECH, LEVEL_LAST_SHIFT;

void pdm_init(pdm_t *pdm, const pdm_clock *clock, int layout, uint16_t gain);
size_t pdm_to_pcm(pdm_t *pdm, const uint8_t *bits, size_t bytes, int16_t *pcm);
void i2s_init(i2s_t *i2s, int layout, int slot, uint16_t gain);
void i2s_to_pcm(i2s_t *i2s, const uint8_t *frame, size_t frames, int16_t *pcm);

/* The filters that the C holds; NULL for a clock that it has none for. */
const pdm_clock *host_pdm_clock(uint32_t hz);
uint64_t host_pdm_entry(const pdm_clock *clock, unsigned byte, unsigned value);
int host_pdm_tap(unsigned number);
int host_pdm_multiplier(void);

/* pdm/modulator.c */
void host_modulate(const int32_t *u, size_t count, const int32_t b[4], const int32_t a[4],
                   int64_t state[8], uint8_t *bits);
"""

PACKED = """
typedef struct {
    const uint32_t *winograd; const int16_t *direct; const int32_t *bias;
    const int32_t *multiplier; const int8_t *shift;
} w2s_dsp_conv;
typedef struct {
    const uint32_t *first; w2s_dsp_conv conv[6]; const uint32_t *lin, *sof;
} w2s_packed_weights;
"""

SOURCE = """
#include <string.h>
#include "wav2small.h"
#include "logmel.h"
#include "norm.h"
#include "requant.h"

typedef struct { uint8_t *data; size_t size; size_t used; } host_rows;

static void collect(void *user, w2s_tap layer, uint32_t row, const void *data, size_t bytes) {
    host_rows *rows = (host_rows *)user + layer;
    (void)row;
    if (rows->used + bytes <= rows->size) memcpy(rows->data + rows->used, data, bytes);
    rows->used += bytes;
}

static void host_collect(w2s_context *ctx, host_rows rows[12], uint32_t mask) {
    w2s_set_tap(ctx, collect, rows, mask);
}

static int32_t host_requantise(int32_t x, int32_t multiplier, int shift) {
    return w2s_requantise(x, multiplier, shift);
}

/* The front end without a network: rows of 26 in 1/128 dB. Returns their number. */
static int host_logmel(const int16_t *pcm, size_t count, int norm, const w2s_stats *stats,
                       int16_t *out) {
    w2s_norm_state state;
    int frames = 0;
    w2s_norm_reset(&state);
    if (norm == W2S_NORM_GIVEN && !w2s_norm_given(&state, stats)) return W2S_E_ARG;
    uint32_t before = 0;
    for (size_t end = 0; end + W2S_HOP <= count; end += W2S_HOP) {
        uint32_t used = w2s_norm_hop(&state, pcm + end, norm != W2S_NORM_GIVEN);
        if (end > 0) {
            w2s_logmel(pcm + end - W2S_HOP, before | used, state.mean_q14, state.log2_scale, true,
                       out);
            out += W2S_MEL;
            frames++;
        }
        before = used;
    }
    return frames;
}
"""

MICROPHONES_SOURCE = """
#include "pdm.h"
#include "pdm_tables.h"
#include "i2s.h"

static const pdm_clock *host_pdm_clock(uint32_t hz) {
    return hz == pdm_1024khz.hz ? &pdm_1024khz : hz == pdm_2048khz.hz ? &pdm_2048khz : NULL;
}
static uint64_t host_pdm_entry(const pdm_clock *clock, unsigned byte, unsigned value) {
    return clock->table[byte][value];
}
static int host_pdm_tap(unsigned number) { return pdm_taps[number]; }
static int host_pdm_multiplier(void) { return PDM_MULTIPLIER; }

void host_modulate(const int32_t *u, size_t count, const int32_t b[4], const int32_t a[4],
                   int64_t state[8], uint8_t *bits);
"""


def build(module: str, kernels: str, declarations: str, source: str = "", *others: Path) -> FFI:
    """The extension ``module`` with the kernel set ``kernels``, and the C of ``others``."""
    ffi = FFI()
    ffi.cdef(DECLARATIONS + declarations)
    ffi.set_source(
        f"wav2small_micro.{module}",
        SOURCE + source,
        sources=[
            *sorted(str(p) for p in LIBRARY.glob("*.c")),
            *sorted(str(p) for p in (LIBRARY / "kernels" / kernels).glob("*.c")),
            *sorted(str(p) for folder in others for p in folder.glob("*.c")),
        ],
        include_dirs=[str(LIBRARY), *map(str, others)],
        define_macros=[
            ("W2S_BUFFER_SECONDS", str(BUFFER_SECONDS)),
            (f"W2S_KERNELS_{kernels.upper()}", "1"),
        ],
        extra_compile_args=["-std=c99", "-O3", "-Wall", "-Wextra", "-Werror=implicit"],
    )
    return ffi


portable = build("_native", "portable", MICROPHONES, MICROPHONES_SOURCE, PDM_LIBRARY, MODULATOR)
dsp = build("_native_dsp", "dsp", PACKED)
compact = build("_native_compact", "compact", PACKED)
