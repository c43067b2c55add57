/* gemm_bf16_words.h - floats to words of two bfloat16 values, rounded to nearest even;
 * denormal numbers become zero. For AVX512_BF16. */
#ifndef HEARTH_KERNELS_GEMM_BF16_WORDS_H
#define HEARTH_KERNELS_GEMM_BF16_WORDS_H

#include "kernels/linear_tile.h"
#include "kernels/vec_avx512.h"

/* 16 words: the first 32 of x, which may be fewer. */
static inline vf gemm_run_some(const float *x, size_t n) {
    uint32_t mask = n < 32 ? (1u << n) - 1 : 0xffffffffu;
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, x);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16);
    return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low));
}
static inline vf gemm_run(const float *x) {
    return gemm_run_some(x, 32);
}

/* Pairs of the lanes of two vectors. */
static inline vf gemm_pairs(__m512 first, __m512 second) {
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_loadu_si512(order), both));
}
static inline vf gemm_across(const float *x, size_t stride) {
    return gemm_pairs(_mm512_loadu_ps(x), _mm512_loadu_ps(x + stride));
}
static inline vf gemm_across_some(const float *x, size_t stride, size_t rows, size_t n) {
    __mmask16 lanes = vf_mask(rows), paired = n > 1 ? lanes : 0;
    const float *second = n > 1 ? x + stride : x;
    return gemm_pairs(_mm512_maskz_loadu_ps(lanes, x), _mm512_maskz_loadu_ps(paired, second));
}

#endif
