/* gemm_panels.h - packed matrix products of a level, written once over vector words.
 * It has no include guard: it is the body of one source file per level.
 *
 * Panels are made of words of 32 bits, one float or GEMM_VALUES smaller values of a row: word
 * w of row r of a panel is at [w * rows + r]. A tile of C, GEMM_ROWS x GEMM_COLUMNS, stays in
 * registers while the words of a block pass by: a word of each row of A, broadcast, is
 * multiplied with a word of all rows of B. The panel of A stays in the first-level cache for
 * all panels of B, which come from the second.
 *
 * Included after vec_<level>.h by files that define, besides vf_transpose:
 *   GEMM_VALUES, GEMM_DEPTH, GEMM_ROWS, GEMM_NAME
 *   gemm_madd(a, b, c)                  c + a b, for each word
 *   gemm_run(x), gemm_run_some(x, n)    words of one row: the values from x on, n of them
 *   gemm_across(x, stride), gemm_across_some(x, stride, rows, n)
 *                                       one word of VF_LANES rows, values of a row `stride` apart;
 *                                       of so many rows, made of n values */
#include "kernels/gemm.h"
#include "kernels/linear_tile.h"

/* Word r of the GEMM_ROWS at a in every lane. */
#ifndef GEMM_ONE
#define GEMM_ONE(a, r) vf_held(vf_set1((a)[r]))
#endif

enum {
    GEMM_VECTORS = 2,
    GEMM_COLUMNS = GEMM_VECTORS * VF_LANES,
    GEMM_RUN = VF_LANES * GEMM_VALUES,
    GEMM_SOME_ROWS = (GEMM_ROWS + 2) / 3 /* tiles of fewer rows have a multiple of these */
};

/* The rows of a panel of A fill a part of a vector or whole ones. */
_Static_assert((int)GEMM_ROWS < (int)VF_LANES || (int)GEMM_ROWS % (int)VF_LANES == 0, "stores");

/* ---- packing ---- */

/* Some words of neighbouring rows. Where they are fewer than a vector has lanes, what is
 * written too much is where the next words go. */
ALWAYS_INLINE void store_word(float *out, vf word, size_t rows, bool last) {
    if (rows >= VF_LANES || !last)
        vf_store(out, word);
    else
        vf_store_some(out, word, rows);
}

/* VF_LANES rows of VF_LANES words, the last of which may be missing, to their places. */
ALWAYS_INLINE void pack_square(size_t panel, const struct gemm_floats *x, size_t n_rows, size_t k,
                               bool last, float *out) {
    vf v[VF_LANES];
    size_t n_words = at_most((k + GEMM_VALUES - 1) / GEMM_VALUES, VF_LANES);
    size_t most = at_most(panel, VF_LANES);
    if (n_rows >= most && k >= GEMM_RUN) {
        UNROLL for (size_t r = 0; r < VF_LANES; r++) v[r] =
            r < most ? gemm_run(x->data + r * x->stride) : vf_zero();
    } else {
        for (size_t r = 0; r < VF_LANES; r++) {
            v[r] = vf_zero();
            if (r < at_most(n_rows, most))
                v[r] = k < GEMM_RUN ? gemm_run_some(x->data + r * x->stride, k)
                                    : gemm_run(x->data + r * x->stride);
        }
    }
    vf_transpose(v);
    if (n_words == VF_LANES && !last) {
        UNROLL for (size_t w = 0; w < VF_LANES; w++) vf_store(out + w * panel, v[w]);
        return;
    }
    for (size_t w = 0; w < n_words; w++)
        store_word(out + w * panel, v[w], panel, last && w + 1 == n_words);
}

ALWAYS_INLINE void pack_rows(size_t panel, const struct gemm_floats *x, size_t n_rows, size_t k,
                             float *out) {
    for (size_t r = 0; r < panel; r += VF_LANES)
        for (size_t i = 0; i < k; i += GEMM_RUN) {
            size_t rows = n_rows > r ? n_rows - r : 0;
            struct gemm_floats part = {rows ? x->data + r * x->stride + i : NULL, x->stride, false};
            pack_square(panel, &part, rows, k - i, i + GEMM_RUN >= k,
                        out + i / GEMM_VALUES * panel + r);
        }
}

/* One word of each row of a panel. */
ALWAYS_INLINE void pack_across(size_t panel, const float *x, size_t stride, size_t n_rows, size_t n,
                               bool last, float *out) {
    for (size_t r = 0; r < panel; r += VF_LANES) {
        vf word = vf_zero();
        if (n_rows >= r + VF_LANES && n >= GEMM_VALUES)
            word = gemm_across(x + r, stride);
        else if (n_rows > r)
            word = gemm_across_some(x + r, stride, at_most(n_rows - r, VF_LANES),
                                    at_most(n, GEMM_VALUES));
        store_word(out + r, word, panel - r, last);
    }
}

/* Rows that are columns of what is stored: all panels at once, as the values come. */
ALWAYS_INLINE void pack_panels(size_t panel, const struct gemm_floats *x, size_t n_rows, size_t k,
                               float *out, size_t panel_floats) {
    for (size_t r = 0; !x->transposed && r < n_rows; r += panel, out += panel_floats) {
        struct gemm_floats rows = {x->data + r * x->stride, x->stride, false};
        pack_rows(panel, &rows, n_rows - r, k, out);
    }
    for (size_t i = 0; x->transposed && i < k; i += GEMM_VALUES, out += panel)
        for (size_t r = 0; r < n_rows; r += panel)
            pack_across(panel, x->data + i * x->stride + r, x->stride, n_rows - r, k - i,
                        i + GEMM_VALUES >= k, out + r / panel * panel_floats);
}

static void pack_a(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                   size_t panel_bytes) {
    pack_panels(GEMM_ROWS, x, n_rows, k, panels, panel_bytes / sizeof(float));
}

static void pack_b(const struct gemm_floats *x, size_t n_rows, size_t k, void *panels,
                   size_t panel_bytes) {
    pack_panels(GEMM_COLUMNS, x, n_rows, k, panels, panel_bytes / sizeof(float));
}

/* ---- products ---- */

/* A tile of C: m rows of a panel of A times n of a panel of B. */
struct gemm_tile {
    const float *a, *b;
    size_t n_words, m, n;
    float *c;
    size_t c_stride;
    float alpha;
    bool add;
    const float *bias;
};

/* The first n of the sums to a place of C. */
ALWAYS_INLINE void write_sums(float factor, bool add, vf sums, float *c, const float *bias,
                              size_t n) {
    vf alpha = vf_set1(factor), value;
    if (n >= VF_LANES) {
        value = add ? vf_fma(alpha, sums, vf_load(c)) : vf_mul(alpha, sums);
        if (bias) value = vf_add(value, vf_load(bias));
        vf_store(c, value);
    } else {
        value = add ? vf_fma(alpha, sums, vf_load_some(c, n)) : vf_mul(alpha, sums);
        if (bias) value = vf_add(value, vf_load_some(bias, n));
        vf_store_some(c, value, n);
    }
}

ALWAYS_INLINE void multiply_tile(int rows, int vectors, const struct gemm_tile *t) {
    vf sums[GEMM_ROWS][GEMM_VECTORS], word[GEMM_VECTORS];
    const float *a = t->a, *b = t->b;
    UNROLL for (int r = 0; r < rows; r++) {
        if (t->add && (size_t)r < t->m) /* is there by the end of the sums */
            UNROLL for (int v = 0; v < vectors; v++)
                __builtin_prefetch(t->c + (size_t)r * t->c_stride + v * VF_LANES, 1);
        UNROLL for (int v = 0; v < vectors; v++) sums[r][v] = vf_zero();
    }
    for (size_t i = 0; i < t->n_words; i++, a += GEMM_ROWS, b += GEMM_COLUMNS) {
        UNROLL for (int v = 0; v < vectors; v++) word[v] = vf_load(b + v * VF_LANES);
        UNROLL for (int r = 0; r < rows; r++) {
            vf one = GEMM_ONE(a, r);
            UNROLL for (int v = 0; v < vectors; v++) sums[r][v] =
                gemm_madd(one, word[v], sums[r][v]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        if ((size_t)r < t->m) UNROLL for (int v = 0; v < vectors; v++) {
                size_t at = (size_t)v * VF_LANES;
                if (t->n > at)
                    write_sums(t->alpha, t->add, sums[r][v], t->c + (size_t)r * t->c_stride + at,
                               t->bias ? t->bias + at : NULL, t->n - at);
            }
    }
}

/* Functions of their own: in a common one compilers run out of registers. */
#define DEFINE_TILES(name, rows)                                                                   \
    static __attribute__((noinline)) void name(const struct gemm_tile *t) {                        \
        multiply_tile(rows, GEMM_VECTORS, t);                                                      \
    }                                                                                              \
    static __attribute__((noinline)) void name##_thin(const struct gemm_tile *t) {                 \
        multiply_tile(rows, 1, t);                                                                 \
    }

DEFINE_TILES(few_rows, GEMM_SOME_ROWS)
DEFINE_TILES(more_rows, 2 * GEMM_SOME_ROWS)
DEFINE_TILES(all_rows, GEMM_ROWS)

static void multiply_panels(const struct gemm_tile *t) {
    static void (*const tiles[3][2])(const struct gemm_tile *) = {
        {few_rows_thin, few_rows}, {more_rows_thin, more_rows}, {all_rows_thin, all_rows}};
    tiles[(t->m - 1) / GEMM_SOME_ROWS][t->n > VF_LANES](t);
}

/* A tile of plain sums to a C that is transposed, from (row, column) on. */
static void write_transposed(const struct gemm_block *block, const float *sums, size_t row,
                             size_t column, size_t m, size_t n) {
    for (size_t c = 0; c < n; c += VF_LANES)
        for (size_t r = 0; r < m; r += VF_LANES) {
            vf v[VF_LANES];
            for (size_t i = 0; i < VF_LANES; i++)
                v[i] = r + i < m ? vf_load(sums + (r + i) * GEMM_COLUMNS + c) : vf_zero();
            vf_transpose(v);
            for (size_t i = 0; i < at_most(n - c, VF_LANES); i++)
                write_sums(block->alpha, block->add, v[i],
                           block->c + (column + c + i) * block->c_stride + row + r,
                           block->bias ? block->bias + row + r : NULL, at_most(m - r, VF_LANES));
        }
}

static void multiply(const struct gemm_block *block) {
    _Alignas(64) float sums[GEMM_ROWS * GEMM_COLUMNS];
    size_t words = (block->k + GEMM_VALUES - 1) / GEMM_VALUES;
    struct gemm_tile t = {.n_words = words, .c = sums, .c_stride = GEMM_COLUMNS, .alpha = 1};
    if (!block->c_transposed) {
        t.c_stride = block->c_stride;
        t.alpha = block->alpha;
        t.add = block->add;
    }
    for (size_t r = 0; r < block->m; r += GEMM_ROWS)
        for (size_t c = 0; c < block->n; c += GEMM_COLUMNS) {
            size_t n = at_most(block->n - c, GEMM_COLUMNS);
            t.a = (const float *)block->a + r * words;
            t.b = (const float *)block->b + c * words;
            t.m = at_most(block->m - r, GEMM_ROWS);
            t.n = n;
            if (block->c_transposed) {
                t.n = n > VF_LANES ? GEMM_COLUMNS : VF_LANES; /* whole vectors of sums */
                multiply_panels(&t);
                write_transposed(block, sums, r, c, t.m, n);
            } else {
                t.c = block->c + r * block->c_stride + c;
                t.bias = block->bias ? block->bias + c : NULL;
                multiply_panels(&t);
            }
        }
}

const struct gemm_kernels GEMM_NAME = {
    .a_rows = GEMM_ROWS,
    .b_rows = GEMM_COLUMNS,
    .step = GEMM_VALUES,
    .depth = GEMM_DEPTH,
    .value_bytes = sizeof(float) / GEMM_VALUES,
    .pack_a = pack_a,
    .pack_b = pack_b,
    .multiply = multiply,
};
