// SPDX-License-Identifier: Apache-2.0
//
// logmel.c: Hann window, 64-point real DFT by a 32-point complex FFT, power, mel, logarithm.
//
// Scales. Samples x are int16; a quiet frame is first doubled s times, until it fills them. The
// window gives x * hann in Q15 (below 2^30); the DFT divides by its 32 points, so the spectrum X
// is in Q10 and its power in Q20, below 2^60. The true values are X / 2^15 over the square root of
// the variance, so
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
static complex32 quarter(complex32 a) { return (complex32){a.re >> 2, a.im >> 2}; }

// d exp(-j t), by cos t and sin t in Q31.
static complex32 turn(complex32 d, int32_t c, int32_t s) {
    return (complex32){(mul_high(d.re, c) + mul_high(d.im, s)) * 2,
                       (mul_high(d.im, c) - mul_high(d.re, s)) * 2};
}

// A quarter of the 4-point DFT of z[0], z[stride] ...
typedef struct {
    complex32 y0, y1, y2, y3;
} four;
static four dft4(const complex32 *z, unsigned stride) {
    complex32 a = quarter(z[0]), b = quarter(z[stride]), c = quarter(z[2 * stride]),
              d = quarter(z[3 * stride]);
    complex32 even = add(a, c), odd = add(b, d), rest = subtract(a, c),
              turned = minus_j(subtract(b, d));
    return (four){add(even, odd), add(rest, turned), subtract(even, odd), subtract(rest, turned)};
}

// X[k] / 32, in place, by decimation in frequency: 4 * 4 * 2 points. X[q + 4 r + 16 s] ends at
// 8 q + 2 r + s.
static void fft32(complex32 z[32]) {
    const int32_t *w = w2s_twiddles;
    const int32_t r = 1518500250;  // sqrt(1/2)
    for (unsigned n = 0; n < 8; n++) {
        four y = dft4(z + n, 8);
        z[n] = y.y0;
        if (n == 0) {
            z[8] = y.y1;
            z[16] = y.y2;
            z[24] = y.y3;
            continue;
        }
        z[n + 8] = turn(y.y1, w[0], w[1]);
        z[n + 16] = turn(y.y2, w[2], w[3]);
        z[n + 24] = turn(y.y3, w[4], w[5]);
        w += 6;
    }
    for (complex32 *p = z; p < z + 32; p += 8) {
        four y = dft4(p, 2), v = dft4(p + 1, 2);
        complex32 turned[4] = {v.y0, turn(v.y1, r, r), minus_j(v.y2), turn(v.y3, -r, r)};
        complex32 plain[4] = {y.y0, y.y1, y.y2, y.y3};
        for (unsigned i = 0; i < 4; i++) {
            complex32 a = {plain[i].re >> 1, plain[i].im >> 1},
                      b = {turned[i].re >> 1, turned[i].im >> 1};
            p[2 * i] = add(a, b);
            p[2 * i + 1] = subtract(a, b);
        }
    }
}

// Where X[k] is, k of 1 .. 31.
static unsigned place(unsigned k) { return 8 * (k & 3) + 2 * (k >> 2 & 3) + (k >> 4); }

static uint64_t power_of(int32_t re, int32_t im) {
    return (uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im);
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

// How often a frame and its mean can be doubled before one of them leaves int16.
static unsigned headroom(uint32_t used, int32_t mean_q14) {
    int32_t mean = mean_q14 >> 14;
    used |= (uint32_t)(mean ^ (mean >> 31)) | 1;  // 14 at most
    return leading_zeros(used) - 49;              // 16 bits and the sign
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
        complex32 a = z[place(k)], b = z[place(32 - k)];
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

int32_t w2s_log2_q16(uint64_t v) {
    unsigned zeros = leading_zeros(v);
    uint32_t mantissa = (uint32_t)((v << zeros) >> 32);  // leading one at bit 31
    unsigned i = (mantissa >> 25) & 63;
    int32_t fraction = (int32_t)((mantissa >> 9) & 0xFFFF);
    int32_t low = (int32_t)w2s_log2_table[i], high = (int32_t)w2s_log2_table[i + 1];
    return (int32_t)((63 - zeros) << 16) + low + (((high - low) * fraction) >> 16);
}

// log2 in Q16 of a sum over `bins` of power times weight, 0 for none: sums of 80 bits, as two
// of 64.
static bool band_log2(const uint64_t *power, const uint16_t *weight, unsigned bins, int32_t *log2) {
    uint64_t low = 0, high = 0;
    for (unsigned i = 0; i < bins; i++) {
        low += (uint64_t)(uint32_t)power[i] * weight[i];
        high += (uint64_t)(uint32_t)(power[i] >> 32) * weight[i];
    }
    high += low >> 32;
    if (high >> 32 != 0) {
        *log2 = w2s_log2_q16(high) + 32 * 65536;
        return true;
    }
    uint64_t sum = high << 32 | (uint32_t)low;
    if (sum == 0) return false;
    *log2 = w2s_log2_q16(sum);
    return true;
}

void w2s_logmel(const int16_t frame[W2S_FRAME], uint32_t used, int32_t mean_q14, int32_t log2_scale,
                bool floor, int16_t out[W2S_MEL]) {
    uint64_t power[32];
    const int32_t least = floor ? W2S_DB_FLOOR : INT16_MIN;
    const unsigned doublings = headroom(used, mean_q14);
    const int32_t scale = log2_scale + (20 + 2 * (int32_t)doublings + W2S_MEL_WEIGHT_BITS) * 65536;
    const uint16_t *weight = w2s_mel_weights;
    power_spectrum(frame, mean_q14, doublings, power);
    for (unsigned band = 0; band < W2S_MEL; band++) {
        const unsigned bins = w2s_mel_bins[band];
        int32_t log2, db = least;
        if (band_log2(power + w2s_mel_first[band], weight, bins, &log2)) {
            // 10 log10(2) * 128 is 98642 / 2^8, of a Q16
            db = (int32_t)(((int64_t)(log2 - scale) * 98642 + (1 << 23)) >> 24);
        }
        out[band] = (int16_t)(db < least ? least : db > INT16_MAX ? INT16_MAX : db);
        weight += bins;
    }
}
