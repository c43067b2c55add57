/* Linear layers of codebook super-blocks and TQ1_0 against ACT_Q8_K in AVX2. */
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
