/* Linear layers of codebook super-blocks and TQ1_0 against ACT_Q8_K in AVX-512 VNNI.
 *
 * Blocks are unpacked and laid out in panels as in AVX2, two vectors of 8 rows being one
 * of 16 here. Outputs are formed as avx2_super.h says. */
#include <immintrin.h>
#include <string.h>

#include "kernels/linear_tile.h"

ALWAYS_INLINE void spread_signs(const void *bits, __m256i sign[8]) {
    UNROLL for (int j = 0; j < 8; j++) {
        uint32_t own;
        memcpy(&own, (const char *)bits + 4 * j, sizeof own);
        sign[j] =
            _mm256_mask_blend_epi8(_cvtu32_mask32(own), _mm256_set1_epi8(1), _mm256_set1_epi8(-1));
    }
}

#include "kernels/avx2_iq_blocks.h"
#include "kernels/avx2_super.h"
#include "kernels/avx512_super_many.h"

ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    rows_of_panel(type, a, n_rows, n_tokens);
}

LINEAR_FROM_PANELS(linear_iq2_xxs, ELEM_IQ2_XXS)
LINEAR_FROM_PANELS(linear_iq2_xs, ELEM_IQ2_XS)
LINEAR_FROM_PANELS(linear_iq2_s, ELEM_IQ2_S)
LINEAR_FROM_PANELS(linear_iq3_xxs, ELEM_IQ3_XXS)
LINEAR_FROM_PANELS(linear_iq3_s, ELEM_IQ3_S)
LINEAR_FROM_PANELS(linear_iq1_s, ELEM_IQ1_S)
LINEAR_FROM_PANELS(linear_iq1_m, ELEM_IQ1_M)
LINEAR_FROM_PANELS(linear_tq1_0, ELEM_TQ1_0)

void avx512_fill_iq(struct kernels *k) {
    k->linear[ELEM_IQ2_XXS] = linear_iq2_xxs;
    k->linear[ELEM_IQ2_XS] = linear_iq2_xs;
    k->linear[ELEM_IQ2_S] = linear_iq2_s;
    k->linear[ELEM_IQ3_XXS] = linear_iq3_xxs;
    k->linear[ELEM_IQ3_S] = linear_iq3_s;
    k->linear[ELEM_IQ1_S] = linear_iq1_s;
    k->linear[ELEM_IQ1_M] = linear_iq1_m;
    k->linear[ELEM_TQ1_0] = linear_tq1_0;
}
