/* Linear layers of 32-value blocks against ACT_Q8 in AVX-512 VNNI.
 *
 * The lanes of a vector are 16 rows of the weights: their blocks are transposed while
 * they are unpacked, so that a dot product needs no sums across lanes and an unpacked
 * block serves any number of tokens, few of them from registers, more from a panel in the
 * first-level cache. For one token nibbles are multiplied along the row.
 *
 * The sum of a block is exact in integers; the float sum runs over the blocks in their
 * order: sum = fma(dot, d_w d_x, sum), then for types with a minimum
 * sum = fma(m, sum_x, sum). VPDPBUSD multiplies unsigned with signed bytes, so weights
 * have offset(type) added, and a dot product starts from -offset sum(q_x). */
#include <immintrin.h>

#include "kernels/avx512_block_rows.h"
#include "kernels/avx512_blocks.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { PANEL_TOKENS = 128 };
/* Blocks unpacked before they are needed; tokens that share registers, with a block of the
 * weights and without. */
enum { MOST_AHEAD = 8, FEW_TOKENS = 4, MOST_TOKENS = 8 };

/* ---- multiplying ---- */

ALWAYS_INLINE const struct act_q8 *act_at(const char *x, size_t block) {
    return (const struct act_q8 *)(const void *)x + block;
}

/* The sum with that of a block whose dot product is `dot`. */
ALWAYS_INLINE __m512 add_block(enum elem type, const struct unpacked *w, const struct act_q8 *x,
                               __m512i dot, __m512 sum) {
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(w->d, _mm512_set1_ps(x->scale)),
                          sum);
    return has_minimum(type) ? _mm512_fmadd_ps(w->m, _mm512_set1_ps(act_q8_sum(x)), sum) : sum;
}

/* The same for four blocks of which 16 rows' parts are given. */
ALWAYS_INLINE __m512 add_four_blocks(enum elem type, const struct quad *quad,
                                     const struct act_q8 x[QUAD], __m512 sum) {
    __m512i dots[QUAD];
    quarters_to_vectors(quad->dots, dots);
    UNROLL for (int b = 0; b < QUAD; b++) {
        struct unpacked w;
        w.d = scales_of(type, words_of_block(quad->d, b));
        if (has_minimum(type)) w.m = scales_of(type, words_of_block(quad->m, b));
        sum = add_block(type, &w, x + b, dots[b], sum);
    }
    return sum;
}

/* With `halves`, as two sums next to each other: for one token, which would wait. */
ALWAYS_INLINE __m512i multiply(enum elem type, const struct unpacked *w, const struct act_q8 *x,
                               int halves) {
    __m512i dot = _mm512_set1_epi32(-offset(type) * x->sum), second = _mm512_setzero_si512();
    UNROLL for (int j = 0; j < 8; j++) {
        __m512i *to = halves && j >= 4 ? &second : &dot;
        *to = add_products(*to, w->q[j], x->q + 4 * j);
    }
    return halves ? _mm512_add_epi32(dot, second) : dot;
}

/* Adds the blocks that come in fours to one token's sums of 16 rows; returns how many. */
ALWAYS_INLINE size_t multiply_quads(enum elem type, const struct tile *a, const char *const rows[],
                                    __m512 *sum) {
    const size_t bytes = QUAD * block_bytes(type), n_quads = a->n / (QUAD * 32);
    struct places places;
    find_places(type, &places);
    for (size_t first = 0, n; first < n_quads; first += n) {
        struct row_token tokens[QUADS_AT_ONCE];
        struct quad quads[QUADS_AT_ONCE];
        size_t ahead = PANEL_ROWS * first * bytes;
        n = at_most(n_quads - first, QUADS_AT_ONCE);
        for (size_t i = 0; i < n; i++) {
            order_token(type, act_at(a->x, QUAD * (first + i)), &tokens[i]);
            clear_scales(&quads[i]);
        }
        for (size_t r = 0; r < PANEL_ROWS; r += ROWS_AT_ONCE) {
            for (size_t i = 0; i < n; i++, ahead += ROWS_AT_ONCE * bytes) {
                tile_prefetch_bytes(a, PANEL_ROWS, ahead, ROWS_AT_ONCE * bytes);
                multiply_rows(type, rows, r, (first + i) * bytes, &places, &tokens[i], &quads[i]);
            }
        }
        for (size_t i = 0; i < n; i++)
            *sum = add_four_blocks(type, &quads[i], act_at(a->x, QUAD * (first + i)), *sum);
    }
    return QUAD * n_quads;
}

/* n_rows <= PANEL_ROWS outputs of each of `tokens` tokens, a constant. */
ALWAYS_INLINE void few_tokens(enum elem type, struct tile a, size_t n_rows, int tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[FEW_TOKENS];
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = _mm512_setzero_ps();
    size_t i = tokens == 1 && has_rows(type) ? multiply_quads(type, &a, rows, sums) : 0;
    for (; i < a.n / 32; i++) {
        const size_t bytes = PANEL_ROWS * block_bytes(type);
        struct unpacked w;
        tile_prefetch_bytes(&a, PANEL_ROWS, i * bytes, bytes);
        unpack(type, rows, i * block_bytes(type), &w);
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8 *x = act_at(a.x + (size_t)t * a.x_stride, i);
            sums[t] = add_block(type, &w, x, multiply(type, &w, x, tokens == 1), sums[t]);
        }
    }
    UNROLL for (int t = 0; t < tokens; t++)
        _mm512_mask_storeu_ps(a.y + (size_t)t * a.y_stride, first_lanes(n_rows), sums[t]);
}

/* -offset(type) sum(q_x), without a way through the integer registers. */
ALWAYS_INLINE __m512i offset_sum(enum elem type, const struct act_q8 *x) {
    if (offset(type) == 0) return _mm512_setzero_si512();
    const unsigned shift = (unsigned)__builtin_ctz((unsigned)offset(type));
    __m512i sum = _mm512_slli_epi32(four_bytes(&x->sum), shift);
    return _mm512_sub_epi32(_mm512_setzero_si512(), sum);
}

/* Unpacked blocks: block i is in place i % (2 ahead), and while it is multiplied, block
 * i + ahead is unpacked. */
struct ring {
    struct unpacked blocks[2 * MOST_AHEAD];
    const struct tile *tile;
    const char *const *rows;
    size_t ahead; /* a power of two */
};

ALWAYS_INLINE struct unpacked *block_at(struct ring *ring, size_t i) {
    return &ring->blocks[i & (2 * ring->ahead - 1)];
}

/* add_products(); Q8_0, where GCC finds registers for the four bytes, is faster without. */
ALWAYS_INLINE __m512i add_quad(enum elem type, __m512i sum, __m512i q, const void *four) {
    if (type == ELEM_Q8_0) return _mm512_dpbusd_epi32(sum, q, four_bytes(four));
    return add_products(sum, q, four);
}

/* Adds block i times that of `tokens` activation rows. With `unpacks`, the parts of
 * unpacking another one stand between the products: they take other units. */
ALWAYS_INLINE void multiply_block(enum elem type, struct ring *ring, size_t i, int unpacks,
                                  int tokens, const char *const x[], __m512 sums[]) {
    const struct unpacked *w = block_at(ring, i);
    size_t next = i + ring->ahead;
    struct unpacking u;
    __m512i dots[MOST_TOKENS];
    const size_t bytes = PANEL_ROWS * block_bytes(type);
    if (unpacks) tile_prefetch_next(ring->tile, PANEL_ROWS, next * bytes, bytes);
    UNROLL for (int t = 0; t < tokens; t++) dots[t] = offset_sum(type, act_at(x[t], i));
    UNROLL for (int j = 0; j < UNPACK_STEPS; j++) {
        __m512i q = w->q[j];
        UNROLL for (int t = 0; t < tokens; t++) dots[t] =
            add_quad(type, dots[t], q, act_at(x[t], i)->q + 4 * j);
        if (unpacks)
            unpack_step(type, ring->rows, next * block_bytes(type), j, &u, block_at(ring, next));
    }
    UNROLL for (int t = 0; t < tokens; t++) sums[t] =
        add_block(type, w, act_at(x[t], i), dots[t], sums[t]);
}

/* Adds blocks [first, end) times those of `tokens` activation rows, and of `more` behind
 * the first MOST_TOKENS. */
ALWAYS_INLINE void multiply_blocks(enum elem type, struct ring *ring, size_t first, size_t end,
                                   int unpacks, int tokens, int more, const char *const x[],
                                   __m512 all[]) {
    __m512 sums[2 * MOST_TOKENS];
    UNROLL for (int t = 0; t < tokens + more; t++) sums[t] = all[t];
    for (size_t i = first; i < end; i++) {
        multiply_block(type, ring, i, unpacks, tokens, x, sums);
        multiply_block(type, ring, i, 0, more, x + tokens, sums + tokens);
    }
    UNROLL for (int t = 0; t < tokens + more; t++) all[t] = sums[t];
}

/* The same for the next of `left` tokens; returns how many these are. An odd last one is
 * computed twice. */
ALWAYS_INLINE size_t next_tokens(enum elem type, struct ring *ring, size_t first, size_t end,
                                 size_t left, const char *const x[], __m512 sums[]) {
    switch (at_most((left + 1) / 2, MOST_TOKENS / 2)) {
    case 1: multiply_blocks(type, ring, first, end, 0, 2, 0, x, sums); return 2;
    case 2: multiply_blocks(type, ring, first, end, 0, 4, 0, x, sums); return 4;
    case 3: multiply_blocks(type, ring, first, end, 0, 6, 0, x, sums); return 6;
    default: multiply_blocks(type, ring, first, end, 0, MOST_TOKENS, 0, x, sums);
    }
    return MOST_TOKENS;
}

/* The same for the first of n_tokens, more than FEW_TOKENS, while blocks are unpacked. */
ALWAYS_INLINE size_t first_tokens(enum elem type, struct ring *ring, size_t first, size_t end,
                                  size_t n_tokens, const char *const x[], __m512 sums[]) {
#define TAKE(tokens, more) multiply_blocks(type, ring, first, end, 1, tokens, more, x, sums)
    switch ((n_tokens + 1) / 2) {
    case 3: TAKE(6, 0); return 6;
    case 5: TAKE(8, 2); return 10;
    case 6: TAKE(8, 4); return 12;
    case 7: TAKE(8, 6); return 14;
    case 8: TAKE(8, 8); return 16;
    default: TAKE(8, 0);
    }
#undef TAKE
    return MOST_TOKENS;
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. Up to 16 tokens pass by block
 * after block, more of them by as many blocks as leave the first-level cache room. */
ALWAYS_INLINE void tile_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens,
                               const char *const x[]) {
    const char *rows[PANEL_ROWS];
    __m512 sums[PANEL_TOKENS];
    const size_t n_blocks = a.n / 32, ahead = n_tokens <= 2 * MOST_TOKENS ? 1 : MOST_AHEAD;
    struct ring ring;
    ring.tile = &a;
    ring.rows = rows;
    ring.ahead = ahead;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens + n_tokens % 2; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < at_most(n_blocks, ahead); i++)
        unpack(type, rows, i * block_bytes(type), &ring.blocks[i]);
    for (size_t first = 0, end; first < n_blocks; first = end) {
        size_t left = n_blocks - first, t = 0;
        end = ahead == 1 && left > 1 ? n_blocks - 1 : first + at_most(left, ahead);
        if (left >= 2 * ahead)
            t = first_tokens(type, &ring, first, end, n_tokens, x, sums);
        else
            for (size_t i = end; i < n_blocks; i++)
                unpack(type, rows, i * block_bytes(type), block_at(&ring, i));
        while (t < n_tokens)
            t += next_tokens(type, &ring, first, end, n_tokens - t, x + t, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_mask_storeu_ps(a.y + t * a.y_stride, first_lanes(n_rows), sums[t]);
}

ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *x[PANEL_TOKENS];
    paired_tokens(&a, n_tokens, x);
    for (size_t r = 0; r < n_rows; r += PANEL_ROWS)
        tile_tokens(type, tile_at(a, r, 0), at_most(n_rows - r, PANEL_ROWS), n_tokens, x);
}

LINEAR_FROM_LANES(linear_q4_0, ELEM_Q4_0)
LINEAR_FROM_LANES(linear_q4_1, ELEM_Q4_1)
LINEAR_FROM_LANES(linear_q5_0, ELEM_Q5_0)
LINEAR_FROM_LANES(linear_q5_1, ELEM_Q5_1)
LINEAR_FROM_LANES(linear_q8_0, ELEM_Q8_0)
LINEAR_FROM_LANES(linear_iq4_nl, ELEM_IQ4_NL)
LINEAR_FROM_LANES(linear_mxfp4, ELEM_MXFP4)

void avx512_fill_q8(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
}
