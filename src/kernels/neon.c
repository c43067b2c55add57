#include "kernels/vec_neon.h"

#include "kernels/activation_kernels.h"
#include "kernels/adamw_kernels.h"
#include "kernels/attention_kernels.h"
#include "kernels/float_kernels.h"
#include "kernels/levels.h"
#include "kernels/scan_kernels.h"

/* Types that only the oracle has a dot product of: their rows are multiplied faster as
 * floats. */
static const enum elem without_dots[] = {
    ELEM_IQ2_XXS, ELEM_IQ2_XS, ELEM_IQ2_S, ELEM_IQ3_XXS, ELEM_IQ3_S,
    ELEM_IQ1_S,   ELEM_IQ1_M,  ELEM_TQ1_0, ELEM_Q1_0,    ELEM_Q2_0,
};

void kernels_fill_neon(struct kernels *k) {
    k->gemm_f32 = &neon_gemm;
    fill_float(k);
    fill_activation(k);
    fill_adamw(k);
    fill_scan(k);
    fill_attention(k);
    neon_fill_act(k);
    for (size_t i = 0; i < sizeof without_dots / sizeof *without_dots; i++)
        k->linear[without_dots[i]] = NULL;
}
