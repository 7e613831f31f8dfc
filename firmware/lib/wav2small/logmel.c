// SPDX-License-Identifier: Apache-2.0
//
// logmel.c: Hann window, 64-point real DFT by a 32-point complex FFT, power, mel, logarithm.
//
// Scales. Samples x are int16; a quiet frame is first doubled s times, until it fills them. The
// window gives x * hann in Q15 (below 2^30); five radix-2 stages halve each time, so the spectrum X
// is in Q10 and its power in Q20, below 2^60. The true values are X / 2^15 over the square root of
// the variance, so
//   dB = 10 log10(2) * (log2(mel sum) - 20 - 2 s - weight bits - log2(variance of the samples)).
// Rounding is below 2^-9 of a sample step, and 2^-24 of the loudest sample of a quiet frame.
#include "logmel.h"

#include "logmel_tables.h"

static int32_t mul_high(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b) >> 32); }

// Q31 of cos and sin of 2 pi k / 64, k in 0 .. 32.
static int32_t cos64(unsigned k) { return w2s_cos64[k]; }
static int32_t sin64(unsigned k) { return w2s_cos64[k < 16 ? 16 - k : k - 16]; }

typedef struct {
    int32_t re, im;
} complex32;

// (d / 2) * w, w in Q31; what the halving of a stage leaves to do.
static complex32 turn(complex32 d, int32_t wr, int32_t wi) {
    complex32 out = {(mul_high(d.re, wr) - mul_high(d.im, wi)) * 2,
                     (mul_high(d.re, wi) + mul_high(d.im, wr)) * 2};
    return out;
}

// Decimation in frequency, in place; the result is in bit-reversed order. Every stage halves.
static void fft32(complex32 z[32]) {
    for (unsigned half = 16, stride = 1; half > 0; half >>= 1, stride <<= 1) {
        for (unsigned start = 0; start < 32; start += 2 * half) {
            for (unsigned i = 0; i < half; i++) {
                complex32 *p = &z[start + i], *q = p + half;
                complex32 a = {p->re >> 1, p->im >> 1}, b = {q->re >> 1, q->im >> 1};
                complex32 d = {a.re - b.re, a.im - b.im};
                p->re = a.re + b.re;
                p->im = a.im + b.im;
                *q = i == 0 ? d : turn(d, cos64(2 * i * stride), -sin64(2 * i * stride));
            }
        }
    }
}

static unsigned reverse5(unsigned k) {
    return (k & 1) << 4 | (k & 2) << 2 | (k & 4) | (k & 8) >> 2 | (k & 16) >> 4;
}

static uint64_t power_of(int32_t re, int32_t im) {
    return (uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im);
}

// How often a frame and its mean can be doubled before one of them leaves int16.
static unsigned headroom(const int16_t frame[W2S_FRAME], int32_t mean_q14) {
    int32_t mean = mean_q14 >> 14;
    uint32_t used = (uint32_t)(mean ^ (mean >> 31));  // ones' complement: -1 is as small as 0
    for (unsigned n = 0; n < W2S_FRAME; n++) {
        used |= (uint16_t)(frame[n] ^ (frame[n] >> 15));
    }
    unsigned doublings = 0;
    while (doublings < 14 && used << (doublings + 1) < 1u << 15) doublings++;
    return doublings;
}

// Power of bins 1 .. 31 of a frame doubled so often, Q20. Bins 0 and 32 have no mel weight.
static void power_spectrum(const int16_t frame[W2S_FRAME], int32_t mean_q14, unsigned doublings,
                           uint64_t power[32]) {
    complex32 z[32];
    const int32_t scale = (int32_t)1 << (16 + doublings);
    for (unsigned n = 0; n < 32; n++) {
        z[n].re = mul_high(frame[2 * n] * scale, w2s_hann[2 * n]);
        z[n].im = mul_high(frame[2 * n + 1] * scale, w2s_hann[2 * n + 1]);
    }
    fft32(z);
    for (unsigned k = 1; k <= 16; k++) {
        // Even and odd samples' spectra, from the one of both: X[k] = E + W O, X[32-k] = (E - W O)*
        complex32 a = z[reverse5(k)], b = z[reverse5(32 - k)];
        complex32 e = {(a.re + b.re) >> 1, (a.im - b.im) >> 1};
        complex32 d = {a.re - b.re, a.im + b.im};
        int32_t c = cos64(k), s = sin64(k);
        complex32 t = {mul_high(d.im, c) - mul_high(d.re, s),
                       -mul_high(d.re, c) - mul_high(d.im, s)};
        // A constant under a Hann window is in bins 0 and +-1 only, there -16 times itself: one
        // addition here takes the mean out of the frame.
        int32_t dc = k == 1 ? mean_q14 * ((int32_t)1 << doublings) : 0;
        power[k] = power_of(e.re + t.re + dc, e.im + t.im);
        power[32 - k] = power_of(e.re - t.re, e.im - t.im);
    }
}

static unsigned leading_zeros(uint64_t v) {
#if defined(__GNUC__)
    return (unsigned)__builtin_clzll(v);
#else
    unsigned n = 0;
    while (!(v >> 63)) {
        v <<= 1;
        n++;
    }
    return n;
#endif
}

int32_t w2s_log2_q16(uint64_t v) {
    unsigned zeros = leading_zeros(v);
    uint32_t mantissa = (uint32_t)((v << zeros) >> 32);  // leading one at bit 31
    unsigned i = (mantissa >> 25) & 63;
    int32_t fraction = (int32_t)((mantissa >> 9) & 0xFFFF);
    int32_t low = (int32_t)w2s_log2_table[i], high = (int32_t)w2s_log2_table[i + 1];
    return (int32_t)((63 - zeros) << 16) + low + (((high - low) * fraction) >> 16);
}

void w2s_logmel(const int16_t frame[W2S_FRAME], int32_t mean_q14, int32_t log2_scale, bool floor,
                int16_t out[W2S_MEL]) {
    uint64_t power[32];
    const unsigned doublings = headroom(frame, mean_q14);
    power_spectrum(frame, mean_q14, doublings, power);
    const int32_t exponent = 20 + 2 * (int32_t)doublings + W2S_MEL_WEIGHT_BITS;
    const uint16_t *weight = w2s_mel_weights;
    for (unsigned band = 0; band < W2S_MEL; band++) {
        const uint64_t *p = power + w2s_mel_first[band];
        unsigned bins = w2s_mel_bins[band];
        uint64_t all = 0, sum = 0;
        for (unsigned i = 0; i < bins; i++) all |= p[i];
        if (all == 0) {
            out[band] = floor ? W2S_DB_FLOOR : INT16_MIN;
            weight += bins;
            continue;
        }
        // 44 bits of power, 16 of weight, at most 8 bins
        unsigned zeros = leading_zeros(all), shift = zeros < 20 ? 20 - zeros : 0;
        for (unsigned i = 0; i < bins; i++) sum += (p[i] >> shift) * *weight++;
        // 10 log10(2) * 128 is 98642 / 2^8 in Q16 arguments
        int64_t log2_q16 =
            sum == 0 ? INT32_MIN
                     : w2s_log2_q16(sum) - log2_scale + ((int32_t)shift - exponent) * 65536;
        int32_t db = (int32_t)((log2_q16 * 98642 + (1 << 23)) >> 24);
        int32_t least = floor ? W2S_DB_FLOOR : INT16_MIN;
        out[band] = (int16_t)(db < least ? least : db > INT16_MAX ? INT16_MAX : db);
    }
}
