/* Activation formats in AVX2; the bits are those of scalar_quant.c. */
#include <immintrin.h>

#include "kernels/act_scale.h"
#include "kernels/avx2_lanes.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* Largest magnitude of 8 lanes; as integers, NaN is larger than infinity. */
ALWAYS_INLINE __m256i magnitude(const float *x) {
    return _mm256_and_si256(load256(x), _mm256_set1_epi32(0x7fffffff));
}

ALWAYS_INLINE float largest(__m256i bits) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    m = _mm_max_epi32(m, _mm_unpackhi_epi64(m, m));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

/* 16 values to bytes; returns their sum. */
ALWAYS_INLINE int quantize_16(const float *x, __m256 inverse, int8_t *q) {
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
    __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), inverse));
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
    _mm_storeu_si128((__m128i *)(void *)q, _mm_packs_epi16(low, high));
    __m128i s = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));
    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}

/* The squared errors of 16 values, in 256ths of a step: the low byte of x in those is how
 * far it is from a whole step. */
ALWAYS_INLINE __m256i errors_of_16(const float *x, __m256 fine) {
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), fine));
    __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), fine));
    __m256i off = _mm256_srai_epi16(_mm256_slli_epi16(_mm256_packs_epi32(a, b), 8), 8);
    return _mm256_madd_epi16(off, off);
}

ALWAYS_INLINE int32_t lane_sum(__m256i a) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}

/* The inverse scale of n values, a multiple of 16; 0 where all become zeros. */
ALWAYS_INLINE float choose_scale(const float *x, size_t n, float *scale) {
    __m256i top = magnitude(x);
    for (size_t j = 8; j < n; j += 8)
        top = _mm256_max_epi32(top, magnitude(x + j));
    float most = largest(top);
    int32_t errors[ACT_STEPS];
    if (!act_matters(most, scale)) return 0;
    UNROLL for (int c = 0; c < ACT_STEPS; c++) {
        __m256 fine = _mm256_set1_ps(act_inverse(most, c) * ACT_FRACTION);
        __m256i sum = errors_of_16(x, fine);
        for (size_t j = 16; j < n; j += 16)
            sum = _mm256_add_epi32(sum, errors_of_16(x + j, fine));
        errors[c] = lane_sum(sum);
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
        a[i].sum = quantize_16(x, _mm256_set1_ps(inverse), a[i].q);
        a[i].sum += quantize_16(x + 16, _mm256_set1_ps(inverse), a[i].q + 16);
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
            a[i].sums[j] =
                (int16_t)quantize_16(x + 16 * j, _mm256_set1_ps(inverse), a[i].q + 16 * j);
    }
}

void avx2_fill_act(struct kernels *k) {
    k->quantize_act[ACT_Q8] = quantize_q8;
    k->quantize_act[ACT_Q8_K] = quantize_q8k;
}
