/* Types with one scale per block: legacy, 4-bit float, ternary, one and two bits.
 *
 * Without importance the legacy types and MXFP4 follow the reference: the scale maps
 * the value of largest magnitude to the end of the range. With importance, and for
 * the other types always, the scale is searched (scale_fit.h). Q8_0 has nothing to
 * gain from a search and ignores importance. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/elem.h"
#include "kernels/quantize_blocks.h"
#include "kernels/scale_fit.h"

/* 1 / d, or 0 where that is not a finite number. */
static float inverse_of(float d) {
    float inverse = d != 0 ? 1 / d : 0;
    return isfinite(inverse) ? inverse : 0;
}

static uint8_t code_up_to(int largest, float v) {
    int code = (int)v;
    return (uint8_t)(code < 0 ? 0 : code > largest ? largest : code);
}

static void pack_halves(const uint8_t code[32], uint8_t q[16]) {
    for (int i = 0; i < 16; i++)
        q[i] = (uint8_t)((code[i] & 15) | (code[i + 16] & 15) << 4);
}

static uint32_t fifth_bits(const uint8_t code[32]) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++)
        bits |= (uint32_t)(code[i] >> 4) << i;
    return bits;
}

/* Codes 0 .. 2 zero - 1 for x ~ d * (code - zero). */
static uint16_t symmetric_codes(const float *x, const float *importance, int zero,
                                uint8_t code[32]) {
    if (importance) {
        float ratio = zero > 8 ? 1.005f : 1.01f;
        struct coder c = {
            (float)-zero, (float)(zero - 1), snap_integers, zero > 8 ? 0.96f : 0.9f, ratio, 20};
        float w[32], q[32];
        fit_weights(x, importance, 32, mean_square(x, 32), w);
        uint16_t d = scale_to_f16(fit_scale(&c, x, w, 32));
        fit_error(&c, x, w, 32, f16_to_f32(d), 0, q);
        for (int i = 0; i < 32; i++)
            code[i] = (uint8_t)((int)q[i] + zero);
        return d;
    }
    float largest = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    float d = largest / (float)-zero, inverse = inverse_of(d);
    for (int i = 0; i < 32; i++)
        code[i] = code_up_to(2 * zero - 1, x[i] * inverse + ((float)zero + 0.5f));
    return f32_to_f16(d);
}

/* Codes 0 .. top for x ~ d * code + m. */
static void affine_codes(const float *x, const float *importance, int top, uint16_t *d, uint16_t *m,
                         uint8_t code[32]) {
    if (importance) {
        struct coder c = {
            0, (float)top, snap_integers, top > 15 ? 0.97f : 0.94f, top > 15 ? 1.005f : 1.01f, 16};
        float w[32], q[32], scale, min;
        fit_weights(x, importance, 32, mean_square(x, 32), w);
        fit_scale_min(&c, x, w, 32, 0, &scale, &min);
        *d = scale_to_f16(scale);
        *m = scale_to_f16(min);
        fit_error(&c, x, w, 32, f16_to_f32(*d), f16_to_f32(*m), q);
        for (int i = 0; i < 32; i++)
            code[i] = (uint8_t)q[i];
        return;
    }
    float low = x[0], high = x[0];
    for (int i = 1; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float step = (high - low) / (float)top, inverse = inverse_of(step);
    for (int i = 0; i < 32; i++)
        code[i] = code_up_to(top, (x[i] - low) * inverse + 0.5f);
    *d = scale_to_f16(step);
    *m = f32_to_f16(low);
}

void encode_q4_0(const float *x, void *out, size_t n, const float *importance) {
    struct block_q4_0 *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        uint8_t code[32];
        b->d = symmetric_codes(x + at, at_or_null(importance, at), 8, code);
        pack_halves(code, b->q);
    }
}

void encode_q5_0(const float *x, void *out, size_t n, const float *importance) {
    struct block_q5_0 *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        uint8_t code[32];
        b->d = symmetric_codes(x + at, at_or_null(importance, at), 16, code);
        b->high = fifth_bits(code);
        pack_halves(code, b->q);
    }
}

void encode_q4_1(const float *x, void *out, size_t n, const float *importance) {
    struct block_q4_1 *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        uint8_t code[32];
        uint16_t d, m;
        affine_codes(x + at, at_or_null(importance, at), 15, &d, &m, code);
        b->d = d;
        b->m = m;
        pack_halves(code, b->q);
    }
}

void encode_q5_1(const float *x, void *out, size_t n, const float *importance) {
    struct block_q5_1 *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        uint8_t code[32];
        uint16_t d, m;
        affine_codes(x + at, at_or_null(importance, at), 31, &d, &m, code);
        b->d = d;
        b->m = m;
        b->high = fifth_bits(code);
        pack_halves(code, b->q);
    }
}

static float largest_magnitude(const float *x, int n) {
    float largest = 0;
    for (int i = 0; i < n; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return largest;
}

void encode_q8_0(const float *x, void *out, size_t n, const float *importance) {
    (void)importance;
    struct block_q8_0 *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = largest_magnitude(x + at, 32) / 127, inverse = inverse_of(d);
        b->d = f32_to_f16(d);
        for (int i = 0; i < 32; i++)
            b->q[i] = (int8_t)roundf(x[at + (size_t)i] * inverse);
    }
}

/* ---- 4-bit floats ------------------------------------------------------------------ */

static void pack_fp4(const float *q, int half, uint8_t *out) {
    for (int i = 0; i < half; i++)
        out[i] = (uint8_t)(fp4_code(q[i]) | fp4_code(q[i + half]) << 4);
}

/* MX 1.0, section 6.3: the exponent of the largest value less that of the largest
 * E2M1 value. */
static uint8_t mx_exponent(const float *x) {
    float largest = largest_magnitude(x, 32);
    int e = largest > 0 ? (int)floorf(log2f(largest)) - 2 + 127 : 0;
    return (uint8_t)(e < 0 ? 0 : e > 254 ? 254 : e);
}

void encode_mxfp4(const float *x, void *out, size_t n, const float *importance) {
    struct block_mxfp4 *b = out;
    for (size_t at = 0; at < n; at += 32, b++) {
        float w[32], q[32] = {0}, best = FLT_MAX;
        int first = mx_exponent(x + at), last = first;
        fit_weights(x + at, at_or_null(importance, at), 32, mean_square(x + at, 32), w);
        if (importance) {
            first -= first > 0;
            last += last < 254;
        }
        b->exponent = (uint8_t)first;
        for (int e = first; first != last && e <= last; e++) {
            float error = fit_error(&coder_fp4, x + at, w, 32, e8m0_half((uint8_t)e), 0, q);
            if (!(error < best)) continue;
            best = error;
            b->exponent = (uint8_t)e;
        }
        /* The scale is a power of two: below TINY it still divides exactly. */
        coder_fp4.snap(&coder_fp4, x + at, inverse_of(e8m0_half(b->exponent)), 0, q, 32);
        pack_fp4(q, 16, b->q);
    }
}

/* Nearest code of a positive value: UE4M3 codes are in the order of their values. */
static int ue4m3_nearest(float half) {
    int low = 0, high = 0x7e;
    while (low < high) {
        int middle = (low + high) / 2;
        float border = 0.5f * (ue4m3_half((uint8_t)middle) + ue4m3_half((uint8_t)(middle + 1)));
        if (middle + 1 <= 0x7e && half > border)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void encode_nvfp4(const float *x, void *out, size_t n, const float *importance) {
    struct block_nvfp4 *b = out;
    for (size_t at = 0; at < n; at += 16) {
        size_t g = at / 16 % 4;
        float w[16], q[16] = {0}, trial[16], best = FLT_MAX;
        fit_weights(x + at, at_or_null(importance, at), 16, mean_square(x + at, 16), w);
        b->d[g] = 0;
        int centre = ue4m3_nearest(largest_magnitude(x + at, 16) / 12);
        for (int code = centre - 3; code <= centre + 3; code++) {
            if (code < 0 || code > 0x7e) continue;
            float error = fit_error(&coder_fp4, x + at, w, 16, ue4m3_half((uint8_t)code), 0, trial);
            if (!(error < best)) continue;
            best = error;
            b->d[g] = (uint8_t)code;
            memcpy(q, trial, sizeof q);
        }
        pack_fp4(q, 8, b->q + 8 * g);
        if (g == 3) b++;
    }
}

/* ---- one bit, two bits, trits ------------------------------------------------------------ */

/* The best d for d * sign(x) is the weighted mean of |x|. */
static uint16_t mean_magnitude(const float *x, const float *importance, int n) {
    double sum = 0, weighted = 0, sum_w = 0;
    for (int i = 0; i < n; i++) {
        double w = importance ? (double)importance[i] : 0, magnitude = fabs((double)x[i]);
        sum += magnitude;
        weighted += w * magnitude;
        sum_w += w;
    }
    return scale_to_f16((float)(sum_w > 0 ? weighted / sum_w : sum / n));
}

void encode_q1_0(const float *x, void *out, size_t n, const float *importance) {
    struct block_q1_0 *b = out;
    for (size_t at = 0; at < n; at += 128, b++) {
        b->d = mean_magnitude(x + at, at_or_null(importance, at), 128);
        memset(b->q, 0, sizeof b->q);
        for (size_t i = 0; i < 128; i++)
            if (x[at + i] >= 0) b->q[i / 8] |= (uint8_t)(1u << i % 8);
    }
}

/* Plain least squares: these types are for weights that already are d times a small
 * integer, where the smallest error finds d again. */
static uint16_t integers_of(const struct coder *c, const float *x, const float *importance, int n,
                            float *q) {
    float w[SUPER];
    for (int i = 0; i < n; i++)
        w[i] = 1;
    if (importance) fit_weights(x, importance, n, mean_square(x, n), w);
    uint16_t d = scale_to_f16(fit_scale(c, x, w, n));
    fit_error(c, x, w, n, f16_to_f32(d), 0, q);
    return d;
}

void encode_q2_0(const float *x, void *out, size_t n, const float *importance) {
    static const struct coder c = {-1, 2, snap_integers, 0.5f, 1.15f, 22};
    struct block_q2_0 *b = out;
    for (size_t at = 0; at < n; at += 64, b++) {
        float q[64];
        b->d = integers_of(&c, x + at, at_or_null(importance, at), 64, q);
        memset(b->q, 0, sizeof b->q);
        for (int i = 0; i < 64; i++)
            b->q[i / 4] |= (uint8_t)((int)(q[i] + 1) << 2 * (i % 4));
    }
}

static const struct coder ternary = {-1, 1, snap_integers, 0.75f, 1.15f, 30};

void encode_tq2_0(const float *x, void *out, size_t n, const float *importance) {
    struct block_tq2_0 *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float q[SUPER];
        b->d = integers_of(&ternary, x + at, at_or_null(importance, at), SUPER, q);
        memset(b->q, 0, sizeof b->q);
        for (int i = 0; i < SUPER; i++)
            b->q[i / 128 * 32 + i % 32] |= (uint8_t)((int)(q[i] + 1) << i % 128 / 32 * 2);
    }
}

/* Five trits of every n_bytes-th value into each byte; missing ones are 0. */
static void pack_trits(const float *q, int n_bytes, int n_trits, uint8_t *out) {
    for (int i = 0; i < n_bytes; i++) {
        int number = 0;
        for (int k = 0; k < 5; k++)
            number = 3 * number + (k < n_trits ? (int)q[k * n_bytes + i] + 1 : 0);
        out[i] = (uint8_t)((number * 256 + 242) / 243);
    }
}

void encode_tq1_0(const float *x, void *out, size_t n, const float *importance) {
    struct block_tq1_0 *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        float q[SUPER];
        b->d = integers_of(&ternary, x + at, at_or_null(importance, at), SUPER, q);
        pack_trits(q, 32, 5, b->q);
        pack_trits(q + 160, 16, 5, b->q + 32);
        pack_trits(q + 240, 4, 4, b->high);
    }
}
