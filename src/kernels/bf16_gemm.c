/* Packed products in bfloat16 (AVX512_BF16): a word is a pair of neighbouring values of a row.
 * VDPBF16PS adds both products of a pair, each rounded, to a float sum. */
#include "kernels/vec_avx512.h"

enum { GEMM_ROWS = 12, GEMM_VALUES = 2, GEMM_DEPTH = 512 };
#define GEMM_NAME avx512_gemm_bf16

static inline vf gemm_madd(vf a, vf b, vf c) {
    return _mm512_dpbf16_ps(c, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
}

#include "kernels/gemm_bf16_words.h"
#include "kernels/gemm_panels.h"
