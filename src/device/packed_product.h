/* packed_product.h - products of matrices small enough that one thread packs and multiplies
 * them for itself, in memory of its own (cpu_gemm.h divides larger ones).
 *
 * A packed matrix is blocks of at most g->depth values of all its rows, each made of panels
 * (kernels/gemm.h). */
#ifndef HEARTH_DEVICE_PACKED_PRODUCT_H
#define HEARTH_DEVICE_PACKED_PRODUCT_H

#include "kernels/gemm.h"

/* What n_rows rows of k values take, filled up to whole cache lines. Less rows, or less values,
 * take no more. */
size_t packed_bytes(const struct gemm_kernels *g, size_t panel_rows, size_t n_rows, size_t k);
/* As the first operand of a product, or as the second. `panels` is aligned to 64 bytes. */
void packed_a(const struct gemm_kernels *g, const struct gemm_floats *x, size_t n_rows, size_t k,
              void *panels);
void packed_b(const struct gemm_kernels *g, const struct gemm_floats *x, size_t n_rows, size_t k,
              void *panels);
/* block->k may be anything. */
void packed_multiply(const struct gemm_kernels *g, const struct gemm_block *block);

#endif
