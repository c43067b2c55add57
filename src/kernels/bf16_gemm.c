/* Packed products in bfloat16 (AVX512_BF16): a word is a pair of neighbouring values of a row.
 * VDPBF16PS adds both products of a pair, each rounded, to a float sum. */
#include "kernels/vec_avx512.h"

#include "kernels/gemm_avx512_panels.h"

enum { GEMM_ROWS = PANEL12_ROWS, GEMM_VALUES = 2, GEMM_DEPTH = 512 };
#define GEMM_NAME avx512_gemm_bf16
#define GEMM_STORE_PANEL panel12_store
#define GEMM_ACROSS_PANEL across_panel

static inline vf gemm_madd(vf a, vf b, vf c) {
    return _mm512_dpbf16_ps(c, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
}

#include "kernels/gemm_bf16_words.h"

/* 4 words of 12 rows, as 3 vectors. A word's values lie 16 values apart when both have been
 * rounded. */
#define PAIR(i) (i), (i) + 16
static inline void across_panel(const float *x, size_t stride, float *out) {
    static const uint16_t order[3][32] = {
        {PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), PAIR(7), PAIR(8), PAIR(9),
         PAIR(10), PAIR(11), PAIR(32), PAIR(33), PAIR(34), PAIR(35)},
        {PAIR(4), PAIR(5), PAIR(6), PAIR(7), PAIR(8), PAIR(9), PAIR(10), PAIR(11), PAIR(32),
         PAIR(33), PAIR(34), PAIR(35), PAIR(36), PAIR(37), PAIR(38), PAIR(39)},
        {PAIR(8), PAIR(9), PAIR(10), PAIR(11), PAIR(32), PAIR(33), PAIR(34), PAIR(35), PAIR(36),
         PAIR(37), PAIR(38), PAIR(39), PAIR(40), PAIR(41), PAIR(42), PAIR(43)}};
    __m512i word[4];
    UNROLL for (size_t i = 0; i < 4; i++) {
        const float *at = x + 2 * i * stride;
        word[i] = (__m512i)_mm512_cvtne2ps_pbh(vf_load_some(at + stride, PANEL12_ROWS),
                                               vf_load_some(at, PANEL12_ROWS));
    }
    UNROLL for (size_t i = 0; i < 3; i++) _mm512_storeu_si512(
        out + i * VF_LANES,
        _mm512_permutex2var_epi16(word[i], _mm512_loadu_si512(order[i]), word[i + 1]));
}

#include "kernels/gemm_panels.h"
