/* Activation formats in NEON; the bits are those of scalar_quant.c. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/act_scale.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* The largest magnitude; as integers, NaN is larger than infinity. */
ALWAYS_INLINE float largest(const float *x, size_t n) {
    uint32x4_t most = vdupq_n_u32(0);
    for (size_t i = 0; i < n; i += 4)
        most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
    uint32_t bits = vmaxvq_u32(most);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

ALWAYS_INLINE int16x8_t quantize_8(const float *x, float inverse) {
    int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse));
    int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), inverse));
    return vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
}

/* 16 values to bytes; returns their sum. */
ALWAYS_INLINE int quantize_16(const float *x, float inverse, int8_t *q) {
    int16x8_t low = quantize_8(x, inverse), high = quantize_8(x + 8, inverse);
    vst1q_s8(q, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
    return vaddvq_s16(vaddq_s16(low, high));
}

/* The squared errors of 8 values, in 256ths of a step: the low byte of x in those is how
 * far it is from a whole step. */
ALWAYS_INLINE int32x4_t add_errors(int32x4_t sum, const float *x, float fine) {
    int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), fine));
    int32x4_t high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), fine));
    int8x8_t off = vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high)));
    return vpadalq_s16(sum, vmull_s8(off, off));
}

/* The inverse scale of n values, a multiple of 8; 0 where all become zeros. */
ALWAYS_INLINE float choose_scale(const float *x, size_t n, float *scale) {
    float most = largest(x, n);
    int32_t errors[ACT_STEPS];
    if (!act_matters(most, scale)) return 0;
    UNROLL for (int c = 0; c < ACT_STEPS; c++) {
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t j = 0; j < n; j += 8)
            sum = add_errors(sum, x + j, act_inverse(most, c) * ACT_FRACTION);
        errors[c] = vaddvq_s32(sum);
    }
    return act_inverse(most, act_choose(most, errors, scale));
}

static void quantize_q8(const float *x, void *out, size_t n) {
    struct act_q8 *a = out;
    for (size_t i = 0; i < n / 32; i++, x += 32) {
        float inverse = choose_scale(x, 32, &a[i].scale);
        if (!(inverse > 0)) {
            a[i] = (struct act_q8){.scale = a[i].scale};
            continue;
        }
        a[i].sum = quantize_16(x, inverse, a[i].q);
        a[i].sum += quantize_16(x + 16, inverse, a[i].q + 16);
    }
}

static void quantize_q8k(const float *x, void *out, size_t n) {
    struct act_q8k *a = out;
    for (size_t i = 0; i < n / 256; i++, x += 256) {
        float inverse = choose_scale(x, 256, &a[i].scale);
        if (!(inverse > 0)) {
            a[i] = (struct act_q8k){.scale = a[i].scale};
            continue;
        }
        for (size_t j = 0; j < 16; j++)
            a[i].sums[j] = (int16_t)quantize_16(x + 16 * j, inverse, a[i].q + 16 * j);
    }
}

void neon_fill_act(struct kernels *k) {
    k->quantize_act[ACT_Q8] = quantize_q8;
    k->quantize_act[ACT_Q8_K] = quantize_q8k;
}
