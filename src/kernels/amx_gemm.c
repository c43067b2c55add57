/* Packed products on the matrix unit (AMX), in bfloat16: a panel is a column of tiles of
 * 16 rows x 32 values, those of B with pairs of values in their rows (amx_tile.h). Two tiles of
 * A and two of B make four products a step. */
#include <string.h>

#include "kernels/amx_tile.h"
#include "kernels/gemm.h"
#include "kernels/gemm_bf16_words.h"

enum { TILE_WORDS = TILE_BYTES / sizeof(uint32_t), STEP_VALUES = 32, GEMM_DEPTH = 512 };

/* A tile of words by rows (pairs after pairs of a row), or by pairs. */
static void pack_tile(const struct gemm_floats *x, size_t n_rows, size_t k, bool by_pairs,
                      float *out) {
    vf v[TILE_ROWS];
    for (size_t j = 0; j < TILE_ROWS; j++) {
        v[j] = vf_zero();
        if (x->transposed && 2 * j < k)
            v[j] = gemm_across_some(x->data + 2 * j * x->stride, x->stride,
                                    at_most(n_rows, TILE_ROWS), k - 2 * j);
        if (!x->transposed && j < n_rows) v[j] = gemm_run_some(x->data + j * x->stride, k);
    }
    if (x->transposed != by_pairs) vf_transpose(v);
    for (size_t j = 0; j < TILE_ROWS; j++)
        vf_store(out + j * TILE_ROWS, v[j]);
}

static void pack_tiles(const struct gemm_floats *x, size_t n_rows, size_t k, bool by_pairs,
                       float *out, size_t panel_floats) {
    for (size_t r = 0; r < n_rows; r += TILE_ROWS, out += panel_floats)
        for (size_t i = 0; i < k; i += STEP_VALUES) {
            struct gemm_floats tile = *x;
            tile.data += x->transposed ? i * x->stride + r : r * x->stride + i;
            pack_tile(&tile, n_rows - r, k - i, by_pairs, out + i / STEP_VALUES * TILE_WORDS);
        }
}

static void pack_tiles_a(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                         size_t panel_bytes) {
    pack_tiles(x, n_rows, k, false, panels, panel_bytes / sizeof(float));
}

static void pack_tiles_b(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                         size_t panel_bytes) {
    pack_tiles(x, n_rows, k, true, panels, panel_bytes / sizeof(float));
}

/* `rows` panels of A times `columns` panels of B, `panel` floats each. */
ALWAYS_INLINE void multiply_tiles_of(int rows, int columns, size_t n_steps, const float *a,
                                     const float *b, size_t panel,
                                     float products[2][2][TILE_WORDS]) {
    TILE_ZERO(0);
    if (columns > 1) TILE_ZERO(1);
    if (rows > 1) TILE_ZERO(2);
    if (rows > 1 && columns > 1) TILE_ZERO(3);
    for (size_t i = 0; i < n_steps; i++, a += TILE_WORDS, b += TILE_WORDS) {
        TILE_LOAD(4, a);
        TILE_LOAD(6, b);
        TILE_DOT(0, 4, 6);
        if (columns > 1) {
            TILE_LOAD(7, b + panel);
            TILE_DOT(1, 4, 7);
        }
        if (rows > 1) {
            TILE_LOAD(5, a + panel);
            TILE_DOT(2, 5, 6);
        }
        if (rows > 1 && columns > 1) TILE_DOT(3, 5, 7);
    }
    TILE_STORE(products[0][0], 0);
    if (columns > 1) TILE_STORE(products[0][1], 1);
    if (rows > 1) TILE_STORE(products[1][0], 2);
    if (rows > 1 && columns > 1) TILE_STORE(products[1][1], 3);
}

/* A tile of sums to C, from (row, column) on, m x n of them. */
static void write_tile_of(const struct gemm_block *block, const float *sums, size_t row,
                          size_t column, size_t m, size_t n) {
    vf v[TILE_ROWS], alpha = vf_set1(block->alpha), bias = vf_zero();
    bool turn = block->c_transposed;
    size_t n_rows = turn ? n : m, first = turn ? row : column;
    float *c = block->c + (turn ? column : row) * block->c_stride + first;
    __mmask16 lanes = vf_mask(turn ? m : n);
    memcpy(v, sums, sizeof v);
    if (turn) vf_transpose(v);
    if (block->bias) bias = _mm512_maskz_loadu_ps(lanes, block->bias + first);
    for (size_t r = 0; r < n_rows; r++, c += block->c_stride) {
        vf value = vf_mul(alpha, v[r]);
        if (block->add) value = vf_fma(alpha, v[r], _mm512_maskz_loadu_ps(lanes, c));
        if (block->bias) value = vf_add(value, bias);
        _mm512_mask_storeu_ps(c, lanes, value);
    }
}

static void multiply_square(const struct gemm_block *block, size_t row, size_t column) {
    enum { PANELS = 2, SQUARE = PANELS * TILE_ROWS };
    _Alignas(64) float products[PANELS][PANELS][TILE_WORDS];
    size_t steps = (block->k + STEP_VALUES - 1) / STEP_VALUES, panel = steps * TILE_WORDS;
    const float *a = (const float *)block->a + row / TILE_ROWS * panel;
    const float *b = (const float *)block->b + column / TILE_ROWS * panel;
    size_t m = at_most(block->m - row, SQUARE), n = at_most(block->n - column, SQUARE);
    if (m > TILE_ROWS && n > TILE_ROWS)
        multiply_tiles_of(2, 2, steps, a, b, panel, products);
    else if (m > TILE_ROWS)
        multiply_tiles_of(2, 1, steps, a, b, panel, products);
    else if (n > TILE_ROWS)
        multiply_tiles_of(1, 2, steps, a, b, panel, products);
    else
        multiply_tiles_of(1, 1, steps, a, b, panel, products);
    for (size_t r = 0; r < m; r += TILE_ROWS)
        for (size_t c = 0; c < n; c += TILE_ROWS)
            write_tile_of(block, products[r / TILE_ROWS][c / TILE_ROWS], row + r, column + c,
                          at_most(m - r, TILE_ROWS), at_most(n - c, TILE_ROWS));
}

static void multiply_blocks(const struct gemm_block *block) {
    tile_configure();
    for (size_t r = 0; r < block->m; r += 2 * TILE_ROWS)
        for (size_t c = 0; c < block->n; c += 2 * TILE_ROWS)
            multiply_square(block, r, c);
    tile_release();
}

const struct gemm_kernels AMX_GEMM = {
    .a_rows = TILE_ROWS,
    .b_rows = TILE_ROWS,
    .step = STEP_VALUES,
    .depth = GEMM_DEPTH,
    .value_bytes = sizeof(uint16_t),
    .pack_a = pack_tiles_a,
    .pack_b = pack_tiles_b,
    .multiply = multiply_blocks,
};
