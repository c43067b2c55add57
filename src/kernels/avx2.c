#include "kernels/vec_avx2.h"

#include "kernels/activation_kernels.h"
#include "kernels/adamw_kernels.h"
#include "kernels/attention_kernels.h"
#include "kernels/float_kernels.h"
#include "kernels/levels.h"
#include "kernels/scan_kernels.h"

void kernels_fill_avx2(struct kernels *k) {
    k->gemm_f32 = &avx2_gemm;
    fill_float(k);
    fill_activation(k);
    fill_adamw(k);
    fill_scan(k);
    fill_attention(k);
    avx2_fill_dequantize(k);
    avx2_fill_act(k);
    avx2_fill_q8(k);
    avx2_fill_nvfp4(k);
    avx2_fill_q8k(k);
    avx2_fill_iq(k);
}
