/* gemm.h - the inner part of matrix products: C = alpha A B^T [+ C] [+ bias] over packed
 * panels (Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS
 * 34, 2008; Van Zee & van de Geijn, BLIS, ACM TOMS 41, 2015).
 *
 * Rows of A, and rows of B, are packed a few side by side, in the order in which they are
 * multiplied: what is packed once serves many products, and how the matrices were stored no
 * longer matters. The caller chooses what is packed when, so that it stays in a cache, and
 * divides the rows (device/cpu_gemm.h).
 *
 * Invariant: a value of C is the sum of its products in the order of k, added to C block after
 * block of `depth` of them, whatever the other rows of A and B are and however they are divided
 * among panels. */
#ifndef HEARTH_KERNELS_GEMM_H
#define HEARTH_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/* Floats to be packed: value i of row r is data[r * stride + i], or data[i * stride + r]. */
struct gemm_floats {
    const float *data;
    size_t stride;
    bool transposed;
};

/* Panels of k values, multiplied with each other. Value (r, c) of C [m, n] is
 * c[r * c_stride + c], or c[c * c_stride + r] where it is transposed. */
struct gemm_block {
    const void *a, *b; /* panels one after the other, gemm_panel_bytes each */
    size_t m, n, k;    /* k <= depth */
    float *c;
    size_t c_stride;
    bool c_transposed;
    float alpha;
    bool add;          /* to what is in C */
    const float *bias; /* added to every stored row of C; NULL: none */
};

struct gemm_kernels {
    size_t a_rows, b_rows; /* of a panel */
    size_t step;           /* values of a row that lie together; k is filled up with zeros */
    size_t depth;          /* most values multiplied at a time, a multiple of 256 */
    size_t value_bytes;
    /* Packs n_rows rows of k values into panels, panel_bytes apart; rows
     * that the last panel has too many are zeros. Where panels hold longer rows, values from i
     * on, a multiple of `step`, go to their address plus gemm_panel_bytes(.., i). */
    void (*pack_a)(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                   size_t panel_bytes);
    void (*pack_b)(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                   size_t panel_bytes);
    void (*multiply)(const struct gemm_block *block);
};

static inline size_t gemm_panel_bytes(const struct gemm_kernels *g, size_t panel_rows, size_t k) {
    return panel_rows * ((k + g->step - 1) / g->step * g->step) * g->value_bytes;
}

/* Float products, and products of values rounded to bfloat16 (to nearest even) with float
 * sums; the latter may take denormal numbers for zero. */
extern const struct gemm_kernels scalar_gemm, avx2_gemm, avx512_gemm, neon_gemm;
extern const struct gemm_kernels avx512_gemm_bf16, amx_gemm_bf16;

#endif
