/* adamw.h - one step of AdamW (Loshchilov & Hutter, "Decoupled weight decay
 * regularization", arXiv 1711.05101) and how its moments are kept in 8 bits.
 *
 * For a value w with gradient g' = gradient_scale g:
 *     m <- beta1 m + (1 - beta1) g'        v <- beta2 v + (1 - beta2) g'^2
 *     w <- w - decay w - rate (m correction1) / (sqrt(v correction2) + epsilon)
 * All levels give the same bits: the operations are those above, one by one. */
#ifndef HEARTH_KERNELS_ADAMW_H
#define HEARTH_KERNELS_ADAMW_H

#include <stddef.h>
#include <stdint.h>

struct adamw {
    float rate;           /* learning rate of this step */
    float beta1, beta2;   /* of the moments */
    float epsilon;        /* keeps the division finite */
    float decay;          /* learning rate times weight decay; 0: none */
    float correction1;    /* 1 / (1 - beta1^t), t steps from 1 */
    float correction2;    /* 1 / (1 - beta2^t) */
    float gradient_scale; /* clipping and the mean over tokens */
};

/* 256 values of a moment in 8 bits each, relative to the largest of them (blocks as in
 * Dettmers et al., "8-bit optimizers via block-wise quantization", arXiv 2110.02861). A code
 * is a small float with 4 bits of exponent; 0 means 0. */
enum { MOMENT8_VALUES = 256 };
struct moment8 {
    float scale;
    uint8_t codes[MOMENT8_VALUES];
};

/* The first moment: sign and 3 bits of fraction; values below about 2^-15 of the largest become 0.
 * n <= MOMENT8_VALUES; codes from n on are 0. */
void moment8_put_signed(const float *m, size_t n, struct moment8 *out);
void moment8_get_signed(const struct moment8 *block, float *m, size_t n);
/* The second moment, n values >= 0, as its square root with 4 bits of fraction. Only 0
 * becomes 0: a step divides by this root, and m might not be 0. */
void moment8_put_root(const float *v, size_t n, struct moment8 *out);
void moment8_get_root(const struct moment8 *block, float *v, size_t n);

#endif
