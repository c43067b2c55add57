/* Linear layers of 256-value blocks against ACT_Q8_K in AVX-512 VNNI.
 *
 * As in avx512_q8.c the lanes of a vector are 16 rows, and blocks are transposed while
 * they are unpacked; but a block of 16 rows is more than the registers hold: it is
 * taken in chunks of 64 or 128 values, which few tokens use at once. Many take it from a
 * panel in the first-level cache, while the next block is unpacked to another one.
 *
 * The dot product of a block, scales of its groups included, is exact in integers; only
 * the order of the float sum over blocks is fixed: sum = fma(dot, d_w d_x, sum), then
 * for types whose minima have a scale of their own sum = fma(-minima, dmin d_x, sum). */
#include <immintrin.h>

#include "kernels/avx512_super_blocks.h"
#include "kernels/avx512_super_rows.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { PANEL_TOKENS = 128, FEW_TOKENS = 4, MOST_TOKENS = 8 };

/* ---- multiplying ---- */

ALWAYS_INLINE const struct act_q8k *act_at(const char *x, size_t block) {
    return (const struct act_q8k *)(const void *)x + block;
}

/* Of a block of activations: what the products of each group start from, because values
 * are unsigned; for minima the sums of 32 activations. */
union act_terms {
    _Alignas(64) int32_t starts[16];
    int16_t sums[8];
};

ALWAYS_INLINE void act_terms_of(enum elem type, const struct act_q8k *x, union act_terms *out) {
    if (type == ELEM_Q2_K) return;
    if (has_dmin(type)) {
        _mm_store_si128((__m128i *)out->sums, sums_of_32(x));
    } else if (group_values(type) == 16) {
        __m512i sums = _mm512_cvtepi16_epi32(load256(x->sums));
        sums = _mm512_slli_epi32(sums, (unsigned)__builtin_ctz((unsigned)offset(type)));
        _mm512_store_si512(out->starts, _mm512_sub_epi32(_mm512_setzero_si512(), sums));
    } else {
        const __m256i factor = _mm256_set1_epi16((short)-offset(type));
        _mm256_store_si256((__m256i *)out->starts, _mm256_madd_epi16(load256(x->sums), factor));
    }
}

/* What the products of values 4 first .. of group g start from; `dot`: those before them. */
ALWAYS_INLINE __m512i start_of(enum elem type, const union act_terms *terms, int g, int first,
                               __m512i dot) {
    const int values = group_values(type);
    if (has_dmin(type)) return _mm512_setzero_si512();
    __m512i start = four_bytes(&terms->starts[values == 16 ? 2 * g + first / 4 : g]);
    return values == 256 ? _mm512_add_epi32(dot, start) : start;
}

/* The sum with that of a block whose scaled dot product is `dot`. */
ALWAYS_INLINE __m512 add_block(enum elem type, const struct scales *s, const struct act_q8k *x,
                               const union act_terms *terms, __m512i dot, __m512 sum) {
    const int16_t *sums = type == ELEM_Q2_K ? x->sums : terms->sums;
    __m512i minima = _mm512_setzero_si512();
    __m512 scale = _mm512_set1_ps(x->scale);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(s->d, scale), sum);
    if (!has_dmin(type)) return sum;
    UNROLL for (int j = 0; j < 128 / group_values(type); j++) minima =
        _mm512_dpwssd_epi32(minima, s->minima[j], four_bytes(sums + 2 * j));
    return _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima), _mm512_mul_ps(s->dmin, scale), sum);
}

/* Adds the scaled dot product of group g. */
ALWAYS_INLINE __m512i add_group(enum elem type, const __m512i q[8], int g, const struct scales *s,
                                const struct act_q8k *x, const union act_terms *terms,
                                __m512i dot) {
    const int values = group_values(type), quads = values < 32 ? 4 : 8;
    UNROLL for (int i = 0; i < 8; i += quads) {
        __m512i part = start_of(type, terms, g, i, dot);
        UNROLL for (int j = i; j < i + quads; j++) part =
            add_products(part, q[j], x->q + 32 * g + 4 * j);
        if (values == 256)
            dot = part;
        else
            dot = _mm512_add_epi32(dot,
                                   _mm512_mullo_epi32(part, s->scale[(32 * g + 4 * i) / values]));
    }
    return dot;
}

/* Adds the block at byte `at` of each row times those of `tokens` activation rows. */
ALWAYS_INLINE void few_blocks(enum elem type, const struct tile *a, const char *const rows[],
                              size_t at, const struct act_q8k *const x[], int tokens,
                              __m512 sums[]) {
    const int groups = chunk_groups(type), chunks = 8 / groups;
    const size_t ahead = PANEL_ROWS * block_bytes(type) / (size_t)chunks;
    union act_terms terms[FEW_TOKENS];
    struct scales scales;
    struct half halves[2];
    __m512i dots[FEW_TOKENS];
    unpack_scales(type, rows, at, &scales);
    UNROLL for (int t = 0; t < tokens; t++) {
        act_terms_of(type, x[t], &terms[t]);
        dots[t] = _mm512_setzero_si512();
    }
    for (int c = 0; c < chunks; c++) {
        tile_prefetch_bytes(a, PANEL_ROWS, PANEL_ROWS * at + (size_t)c * ahead, ahead);
        load_half(type, rows, at, (size_t)c, 0, &halves[0]);
        load_half(type, rows, at, (size_t)c, 1, &halves[1]);
        UNROLL for (int k = 0; k < groups; k++) {
            const int g = c * groups + k;
            __m512i q[8];
            unpack_group(type, halves, k, g, q);
            UNROLL for (int t = 0; t < tokens; t++) dots[t] =
                add_group(type, q, g, &scales, x[t], &terms[t], dots[t]);
        }
    }
    UNROLL for (int t = 0; t < tokens; t++) sums[t] =
        add_block(type, &scales, x[t], &terms[t], dots[t], sums[t]);
}

/* n_rows <= PANEL_ROWS outputs of one token. */
ALWAYS_INLINE void one_token(enum elem type, struct tile a, size_t n_rows) {
    const char *rows[PANEL_ROWS];
    const size_t n_blocks = a.n / 256, bytes = block_bytes(type);
    __m512 sum = _mm512_setzero_ps();
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t first = 0, n; first < n_blocks; first += n) {
        struct row_token tokens[BLOCKS_AT_ONCE];
        __m512i dots[BLOCKS_AT_ONCE][PANEL_ROWS / ROWS_AT_ONCE];
        size_t ahead = PANEL_ROWS * first * bytes;
        n = at_most(n_blocks - first, BLOCKS_AT_ONCE);
        for (size_t i = 0; i < n; i++)
            order_token(type, act_at(a.x, first + i), &tokens[i]);
        for (size_t r = 0; r < PANEL_ROWS; r += ROWS_AT_ONCE) {
            for (size_t i = 0; i < n; i++, ahead += ROWS_AT_ONCE * bytes) {
                tile_prefetch_bytes(&a, PANEL_ROWS, ahead, ROWS_AT_ONCE * bytes);
                dots[i][r / ROWS_AT_ONCE] =
                    multiply_rows(type, rows + r, (first + i) * bytes, &tokens[i]);
            }
        }
        for (size_t i = 0; i < n; i++) {
            const struct act_q8k *x = act_at(a.x, first + i);
            struct scales scales;
            union act_terms terms;
            unpack_scales(type, rows, (first + i) * bytes, &scales);
            act_terms_of(type, x, &terms);
            sum = add_block(type, &scales, x, &terms, sum_rows(dots[i]), sum);
        }
    }
    _mm512_mask_storeu_ps(a.y, first_lanes(n_rows), sum);
}

/* n_rows <= PANEL_ROWS outputs of each of `tokens` tokens, a constant. */
ALWAYS_INLINE void few_tokens(enum elem type, struct tile a, size_t n_rows, int tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[FEW_TOKENS];
    if (tokens == 1 && has_rows(type)) {
        one_token(type, a, n_rows);
        return;
    }
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const struct act_q8k *x[FEW_TOKENS];
        UNROLL for (int t = 0; t < tokens; t++) x[t] = act_at(a.x + (size_t)t * a.x_stride, i);
        few_blocks(type, &a, rows, i * block_bytes(type), x, tokens, sums);
    }
    UNROLL for (int t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(a.y + (size_t)t * a.y_stride, first_lanes(n_rows), sums[t]);
}

/* Adds the scaled products of group 2 step + odd of the panel's block, the i-th, with
 * `tokens` activation rows. Tokens are the inner loop: no product waits for the one before
 * it. With `next`, parts of unpacking another block stand between: they take other units. */
ALWAYS_INLINE void multiply_group(enum elem type, const struct panel *p, struct unpacking *next,
                                  int step, int odd, size_t i, int tokens, const char *const x[],
                                  const union act_terms terms[], struct unpack_step *s,
                                  __m512i dots[]) {
    const int values = group_values(type), quads = values < 32 ? 4 : 8, g = 2 * step + odd;
    const size_t ahead = PANEL_ROWS * block_bytes(type) / 8;
    if (next)
        tile_prefetch_next(&next->from.tile, PANEL_ROWS,
                           PANEL_ROWS * next->from.at + (size_t)g * ahead, ahead);
    UNROLL for (int first = 0; first < 8; first += quads) {
        __m512i parts[MOST_TOKENS];
        UNROLL for (int t = 0; t < tokens; t++) parts[t] =
            start_of(type, &terms[t], g, first, dots[t]);
        UNROLL for (int j = first; j < first + quads; j++) {
            const __m512i q = p->q[g][j];
            UNROLL for (int t = 0; t < tokens; t++) parts[t] =
                add_products(parts[t], q, act_at(x[t], i)->q + 32 * g + 4 * j);
            if (next) unpack_part(type, next, step, 8 * odd + j, s);
        }
        const __m512i scale = p->scales.scale[(32 * g + 4 * first) / values];
        UNROLL for (int t = 0; t < tokens; t++) dots[t] =
            values == 256 ? parts[t]
                          : _mm512_add_epi32(dots[t], _mm512_mullo_epi32(parts[t], scale));
    }
}

/* The same of the whole block. */
ALWAYS_INLINE void multiply_block(enum elem type, const struct panel *p, struct unpacking *next,
                                  size_t i, int tokens, const char *const x[], __m512 sums[]) {
    union act_terms terms[MOST_TOKENS];
    __m512i dots[MOST_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) {
        act_terms_of(type, act_at(x[t], i), &terms[t]);
        dots[t] = _mm512_setzero_si512();
    }
    for (int step = 0; step < UNPACK_STEPS; step++) {
        struct unpack_step s;
        multiply_group(type, p, next, step, 0, i, tokens, x, terms, &s, dots);
        if (next && step == UNPACK_STEPS / 2)
            unpack_scales(type, next->from.rows, next->from.at, &next->panel->scales);
        multiply_group(type, p, next, step, 1, i, tokens, x, terms, &s, dots);
    }
    UNROLL for (int t = 0; t < tokens; t++) sums[t] =
        add_block(type, &p->scales, act_at(x[t], i), &terms[t], dots[t], sums[t]);
}

/* The same for the next of `left` tokens; returns how many these are. An odd last one is
 * computed twice. */
ALWAYS_INLINE size_t next_tokens(enum elem type, const struct panel *p, size_t i, size_t left,
                                 const char *const x[], __m512 sums[]) {
    switch (at_most((left + 1) / 2, MOST_TOKENS / 2)) {
    case 1: multiply_block(type, p, NULL, i, 2, x, sums); return 2;
    case 2: multiply_block(type, p, NULL, i, 4, x, sums); return 4;
    case 3: multiply_block(type, p, NULL, i, 6, x, sums); return 6;
    default: multiply_block(type, p, NULL, i, MOST_TOKENS, x, sums);
    }
    return MOST_TOKENS;
}

/* The same for the first of n_tokens, more than FEW_TOKENS, while another block is unpacked. */
ALWAYS_INLINE size_t first_tokens(enum elem type, const struct panel *p, struct unpacking *next,
                                  size_t i, size_t n_tokens, const char *const x[], __m512 sums[]) {
    if (n_tokens <= 6) {
        multiply_block(type, p, next, i, 6, x, sums);
        return 6;
    }
    multiply_block(type, p, next, i, MOST_TOKENS, x, sums);
    return MOST_TOKENS;
}

/* n_tokens outputs, FEW_TOKENS < n_tokens <= PANEL_TOKENS, of each of n_rows rows: tile after
 * tile of PANEL_ROWS, block after block, the next one being unpacked meanwhile. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *x[PANEL_TOKENS];
    __m512 sums[PANEL_TOKENS];
    const size_t n_blocks = a.n / 256;
    struct panel panels[2];
    struct unpacking next = {.panel = &panels[0]};
    paired_tokens(&a, n_tokens, x);
    cursor_start(&next.from, a, n_rows);
    if (n_blocks > 0 && n_rows > 0) unpack_block(type, &next);
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS) {
        for (size_t t = 0; t < n_tokens + n_tokens % 2; t++)
            sums[t] = _mm512_setzero_ps();
        for (size_t i = 0; i < n_blocks; i++) {
            const struct panel *panel = next.panel;
            next.panel = panel == &panels[0] ? &panels[1] : &panels[0];
            cursor_step(&next.from, block_bytes(type), n_blocks * block_bytes(type));
            for (size_t t = first_tokens(type, panel, &next, i, n_tokens, x, sums); t < n_tokens;)
                t += next_tokens(type, panel, i, n_tokens - t, x + t, sums + t);
        }
        for (size_t t = 0; t < n_tokens; t++)
            _mm512_mask_storeu_ps(a.y + t * a.y_stride + r,
                                  first_lanes(at_most(n_rows - r, PANEL_ROWS)), sums[t]);
    }
}

LINEAR_FROM_LANES(linear_q2_k, ELEM_Q2_K)
LINEAR_FROM_LANES(linear_q3_k, ELEM_Q3_K)
LINEAR_FROM_LANES(linear_q4_k, ELEM_Q4_K)
LINEAR_FROM_LANES(linear_q5_k, ELEM_Q5_K)
LINEAR_FROM_LANES(linear_q6_k, ELEM_Q6_K)
LINEAR_FROM_LANES(linear_iq4_xs, ELEM_IQ4_XS)
LINEAR_FROM_LANES(linear_tq2_0, ELEM_TQ2_0)

void avx512_fill_q8k(struct kernels *k) {
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}
