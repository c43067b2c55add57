/* The oracle of packed matrix products. A panel of n rows: value i of row r at [i * n + r]. */
#include "kernels/levels.h"

enum { PANEL_ROWS = 4, DEPTH = 256 };

static void pack(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                 size_t panel_bytes) {
    size_t whole = (n_rows + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS;
    for (size_t r = 0; r < whole; r++)
        for (size_t i = 0; i < k; i++) {
            size_t at = x->transposed ? i * x->stride + r : r * x->stride + i;
            float *panel = (float *)panels + r / PANEL_ROWS * (panel_bytes / sizeof(float));
            panel[i * PANEL_ROWS + r % PANEL_ROWS] = r < n_rows ? x->data[at] : 0;
        }
}

/* The element of row r of a panel after panel. */
static double element(const void *panels, size_t k, size_t r, size_t i) {
    const float *panel = (const float *)panels + r / PANEL_ROWS * PANEL_ROWS * k;
    return (double)panel[i * PANEL_ROWS + r % PANEL_ROWS];
}

static void multiply(const struct gemm_block *block) {
    for (size_t r = 0; r < block->m; r++)
        for (size_t c = 0; c < block->n; c++) {
            size_t row = block->c_transposed ? c : r, column = block->c_transposed ? r : c;
            float *out = block->c + row * block->c_stride + column;
            double sum = 0;
            for (size_t i = 0; i < block->k; i++)
                sum += element(block->a, block->k, r, i) * element(block->b, block->k, c, i);
            float value = block->alpha * (float)sum + (block->add ? *out : 0);
            *out = block->bias ? value + block->bias[column] : value;
        }
}

const struct gemm_kernels scalar_gemm = {
    .a_rows = PANEL_ROWS,
    .b_rows = PANEL_ROWS,
    .step = 1,
    .depth = DEPTH,
    .value_bytes = sizeof(float),
    .pack_a = pack,
    .pack_b = pack,
    .multiply = multiply,
};
