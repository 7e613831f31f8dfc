// SPDX-License-Identifier: Apache-2.0
//
// logmel.c: Hann window, 64-point real DFT by a 32-point complex FFT, power, mel, logarithm.
//
// Scales. Samples x are int16; a quiet frame is first doubled s times, until it fills them. The
// window gives a quarter of x * hann in Q15 (below 2^28), the DFT divides by the other eight of
// its 32 points: the spectrum X is in Q10 and its power in Q20, below 2^60. The true values are
// X / 2^15 over the square root of the variance, so
//   dB = 10 log10(2) * (log2(mel sum) - 20 - 2 s - weight bits - log2(variance of the samples)).
// Rounding is below 2^-9 of a sample step, and 2^-24 of the loudest sample of a quiet frame.
#include "logmel.h"

#include "logmel_tables.h"

static int32_t mul_high(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b) >> 32); }

typedef struct {
    int32_t re, im;
} complex32;

static complex32 add(complex32 a, complex32 b) { return (complex32){a.re + b.re, a.im + b.im}; }
static complex32 subtract(complex32 a, complex32 b) {
    return (complex32){a.re - b.re, a.im - b.im};
}
static complex32 minus_j(complex32 a) { return (complex32){a.im, -a.re}; }
static complex32 eighth(complex32 a) { return (complex32){a.re >> 3, a.im >> 3}; }

// d exp(-j t), by cos t and sin t in Q31.
static complex32 turn(complex32 d, int32_t c, int32_t s) {
    return (complex32){(mul_high(d.re, c) + mul_high(d.im, s)) * 2,
                       (mul_high(d.im, c) - mul_high(d.re, s)) * 2};
}

// The 4-point DFT of a, b, c, d.
typedef struct {
    complex32 y0, y1, y2, y3;
} four;
static four dft4(complex32 a, complex32 b, complex32 c, complex32 d) {
    complex32 even = add(a, c), odd = add(b, d), rest = subtract(a, c),
              turned = minus_j(subtract(b, d));
    return (four){add(even, odd), add(rest, turned), subtract(even, odd), subtract(rest, turned)};
}

// A quarter of samples 2 n and 2 n + 1 under the window, as a complex number; `scale` brings
// samples to Q16.
static complex32 windowed(const int16_t frame[W2S_FRAME], unsigned n, int32_t scale) {
    return (complex32){mul_high(frame[2 * n] * scale, w2s_hann[2 * n]),
                       mul_high(frame[2 * n + 1] * scale, w2s_hann[2 * n + 1])};
}

// X[k] / 32 of the windowed frame, by decimation in frequency: 4 * 4 * 2 points. X[q + 4 r + 16 s]
// ends at 8 q + 2 r + s.
static void fft32(const int16_t frame[W2S_FRAME], int32_t scale, complex32 z[32]) {
    const int32_t *w = w2s_twiddles;
    const int32_t half = 1518500250;  // sqrt(1/2)
    for (unsigned n = 0; n < 8; n++, w += 6) {
        four y = dft4(windowed(frame, n, scale), windowed(frame, n + 8, scale),
                      windowed(frame, n + 16, scale), windowed(frame, n + 24, scale));
        z[n] = y.y0;
        z[n + 8] = turn(y.y1, w[0], w[1]);
        z[n + 16] = turn(y.y2, w[2], w[3]);
        z[n + 24] = turn(y.y3, w[4], w[5]);
    }
    for (complex32 *p = z; p < z + 32; p += 8) {
        four y = dft4(eighth(p[0]), eighth(p[2]), eighth(p[4]), eighth(p[6]));
        four v = dft4(eighth(p[1]), eighth(p[3]), eighth(p[5]), eighth(p[7]));
        v.y1 = turn(v.y1, half, half);
        v.y2 = minus_j(v.y2);
        v.y3 = turn(v.y3, -half, half);
        p[0] = add(y.y0, v.y0);
        p[1] = subtract(y.y0, v.y0);
        p[2] = add(y.y1, v.y1);
        p[3] = subtract(y.y1, v.y1);
        p[4] = add(y.y2, v.y2);
        p[5] = subtract(y.y2, v.y2);
        p[6] = add(y.y3, v.y3);
        p[7] = subtract(y.y3, v.y3);
    }
}

// Where X[k] and X[32 - k] are, k of 1 .. 16.
static const uint8_t places[16][2] = {{8, 31},  {16, 23}, {24, 15}, {2, 7},   {10, 29}, {18, 21},
                                      {26, 13}, {4, 5},   {12, 27}, {20, 19}, {28, 11}, {6, 3},
                                      {14, 25}, {22, 17}, {30, 9},  {1, 1}};

static uint64_t power_of(int32_t re, int32_t im) {
    return (uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im);
}

static unsigned leading_zeros(uint32_t v) {
#if defined(__GNUC__)
    return (unsigned)__builtin_clz(v);
#else
    unsigned n = 0;
    while (!(v >> 31)) {
        v <<= 1;
        n++;
    }
    return n;
#endif
}

// How often a frame and its mean can be doubled before one of them leaves int16.
static unsigned headroom(uint32_t used, int32_t mean_q14) {
    int32_t mean = mean_q14 >> 14;
    used |= (uint32_t)(mean ^ (mean >> 31)) | 1;  // 14 at most
    return leading_zeros(used) - 17;              // of 32 bits, to 15 and the sign
}

// Power of bins 1 .. 31 of a frame doubled so often, Q20. Bins 0 and 32 have no mel weight.
static void power_spectrum(const int16_t frame[W2S_FRAME], int32_t mean_q14, unsigned doublings,
                           uint64_t power[32]) {
    complex32 z[32];
    fft32(frame, (int32_t)1 << (16 + doublings), z);
    for (unsigned k = 1; k <= 16; k++) {
        // Even and odd samples' spectra, from the one of both: X[k] = E + W O, X[32-k] = (E - W O)*
        complex32 a = z[places[k - 1][0]], b = z[places[k - 1][1]];
        complex32 e = {(a.re + b.re) >> 1, (a.im - b.im) >> 1};
        complex32 d = {a.re - b.re, a.im + b.im};
        int32_t c = w2s_cos64[k], s = w2s_cos64[16 - k];
        complex32 t = {mul_high(d.im, c) - mul_high(d.re, s),
                       -mul_high(d.re, c) - mul_high(d.im, s)};
        // A constant under a Hann window is in bins 0 and +-1 only, there -16 times itself: one
        // addition here takes the mean out of the frame.
        int32_t dc = k == 1 ? mean_q14 * ((int32_t)1 << doublings) : 0;
        power[k] = power_of(e.re + t.re + dc, e.im + t.im);
        power[32 - k] = power_of(e.re - t.re, e.im - t.im);
    }
}

// log2 in Q16 of high * 2^32 + low, which is not 0.
static int32_t log2_of(uint32_t high, uint32_t low) {
    int32_t exponent = 63;
    if (high == 0) {
        high = low;
        low = 0;
        exponent = 31;
    }
    unsigned zeros = leading_zeros(high);
    uint32_t mantissa = high << zeros | (low >> 1) >> (31 - zeros);  // leading one at bit 31
    const uint32_t *entry = w2s_log2_table + (mantissa >> 25 & 63);
    uint32_t step = (entry[1] - entry[0]) * (mantissa >> 9 & 0xFFFF) >> 16;
    return (exponent - (int32_t)zeros) * 65536 + (int32_t)(entry[0] + step);
}

int32_t w2s_log2_q16(uint64_t v) { return log2_of((uint32_t)(v >> 32), (uint32_t)v); }

// Steps of 1/128 dB: 10 log10(2) * 128 is 98642 / 2^8, of a Q16 below 64. HALF_STEP, half a step
// of the result, turns the rounding down into one to nearest.
#define HALF_STEP 85
static int16_t decibels(int32_t log2_q16, int32_t least) {
    int32_t db = mul_high(log2_q16 * 256, 98642);
    return (int16_t)(db < least ? least : db);
}

// A sum of 80 bits over power times weight, as two of 64: its log2 in Q16, less `scale`; NOTHING,
// below all others, for 0.
#define NOTHING (-127 * 65536)
static int32_t band_log2(const uint64_t *power, const uint16_t *weight, unsigned bins,
                         int32_t scale) {
    uint64_t low = 0, high = 0;
    for (unsigned i = 0; i < bins; i++) {
        low += (uint64_t)(uint32_t)power[i] * weight[i];
        high += (uint64_t)(uint32_t)(power[i] >> 32) * weight[i];
    }
    high += low >> 32;
    uint32_t top = (uint32_t)(high >> 32), middle = (uint32_t)high, bottom = (uint32_t)low;
    if (top != 0) return log2_of(top, middle) + 32 * 65536 - scale;
    if ((middle | bottom) == 0) return NOTHING;
    return log2_of(middle, bottom) - scale;
}

void w2s_logmel(const int16_t frame[W2S_FRAME], uint32_t used, int32_t mean_q14, int32_t log2_scale,
                bool floor, int16_t out[W2S_MEL]) {
    uint64_t power[32];
    const int32_t least = floor ? W2S_DB_FLOOR : INT16_MIN;
    const unsigned doublings = headroom(used, mean_q14);
    const int32_t scale = log2_scale + (20 + 2 * (int32_t)doublings) * 65536 - HALF_STEP;
    const uint16_t *weight = w2s_mel_weights;
    power_spectrum(frame, mean_q14, doublings, power);
    *out++ = (int16_t)least;
    for (unsigned i = 0; i < W2S_MEL_SINGLE; i++) {
        const uint64_t p = power[w2s_single_bin[i]];
        *out++ =
            p == 0 ? (int16_t)least : decibels(w2s_log2_q16(p) + w2s_single_log2[i] - scale, least);
    }
    for (unsigned i = 0; i < sizeof w2s_mel_bins; i++) {
        const unsigned bins = w2s_mel_bins[i];
        *out++ = decibels(
            band_log2(power + w2s_mel_first[i], weight, bins, scale + W2S_MEL_WEIGHT_BITS * 65536),
            least);
        weight += bins;
    }
}
