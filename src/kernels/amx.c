/* Matrix products of prompts on the matrix unit (AMX), in bfloat16.
 *
 * Tiles: a from weights, 16 rows x 32 values as they follow each other in a row, so that
 * a widened row (amx_widen.h) is stored as it is; b from activations, 16 pairs of values x
 * 16 tokens, turned round once for all rows of a matrix. A product tile therefore holds
 * 16 rows x 16 tokens and is turned round when it is written.
 *
 * Blocking: a slab of PANEL_ROWS rows x SLAB_VALUES values is widened into the first-level
 * cache (32 KiB) and multiplied with the tokens of the pass one tile of 16 after another,
 * four products at a time: a step of 32 values loads five tiles, four of them from the
 * slab, for four times 16 cycles. Meanwhile the next slab is widened, a few rows for each
 * tile of tokens, by the vector units, which have nothing else to do. Products stay in the
 * second-level cache between slabs. Bytes a cycle from and to there: 16 of activations, 8
 * of products read and 8 written; from the third level 4 of activations, which pass once
 * for GROUP_ROWS rows.
 *
 * The order of the sums is that of the values of a row, slab after slab, whatever the
 * tile: a product depends on its row and its token only. */
#include <immintrin.h>
#include <string.h>

#include "kernels/amx_tile.h"
#include "kernels/amx_widen.h"
#include "kernels/avx512_lanes.h"
#include "kernels/levels.h"
#include "kernels/vec_avx512.h"

enum {
    TILE_VALUES = TILE_BYTES / sizeof(uint16_t),
    SLAB_VALUES = WIDEN_VALUES,
    SLAB_STEPS = SLAB_VALUES / WIDEN_RUN,
    PANEL_TILES = 4,
    PANEL_ROWS = PANEL_TILES * TILE_ROWS,
    GROUP_PANELS = 4, /* whose products are under way together */
    GROUP_ROWS = GROUP_PANELS * PANEL_ROWS,
    PASS_TILES = 32, /* of tokens */
};

_Static_assert((int)TILE_VALUES == (int)WIDEN_STRIDE, "runs of a widened row lie a tile apart");

/* Working memory of a thread. */
struct scratch {
    uint16_t slabs[2][PANEL_TILES][SLAB_STEPS][TILE_VALUES];
    float products[GROUP_PANELS][PASS_TILES][PANEL_TILES][TILE_ROWS][TILE_ROWS];
};

static size_t steps_of(size_t n) {
    return (n + WIDEN_RUN - 1) / WIDEN_RUN;
}

static size_t tiles_of(size_t n_tokens) {
    return (n_tokens + TILE_ROWS - 1) / TILE_ROWS;
}

/* ---- activations ---- */

/* Slab after slab, tile of tokens after tile, step after step. */
static size_t packed_offset(size_t n, size_t slab, size_t tile, size_t n_tiles) {
    size_t left = steps_of(n) - slab * SLAB_STEPS;
    return (slab * SLAB_STEPS * n_tiles + tile * at_most(left, SLAB_STEPS)) * TILE_VALUES;
}

static size_t packed_bytes(size_t n, size_t n_tokens) {
    return tiles_of(n_tokens) * steps_of(n) * TILE_BYTES;
}

/* Values 32 step .. of `n` as bfloat16; zeros where there are none. */
ALWAYS_INLINE vf load_run(const float *x, size_t n, size_t step) {
    size_t left = n - step * WIDEN_RUN;
    const float *at = x + step * WIDEN_RUN;
    uint32_t mask = left < WIDEN_RUN ? (1u << left) - 1 : 0xffffffffu;
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, at);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), at + 16);
    return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low));
}

static void pack(size_t n, const float *const rows[TILE_ROWS], size_t n_rows, size_t tile,
                 size_t n_tokens, void *packed) {
    for (size_t step = 0; step < steps_of(n); step++) {
        uint16_t *out = (uint16_t *)packed +
                        packed_offset(n, step / SLAB_STEPS, tile, tiles_of(n_tokens)) +
                        step % SLAB_STEPS * TILE_VALUES;
        vf v[TILE_ROWS];
        for (size_t r = 0; r < TILE_ROWS; r++)
            v[r] = r < n_rows ? load_run(rows[r], n, step) : vf_zero();
        vf_transpose(v);
        memcpy(out, v, sizeof v);
    }
}

/* ---- products ---- */

/* Up to GROUP_ROWS rows times up to PASS_TILES tiles of tokens. A step is one slab of one
 * panel; the steps of a slab are those of the group's panels. */
struct group {
    const struct prompt_product *job;
    struct scratch *scratch;
    size_t first_row, n_rows, n_panels, n_slabs;
    size_t first_tile, n_tiles;
};

static size_t panel_rows(const struct group *g, size_t panel) {
    return at_most(g->n_rows - panel * PANEL_ROWS, PANEL_ROWS);
}

/* What is needed one slab later, or of the next group's rows, comes from memory by then:
 * rows lie too far apart for the hardware to see a stream. */
static void prefetch_row(const struct prompt_product *job, size_t row, size_t slab, size_t bytes) {
    const char *at = (const char *)job->w + row * job->w_stride + (slab + 1) * bytes;
    if ((slab + 1) * bytes >= job->w_stride)
        at = (const char *)job->w + (row + GROUP_ROWS) * job->w_stride;
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)at + i), 0, 2);
}

/* Rows [from, to) of the panel of a step, those of a tile that do not exist as copies of
 * the last, to the step's slab. */
static void widen_rows(const struct group *g, size_t step, size_t from, size_t to) {
    const struct prompt_product *job = g->job;
    size_t panel = step % g->n_panels, slab = step / g->n_panels, n_rows = panel_rows(g, panel);
    size_t bytes = elem_row_bytes(job->type, SLAB_VALUES);
    size_t n = at_most(job->n - slab * SLAB_VALUES, SLAB_VALUES);
    to = at_most(to, (n_rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS);
    for (size_t r = from; r < to; r++) {
        size_t row = g->first_row + panel * PANEL_ROWS + at_most(r, n_rows - 1);
        uint16_t *out = g->scratch->slabs[step % 2][r / TILE_ROWS][0];
        amx_widen[job->type]((const char *)job->w + row * job->w_stride + slab * bytes, n,
                             out + r % TILE_ROWS * WIDEN_RUN);
        prefetch_row(job, row, slab, bytes);
    }
}

/* One tile of tokens times `rows` tiles of a slab, added to their products. */
ALWAYS_INLINE void multiply_tiles(int rows, const uint16_t *w, const uint16_t *x, size_t n_steps,
                                  float *products, bool first) {
    enum { PRODUCT = TILE_ROWS * TILE_ROWS, ROW_TILE = SLAB_STEPS * TILE_VALUES };
    if (first) {
        TILE_ZERO(0);
        if (rows > 1) TILE_ZERO(1);
        if (rows > 2) TILE_ZERO(2);
        if (rows > 3) TILE_ZERO(3);
    } else {
        TILE_LOAD(0, products);
        if (rows > 1) TILE_LOAD(1, products + PRODUCT);
        if (rows > 2) TILE_LOAD(2, products + 2 * PRODUCT);
        if (rows > 3) TILE_LOAD(3, products + 3 * PRODUCT);
    }
    for (size_t i = 0; i < n_steps; i++, w += TILE_VALUES, x += TILE_VALUES) {
        TILE_LOAD(4, x);
        TILE_LOAD(5, w);
        TILE_DOT(0, 5, 4);
        if (rows > 1) {
            TILE_LOAD(6, w + ROW_TILE);
            TILE_DOT(1, 6, 4);
        }
        if (rows > 2) {
            TILE_LOAD(7, w + 2 * ROW_TILE);
            TILE_DOT(2, 7, 4);
        }
        if (rows > 3) {
            TILE_LOAD(5, w + 3 * ROW_TILE);
            TILE_DOT(3, 5, 4);
        }
    }
    TILE_STORE(products, 0);
    if (rows > 1) TILE_STORE(products + PRODUCT, 1);
    if (rows > 2) TILE_STORE(products + 2 * PRODUCT, 2);
    if (rows > 3) TILE_STORE(products + 3 * PRODUCT, 3);
}

static void multiply_slab(const struct group *g, size_t step, size_t tile) {
    size_t panel = step % g->n_panels, slab = step / g->n_panels;
    size_t n = g->job->n, n_steps = at_most(steps_of(n) - slab * SLAB_STEPS, SLAB_STEPS);
    size_t all_tiles = tiles_of(g->job->n_tokens);
    const uint16_t *w = g->scratch->slabs[step % 2][0][0];
    const uint16_t *x =
        (const uint16_t *)g->job->x + packed_offset(n, slab, g->first_tile + tile, all_tiles);
    float *products = g->scratch->products[panel][tile][0][0];
    switch (tiles_of(panel_rows(g, panel))) {
    case 1: multiply_tiles(1, w, x, n_steps, products, slab == 0); break;
    case 2: multiply_tiles(2, w, x, n_steps, products, slab == 0); break;
    case 3: multiply_tiles(3, w, x, n_steps, products, slab == 0); break;
    default: multiply_tiles(4, w, x, n_steps, products, slab == 0); break;
    }
}

/* ---- results ---- */

/* 16 rows of one token: y = [y +] scale * product + bias. */
ALWAYS_INLINE void write_rows(const struct prompt_product *job, __m512 product, float *y,
                              __m512 bias, __mmask16 rows) {
    __m512 scale = _mm512_set1_ps(job->scale);
    if (job->accumulate)
        product = _mm512_fmadd_ps(scale, product, _mm512_maskz_loadu_ps(rows, y));
    else
        product = _mm512_mul_ps(scale, product);
    if (job->bias) product = _mm512_add_ps(product, bias);
    _mm512_mask_storeu_ps(y, rows, product);
}

/* The products of a panel with a tile of tokens, to the tokens' rows of y. */
static void write_tile(const struct group *g, size_t panel, size_t tile) {
    const struct prompt_product *job = g->job;
    size_t n_rows = panel_rows(g, panel), token = (g->first_tile + tile) * TILE_ROWS;
    size_t n_tokens = at_most(job->n_tokens - token, TILE_ROWS);
    for (size_t i = 0; i * TILE_ROWS < n_rows; i++) {
        size_t row = g->first_row + panel * PANEL_ROWS + i * TILE_ROWS;
        __mmask16 rows = first_lanes(at_most(n_rows - i * TILE_ROWS, TILE_ROWS));
        __m512 bias = _mm512_setzero_ps();
        vf v[TILE_ROWS];
        if (job->bias) bias = _mm512_maskz_loadu_ps(rows, job->bias + row);
        memcpy(v, g->scratch->products[panel][tile][i], sizeof v);
        vf_transpose(v);
        for (size_t t = 0; t < n_tokens; t++) {
            size_t at = job->y_rows ? job->y_rows[token + t] : token + t;
            write_rows(job, v[t], job->y + at * job->y_stride + row, bias, rows);
        }
    }
}

static void multiply_step(const struct group *g, size_t step) {
    size_t panel = step % g->n_panels, rows = (PANEL_ROWS + g->n_tiles - 1) / g->n_tiles;
    bool more = step + 1 < g->n_panels * g->n_slabs, last = step / g->n_panels + 1 == g->n_slabs;
    for (size_t tile = 0; tile < g->n_tiles; tile++) {
        multiply_slab(g, step, tile);
        if (more) widen_rows(g, step + 1, tile * rows, (tile + 1) * rows);
        if (last && tile > 0) write_tile(g, panel, tile - 1);
    }
    if (last) write_tile(g, panel, g->n_tiles - 1);
}

static void multiply_group(const struct group *g) {
    widen_rows(g, 0, 0, PANEL_ROWS);
    for (size_t step = 0; step < g->n_panels * g->n_slabs; step++)
        multiply_step(g, step);
}

static void multiply(const struct prompt_product *job) {
    size_t n_tiles = tiles_of(job->n_tokens);
    tile_configure();
    for (size_t tile = 0; tile < n_tiles; tile += PASS_TILES)
        for (size_t row = 0; row < job->n_rows; row += GROUP_ROWS) {
            struct group g = {.job = job,
                              .scratch = job->scratch,
                              .first_row = row,
                              .n_rows = at_most(job->n_rows - row, GROUP_ROWS),
                              .n_slabs = (job->n + SLAB_VALUES - 1) / SLAB_VALUES,
                              .first_tile = tile,
                              .n_tiles = at_most(n_tiles - tile, PASS_TILES)};
            g.n_panels = (g.n_rows + PANEL_ROWS - 1) / PANEL_ROWS;
            multiply_group(&g);
        }
    tile_release();
}

const struct prompt_kernels AMX_PROMPT = {
    .scratch_bytes = sizeof(struct scratch),
    .packed_bytes = packed_bytes,
    .pack = pack,
    .multiply = multiply,
};
