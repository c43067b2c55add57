/* Activation formats in AVX-512; the bits are those of scalar_quant.c. */
#include <immintrin.h>
#include <string.h>

#include "kernels/act_scale.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* The largest magnitude; as integers, NaN is larger than infinity. */
ALWAYS_INLINE __m512i magnitude(__m512 x) {
    return _mm512_castps_si512(_mm512_abs_ps(x));
}

/* The squared errors of 32 values, in 256ths of a step, added to `sum`: the low byte of x
 * in those is how far it is from a whole step. */
ALWAYS_INLINE __m512i add_errors(__m512i sum, __m512 low, __m512 high, __m512 fine) {
    __m512i p = _mm512_cvtps_epi32(_mm512_mul_ps(low, fine));
    __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(high, fine));
    __m512i off = _mm512_srai_epi16(_mm512_slli_epi16(_mm512_packs_epi32(p, q), 8), 8);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(off, off));
}

/* The inverse scale of n values, a multiple of 32; 0 where all become zeros. */
ALWAYS_INLINE float choose_scale(const float *x, size_t n, float *scale) {
    __m512i top = _mm512_setzero_si512(), sums[ACT_STEPS];
    for (size_t j = 0; j < n; j += 16)
        top = _mm512_max_epu32(top, magnitude(_mm512_loadu_ps(x + j)));
    uint32_t bits = _mm512_reduce_max_epu32(top);
    float most;
    int32_t errors[ACT_STEPS];
    memcpy(&most, &bits, sizeof most);
    if (!act_matters(most, scale)) return 0;
    UNROLL for (int c = 0; c < ACT_STEPS; c++) {
        __m512 fine = _mm512_set1_ps(act_inverse(most, c) * ACT_FRACTION);
        sums[c] = _mm512_setzero_si512();
        for (size_t j = 0; j < n; j += 32)
            sums[c] =
                add_errors(sums[c], _mm512_loadu_ps(x + j), _mm512_loadu_ps(x + j + 16), fine);
        errors[c] = _mm512_reduce_add_epi32(sums[c]);
    }
    return act_inverse(most, act_choose(most, errors, scale));
}

/* 16 values to bytes; returns them. */
ALWAYS_INLINE __m512i quantize_16(const float *x, __m512 inverse, int8_t *q) {
    __m512i values = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), inverse));
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(values));
    return values;
}

static void quantize_q8(const float *x, void *out, size_t n) {
    struct act_q8 *a = out;
    for (size_t i = 0; i < n / 32; i++, x += 32) {
        float inverse = choose_scale(x, 32, &a[i].scale);
        if (!(inverse > 0)) {
            a[i] = (struct act_q8){.scale = a[i].scale};
            continue;
        }
        __m512i p = quantize_16(x, _mm512_set1_ps(inverse), a[i].q);
        __m512i q = quantize_16(x + 16, _mm512_set1_ps(inverse), a[i].q + 16);
        a[i].sum = _mm512_reduce_add_epi32(_mm512_add_epi32(p, q));
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
            a[i].sums[j] = (int16_t)_mm512_reduce_add_epi32(
                quantize_16(x + 16 * j, _mm512_set1_ps(inverse), a[i].q + 16 * j));
    }
}

void avx512_fill_act(struct kernels *k) {
    k->quantize_act[ACT_Q8] = quantize_q8;
    k->quantize_act[ACT_Q8_K] = quantize_q8k;
}
