#include "kernels/vec_avx512.h"

#include "kernels/activation_kernels.h"
#include "kernels/adamw_kernels.h"
#include "kernels/attention_kernels.h"
#include "kernels/float_kernels.h"
#include "kernels/levels.h"
#include "kernels/scan_kernels.h"

void kernels_fill_avx512(struct kernels *k) {
    k->gemm_f32 = &avx512_gemm;
    fill_float(k);
    fill_activation(k);
    fill_adamw(k);
    fill_scan(k);
    fill_attention(k);
    avx512_fill_act(k);
    avx512_fill_q8(k);
    avx512_fill_q8k(k);
    avx512_fill_iq(k);
}
