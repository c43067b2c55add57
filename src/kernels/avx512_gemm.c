/* Packed products of floats: 24 of 32 registers hold sums. */
#include "kernels/vec_avx512.h"

#include "kernels/gemm_avx512_panels.h"
#include "kernels/gemm_float_words.h"

enum { GEMM_ROWS = PANEL12_ROWS };
#define GEMM_NAME avx512_gemm
#define GEMM_STORE_PANEL panel12_store
#define GEMM_ACROSS_PANEL across_panel

/* 4 words of 12 rows, as 3 vectors. */
static inline void across_panel(const float *x, size_t stride, float *out) {
    static const int order[3][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19},
        {4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23},
        {8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27}};
    vf word[4];
    UNROLL for (size_t i = 0; i < 4; i++) word[i] = vf_load_some(x + i * stride, PANEL12_ROWS);
    UNROLL for (size_t i = 0; i < 3; i++)
        vf_store(out + i * VF_LANES,
                 _mm512_permutex2var_ps(word[i], _mm512_loadu_si512(order[i]), word[i + 1]));
}

#include "kernels/gemm_panels.h"
