#include "device/packed_product.h"

enum { LINE_BYTES = 64 };

/* Where the values from `value` on of a packed matrix of n_rows rows begin. */
static size_t block_offset(const struct gemm_kernels *g, size_t panel_rows, size_t n_rows,
                           size_t value) {
    return gemm_panel_bytes(g, (n_rows + panel_rows - 1) / panel_rows * panel_rows, value);
}

size_t packed_bytes(const struct gemm_kernels *g, size_t panel_rows, size_t n_rows, size_t k) {
    size_t bytes = block_offset(g, panel_rows, n_rows, k);
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

typedef void (*pack_function)(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                              size_t panel_bytes);

static size_t depth_at(const struct gemm_kernels *g, size_t value, size_t k) {
    return k - value < g->depth ? k - value : g->depth;
}

static void pack(const struct gemm_kernels *g, pack_function pack_block, size_t panel_rows,
                 const struct gemm_floats *x, size_t n_rows, size_t k, char *panels) {
    for (size_t i = 0; i < k; i += g->depth) {
        struct gemm_floats part = *x;
        size_t n = depth_at(g, i, k);
        part.data += x->transposed ? i * x->stride : i;
        pack_block(&part, n_rows, n, panels + block_offset(g, panel_rows, n_rows, i),
                   gemm_panel_bytes(g, panel_rows, n));
    }
}

void packed_a(const struct gemm_kernels *g, const struct gemm_floats *x, size_t n_rows, size_t k,
              void *panels) {
    pack(g, g->pack_a, g->a_rows, x, n_rows, k, panels);
}

void packed_b(const struct gemm_kernels *g, const struct gemm_floats *x, size_t n_rows, size_t k,
              void *panels) {
    pack(g, g->pack_b, g->b_rows, x, n_rows, k, panels);
}

void packed_multiply(const struct gemm_kernels *g, const struct gemm_block *block) {
    for (size_t i = 0; i < block->k; i += g->depth) {
        struct gemm_block part = *block;
        part.a = (const char *)block->a + block_offset(g, g->a_rows, block->m, i);
        part.b = (const char *)block->b + block_offset(g, g->b_rows, block->n, i);
        part.k = depth_at(g, i, block->k);
        part.add = block->add || i > 0;
        part.bias = i == 0 ? block->bias : NULL;
        g->multiply(&part);
    }
}
