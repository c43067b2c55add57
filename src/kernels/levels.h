/* levels.h - the parts of the fills declared in kernels.h, one per family of kernels. */
#ifndef HEARTH_KERNELS_LEVELS_H
#define HEARTH_KERNELS_LEVELS_H

#include "kernels/kernels.h"

/* Activation formats and quantised linear layers. */
void scalar_fill_quant(struct kernels *k);
/* Activation functions. */
void scalar_fill_activation(struct kernels *k);
/* The step of the optimiser. */
void scalar_fill_adamw(struct kernels *k);
/* Recurrences. */
void scalar_fill_scan(struct kernels *k);
/* Scores and weighted sums of attention. */
void scalar_fill_attention(struct kernels *k);

/* Quantised linear layers of codebooks, trits and bits. */
void scalar_fill_iq(struct kernels *k);

/* Only activation formats. */
void avx2_fill_act(struct kernels *k);
void avx512_fill_act(struct kernels *k);
void neon_fill_act(struct kernels *k);

/* Only blocks to floats. */
void avx2_fill_dequantize(struct kernels *k);

/* 32-value blocks against ACT_Q8; 256-value blocks against ACT_Q8_K. */
void avx2_fill_q8(struct kernels *k);
void avx2_fill_nvfp4(struct kernels *k);
void avx2_fill_q8k(struct kernels *k);
void avx2_fill_iq(struct kernels *k);
void avx512_fill_q8(struct kernels *k);
void avx512_fill_q8k(struct kernels *k);
void avx512_fill_iq(struct kernels *k);
void vbmi_fill_iq(struct kernels *k); /* over what avx512_fill_iq() wrote */
void dotprod_fill_q8(struct kernels *k);
void i8mm_fill_q8(struct kernels *k);

/* Products of prompts on the matrix unit. */
extern const struct prompt_kernels amx_prompt;

#endif
