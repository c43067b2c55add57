/* The oracle of activation formats and of linear layers whose weights are numbers, as
 * scalar_iq.c is of codebooks. */
#include <math.h>
#include <string.h>

#include "kernels/act_scale.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/kernels.h"
#include "kernels/levels.h"
#include "kernels/scalar_dot.h"

/* The largest magnitude, NaN if there is one. */
static float magnitude(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= most)) {
            most = fabsf(x[i]);
            if (isnan(most)) break;
        }
    return most;
}

/* q = x / scale, rounded to nearest even; returns the sum of q. */
static int quantize_group(const float *x, float inverse, int8_t *q, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        q[i] = (int8_t)lrintf(x[i] * inverse);
        sum += q[i];
    }
    return sum;
}

/* See act_scale.h. */
static int32_t error_of(const float *x, float inverse, size_t n) {
    int32_t error = 0;
    for (size_t i = 0; i < n; i++) {
        int fine = (int)lrintf(x[i] * (inverse * ACT_FRACTION));
        int off = ((fine + 128) & 255) - 128;
        error += off * off;
    }
    return error;
}

/* The inverse scale of n values, 0 where all become zeros. */
static float choose_scale(const float *x, size_t n, float *scale) {
    float most = magnitude(x, n);
    int32_t errors[ACT_STEPS];
    if (!act_matters(most, scale)) return 0;
    for (int c = 0; c < ACT_STEPS; c++)
        errors[c] = error_of(x, act_inverse(most, c), n);
    return act_inverse(most, act_choose(most, errors, scale));
}

static void quantize_q8(const float *x, void *out, size_t n) {
    struct act_q8 *a = out;
    for (size_t i = 0; i < n / 32; i++, x += 32) {
        a[i] = (struct act_q8){0};
        float inverse = choose_scale(x, 32, &a[i].scale);
        if (inverse > 0) a[i].sum = quantize_group(x, inverse, a[i].q, 32);
    }
}

static void quantize_q8k(const float *x, void *out, size_t n) {
    struct act_q8k *a = out;
    for (size_t i = 0; i < n / 256; i++, x += 256) {
        a[i] = (struct act_q8k){0};
        float inverse = choose_scale(x, 256, &a[i].scale);
        if (!(inverse > 0)) continue;
        for (size_t j = 0; j < 16; j++)
            a[i].sums[j] = (int16_t)quantize_group(x + 16 * j, inverse, a[i].q + 16 * j, 16);
    }
}

static void widen_nibbles(const uint8_t *codes, int offset, int8_t q[32]) {
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)((codes[j] & 15) - offset);
        q[j + 16] = (int8_t)((codes[j] >> 4) - offset);
    }
}

static void look_up_nibbles(const uint8_t *codes, const int8_t values[16], int8_t q[32]) {
    for (int j = 0; j < 16; j++) {
        q[j] = values[codes[j] & 15];
        q[j + 16] = values[codes[j] >> 4];
    }
}

static void add_fifth_bits(uint32_t high, int8_t q[32]) {
    for (int j = 0; j < 32; j++)
        q[j] = (int8_t)(q[j] + (int)(high >> j & 1) * 16);
}

static void one_scale(struct wide32 *out, uint16_t d) {
    out->scale[0] = out->scale[1] = f16_to_f32(d);
    out->m = 0;
}

static void widen_q4_0(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q4_0 *b = (const struct block_q4_0 *)blocks + i;
    one_scale(out, b->d);
    widen_nibbles(b->q, 8, out->q);
}

static void widen_q4_1(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q4_1 *b = (const struct block_q4_1 *)blocks + i;
    one_scale(out, b->d);
    out->m = f16_to_f32(b->m);
    widen_nibbles(b->q, 0, out->q);
}

static void widen_q5_0(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q5_0 *b = (const struct block_q5_0 *)blocks + i;
    one_scale(out, b->d);
    widen_nibbles(b->q, 16, out->q);
    add_fifth_bits(b->high, out->q);
}

static void widen_q5_1(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q5_1 *b = (const struct block_q5_1 *)blocks + i;
    one_scale(out, b->d);
    out->m = f16_to_f32(b->m);
    widen_nibbles(b->q, 0, out->q);
    add_fifth_bits(b->high, out->q);
}

static void widen_q8_0(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q8_0 *b = (const struct block_q8_0 *)blocks + i;
    one_scale(out, b->d);
    memcpy(out->q, b->q, 32);
}

static void widen_iq4_nl(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_iq4_nl *b = (const struct block_iq4_nl *)blocks + i;
    one_scale(out, b->d);
    look_up_nibbles(b->q, iq4_levels, out->q);
}

static void widen_mxfp4(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_mxfp4 *b = (const struct block_mxfp4 *)blocks + i;
    out->scale[0] = out->scale[1] = e8m0_half(b->exponent);
    out->m = 0;
    look_up_nibbles(b->q, fp4_levels, out->q);
}

/* Half a block: 32 of its 64 values. */
static void widen_nvfp4(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_nvfp4 *b = (const struct block_nvfp4 *)blocks + i / 2;
    const uint8_t *codes = b->q + i % 2 * 16;
    out->m = 0;
    for (size_t s = 0; s < 2; s++) {
        out->scale[s] = ue4m3_half(b->d[i % 2 * 2 + s]);
        for (size_t j = 0; j < 8; j++) {
            out->q[16 * s + j] = fp4_levels[codes[8 * s + j] & 15];
            out->q[16 * s + j + 8] = fp4_levels[codes[8 * s + j] >> 4];
        }
    }
}

static void widen_q2_k(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_q2_k *b = (const struct block_q2_k *)blocks + i;
    out->d = f16_to_f32(b->d);
    out->dmin = f16_to_f32(b->dmin);
    for (int j = 0; j < 16; j++) {
        out->scale[j] = b->scales[j] & 15;
        out->m[j] = b->scales[j] >> 4;
    }
    for (int j = 0; j < 256; j++)
        out->q[j] = (int8_t)two_bits(b->q, j);
}

static void widen_q3_k(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_q3_k *b = (const struct block_q3_k *)blocks + i;
    union k_scales scales = q3_k_scales(b->scales);
    *out = (struct wide256){.d = f16_to_f32(b->d)};
    for (int j = 0; j < 16; j++)
        out->scale[j] = (int16_t)(scales.at[j] - 32);
    for (int j = 0; j < 256; j++) {
        int high = b->high[j % 32] >> j / 32 & 1;
        out->q[j] = (int8_t)(two_bits(b->q, j) + 4 * high - 4);
    }
}

static void widen_q4_k_scales(const uint8_t packed[12], struct wide256 *out) {
    union k_scales scales = q4_k_scales(packed);
    for (int j = 0; j < 16; j++) {
        out->scale[j] = scales.at[j / 2];
        out->m[j] = scales.at[8 + j / 2];
    }
}

static void widen_q4_k(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_q4_k *b = (const struct block_q4_k *)blocks + i;
    out->d = f16_to_f32(b->d);
    out->dmin = f16_to_f32(b->dmin);
    widen_q4_k_scales(b->scales, out);
    for (int j = 0; j < 256; j++)
        out->q[j] = b->q[j / 64 * 32 + j % 32] >> j % 64 / 32 * 4 & 15;
}

static void widen_q5_k(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_q5_k *b = (const struct block_q5_k *)blocks + i;
    out->d = f16_to_f32(b->d);
    out->dmin = f16_to_f32(b->dmin);
    widen_q4_k_scales(b->scales, out);
    for (int j = 0; j < 256; j++) {
        int low = b->q[j / 64 * 32 + j % 32] >> j % 64 / 32 * 4 & 15;
        out->q[j] = (int8_t)(low + (b->high[j % 32] >> j / 32 & 1) * 16);
    }
}

static void widen_q6_k(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_q6_k *b = (const struct block_q6_k *)blocks + i;
    *out = (struct wide256){.d = f16_to_f32(b->d)};
    for (int j = 0; j < 16; j++)
        out->scale[j] = b->scales[j];
    for (int j = 0; j < 256; j++) {
        int low = b->q[j / 128 * 64 + j % 64] >> j % 128 / 64 * 4 & 15;
        out->q[j] = (int8_t)((low | two_bits(b->high, j) << 4) - 32);
    }
}

static void widen_iq4_xs(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq4_xs *b = (const struct block_iq4_xs *)blocks + i;
    *out = (struct wide256){.d = f16_to_f32(b->d)};
    for (int j = 0; j < 16; j++)
        out->scale[j] = (int16_t)iq4_xs_scale(b, j / 2);
    for (int j = 0; j < 8; j++)
        look_up_nibbles(b->q + 16 * j, iq4_levels, out->q + 32 * j);
}

static void widen_tq2_0(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_tq2_0 *b = (const struct block_tq2_0 *)blocks + i;
    *out = (struct wide256){.d = f16_to_f32(b->d)};
    for (int j = 0; j < 16; j++)
        out->scale[j] = 1;
    for (int j = 0; j < 256; j++)
        out->q[j] = (int8_t)(two_bits(b->q, j) - 1);
}

DEFINE_LINEAR(q4_0, 32, act_q8)
DEFINE_LINEAR(q4_1, 32, act_q8)
DEFINE_LINEAR(q5_0, 32, act_q8)
DEFINE_LINEAR(q5_1, 32, act_q8)
DEFINE_LINEAR(q8_0, 32, act_q8)
DEFINE_LINEAR(iq4_nl, 32, act_q8)
DEFINE_LINEAR(mxfp4, 32, act_q8)
DEFINE_LINEAR(nvfp4, 32, act_q8)
DEFINE_LINEAR(q2_k, 256, act_q8k)
DEFINE_LINEAR(q3_k, 256, act_q8k)
DEFINE_LINEAR(q4_k, 256, act_q8k)
DEFINE_LINEAR(q5_k, 256, act_q8k)
DEFINE_LINEAR(q6_k, 256, act_q8k)
DEFINE_LINEAR(iq4_xs, 256, act_q8k)
DEFINE_LINEAR(tq2_0, 256, act_q8k)

void scalar_fill_quant(struct kernels *k) {
    k->quantize_act[ACT_Q8] = quantize_q8;
    k->quantize_act[ACT_Q8_K] = quantize_q8k;
    set_linear(k, ELEM_Q4_0, ACT_Q8, linear_q4_0);
    set_linear(k, ELEM_Q4_1, ACT_Q8, linear_q4_1);
    set_linear(k, ELEM_Q5_0, ACT_Q8, linear_q5_0);
    set_linear(k, ELEM_Q5_1, ACT_Q8, linear_q5_1);
    set_linear(k, ELEM_Q8_0, ACT_Q8, linear_q8_0);
    set_linear(k, ELEM_IQ4_NL, ACT_Q8, linear_iq4_nl);
    set_linear(k, ELEM_MXFP4, ACT_Q8, linear_mxfp4);
    set_linear(k, ELEM_NVFP4, ACT_Q8, linear_nvfp4);
    set_linear(k, ELEM_Q2_K, ACT_Q8_K, linear_q2_k);
    set_linear(k, ELEM_Q3_K, ACT_Q8_K, linear_q3_k);
    set_linear(k, ELEM_Q4_K, ACT_Q8_K, linear_q4_k);
    set_linear(k, ELEM_Q5_K, ACT_Q8_K, linear_q5_k);
    set_linear(k, ELEM_Q6_K, ACT_Q8_K, linear_q6_k);
    set_linear(k, ELEM_IQ4_XS, ACT_Q8_K, linear_iq4_xs);
    set_linear(k, ELEM_TQ2_0, ACT_Q8_K, linear_tq2_0);
}
