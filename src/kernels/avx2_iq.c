/* Linear layers of codebook super-blocks and TQ1_0 against ACT_Q8_K in AVX2. */
#include <immintrin.h>
#include <string.h>

#include "kernels/linear_tile.h"

ALWAYS_INLINE void spread_signs(const void *bits, __m256i sign[8]) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i each = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    UNROLL for (int j = 0; j < 8; j++) {
        int own;
        memcpy(&own, (const char *)bits + 4 * j, sizeof own);
        __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32(own), spread);
        v = _mm256_cmpeq_epi8(_mm256_and_si256(v, each), each);
        sign[j] = _mm256_or_si256(v, _mm256_set1_epi8(1));
    }
}

#include "kernels/avx2_iq_blocks.h"

#include "kernels/avx2_super_many.h"

LINEAR_FROM_PANELS(linear_iq2_xxs, ELEM_IQ2_XXS)
LINEAR_FROM_PANELS(linear_iq2_xs, ELEM_IQ2_XS)
LINEAR_FROM_PANELS(linear_iq2_s, ELEM_IQ2_S)
LINEAR_FROM_PANELS(linear_iq3_xxs, ELEM_IQ3_XXS)
LINEAR_FROM_PANELS(linear_iq3_s, ELEM_IQ3_S)
LINEAR_FROM_PANELS(linear_iq1_s, ELEM_IQ1_S)
LINEAR_FROM_PANELS(linear_iq1_m, ELEM_IQ1_M)
LINEAR_FROM_PANELS(linear_tq1_0, ELEM_TQ1_0)

void avx2_fill_iq(struct kernels *k) {
    iq_points_fill();
    k->linear[ELEM_IQ2_XXS] = linear_iq2_xxs;
    k->linear[ELEM_IQ2_XS] = linear_iq2_xs;
    k->linear[ELEM_IQ2_S] = linear_iq2_s;
    k->linear[ELEM_IQ3_XXS] = linear_iq3_xxs;
    k->linear[ELEM_IQ3_S] = linear_iq3_s;
    k->linear[ELEM_IQ1_S] = linear_iq1_s;
    k->linear[ELEM_IQ1_M] = linear_iq1_m;
    k->linear[ELEM_TQ1_0] = linear_tq1_0;
}
