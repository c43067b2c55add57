/* Linear layers of 32-value blocks against ACT_Q8 in AVX2.
 *
 * The sum of a block is exact in integers, so it may be formed in any order; only
 * the order of the float sum over blocks is fixed: sum = fma(dot, d_w d_x, sum), then
 * for types with a minimum sum = fma(m, sum_x, sum). Two ways of computing keep to
 * this, both with lanes that are 8 rows in the end:
 *
 *   few tokens   8 rows straight from the file's blocks, which are read once
 *   many tokens  8 rows are turned into a panel whose lanes are rows, so that a dot
 *                product needs no sums across lanes and serves all tokens
 *
 * VPMADDUBSW multiplies unsigned weights with signed activations and sums two
 * products to 16 bits, without saturating here: weights are non-negative, or made so
 * by adding offset(type), or magnitudes with their signs moved to the activations. */
#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { ROWS = 8, FEW_ROWS = ROWS, PANEL_ROWS = ROWS };
enum { PANEL_BLOCKS = 16, PANEL_TOKENS = 64, MANY_TOKENS = 8, TILE_TOKENS = 4 };

ALWAYS_INLINE int offset(enum elem type) {
    return type == ELEM_Q4_0 ? 8 : type == ELEM_Q5_0 ? 16 : 0;
}

ALWAYS_INLINE int has_minimum(enum elem type) {
    return type == ELEM_Q4_1 || type == ELEM_Q5_1;
}

/* Types whose values load_values gives with their signs. */
ALWAYS_INLINE int has_signs(enum elem type) {
    return !offset(type) && !has_minimum(type);
}

/* How many 16-bit sums of two products can be added without overflow. */
ALWAYS_INLINE int pairs_that_fit(enum elem type) {
    switch (type) {
    case ELEM_Q8_0:
    case ELEM_IQ4_NL: return 1; /* 2 * 128 * 127 */
    case ELEM_Q5_1: return 4;   /* 2 * 31 * 127 */
    default: return 8;          /* at most 2 * 16 * 127 */
    }
}

/* Low nibbles of 16 bytes, then their high nibbles. */
ALWAYS_INLINE __m256i load_nibbles(const void *p) {
    __m128i bytes = load128(p);
    __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* 16 in each byte whose bit of `qh` is set. */
ALWAYS_INLINE __m256i fifth_bits(uint32_t high) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i each = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)high), spread), each);
    return _mm256_and_si256(_mm256_cmpeq_epi8(own, each), _mm256_set1_epi8(16));
}

ALWAYS_INLINE __m256i look_up(__m256i codes, __m128i values) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), codes);
}

/* 32 values: signed, or with offset(type) added. */
ALWAYS_INLINE __m256i load_values(enum elem type, const void *block) {
    switch (type) {
    case ELEM_Q4_0: return load_nibbles(((const struct block_q4_0 *)block)->q);
    case ELEM_Q4_1: return load_nibbles(((const struct block_q4_1 *)block)->q);
    case ELEM_Q5_0: {
        const struct block_q5_0 *b = block;
        return _mm256_or_si256(load_nibbles(b->q), fifth_bits(b->high));
    }
    case ELEM_Q5_1: {
        const struct block_q5_1 *b = block;
        return _mm256_or_si256(load_nibbles(b->q), fifth_bits(b->high));
    }
    case ELEM_Q8_0: return load256(((const struct block_q8_0 *)block)->q);
    case ELEM_IQ4_NL:
        return look_up(load_nibbles(((const struct block_iq4_nl *)block)->q),
                       _mm_setr_epi8(IQ4_LEVELS));
    default:
        return look_up(load_nibbles(((const struct block_mxfp4 *)block)->q),
                       _mm_setr_epi8(FP4_LEVELS));
    }
}

ALWAYS_INLINE int head(const void *block) {
    int four;
    memcpy(&four, block, sizeof four);
    return four;
}

/* The first four bytes of block `at` bytes into 8 rows. */
ALWAYS_INLINE __m256i load_heads(const char *const r[ROWS], size_t at) {
    return _mm256_setr_epi32(head(r[0] + at), head(r[1] + at), head(r[2] + at), head(r[3] + at),
                             head(r[4] + at), head(r[5] + at), head(r[6] + at), head(r[7] + at));
}

/* Halves in 32-bit lanes to floats. */
ALWAYS_INLINE __m256 widen_halves(__m256i lanes) {
    __m128i low = _mm256_castsi256_si128(lanes), high = _mm256_extracti128_si256(lanes, 1);
    return _mm256_cvtph_ps(_mm_packus_epi32(low, high));
}

ALWAYS_INLINE __m256 block_scales(enum elem type, __m256i heads) {
    if (type != ELEM_MXFP4) return widen_halves(_mm256_and_si256(heads, _mm256_set1_epi32(0xffff)));
    /* e8m0_half of the lowest byte */
    __m256i e = _mm256_and_si256(heads, _mm256_set1_epi32(255));
    __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    __m256i least = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(bits, least, tiny));
}

ALWAYS_INLINE __m256 block_minima(__m256i heads) {
    return widen_halves(_mm256_srli_epi32(heads, 16));
}

ALWAYS_INLINE void store_rows(float *y, __m256 v, size_t n_rows) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(y, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n_rows), lanes), v);
}

/* sum + dot d_w d_x (+ m sum_x), lanes being rows */
ALWAYS_INLINE __m256 add_dots(enum elem type, __m256i dots, __m256 d, __m256 m,
                              const struct act_q8 *x, __m256 sum) {
    __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(x->scale));
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), scale, sum);
    return has_minimum(type) ? _mm256_fmadd_ps(m, _mm256_set1_ps(act_q8_sum(x)), sum) : sum;
}

/* ---- few tokens ---- */

ALWAYS_INLINE __m256i sum_pairs_32(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

ALWAYS_INLINE __m256i sum_pairs_64(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Lane r: the sum of v[r]. */
ALWAYS_INLINE __m256i sum_lanes(const __m256i v[ROWS]) {
    __m256i a = sum_pairs_64(sum_pairs_32(v[0], v[1]), sum_pairs_32(v[2], v[3]));
    __m256i b = sum_pairs_64(sum_pairs_32(v[4], v[5]), sum_pairs_32(v[6], v[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                            _mm256_permute2x128_si256(a, b, 0x31));
}

ALWAYS_INLINE __m256 few_step(enum elem type, const char *const rows[ROWS], size_t i,
                              const struct act_q8 *x, __m256 sum) {
    __m256i q = load256(x->q), over = _mm256_setzero_si256(), dots[ROWS];
    size_t at = i * block_bytes(type);
    if (offset(type)) over = _mm256_maddubs_epi16(_mm256_set1_epi8((char)offset(type)), q);
    UNROLL for (int r = 0; r < ROWS; r++) {
        __m256i v = load_values(type, rows[r] + at);
        __m256i pairs = has_signs(type)
                            ? _mm256_maddubs_epi16(_mm256_abs_epi8(v), _mm256_sign_epi8(q, v))
                            : _mm256_maddubs_epi16(v, q);
        if (offset(type)) pairs = _mm256_sub_epi16(pairs, over);
        dots[r] = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
    __m256i heads = load_heads(rows, at);
    __m256 m = has_minimum(type) ? block_minima(heads) : _mm256_setzero_ps();
    return add_dots(type, sum_lanes(dots), block_scales(type, heads), m, x, sum);
}

/* `n_rows` (at most ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const char *rows[ROWS];
    const struct act_q8 *x = (const struct act_q8 *)(const void *)a.x;
    __m256 sum = _mm256_setzero_ps();
    row_pointers(&a, n_rows, ROWS, rows);
    for (size_t i = 0; i < a.n / 32; i++) {
        UNROLL for (size_t at = 0; at < ROWS * block_bytes(type); at += 64)
            tile_prefetch(&a, ROWS, ROWS * i * block_bytes(type) + at);
        sum = few_step(type, rows, i, x + i, sum);
    }
    store_rows(a.y, sum, n_rows);
}

/* ---- many tokens ---- */

/* 8 rows x PANEL_BLOCKS blocks; lanes are rows. */
struct panel {
    __m256i q[PANEL_BLOCKS][8]; /* values 4 j .. 4 j + 3, unsigned or signed */
    __m256 d[PANEL_BLOCKS], m[PANEL_BLOCKS];
};

/* v[r] lane c <-> v[c] lane r */
ALWAYS_INLINE void transpose(__m256i v[8]) {
    __m256i t[8];
    UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        v[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        __m256i low = _mm256_permute2x128_si256(v[i], v[i + 4], 0x20);
        v[i + 4] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x31);
        v[i] = low;
    }
}

ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, size_t to,
                              const char *const rows[ROWS], size_t i) {
    __m256i v[ROWS], heads = load_heads(rows, i * block_bytes(type));
    UNROLL for (int r = 0; r < ROWS; r++) {
        v[r] = load_values(type, rows[r] + i * block_bytes(type));
        if (offset(type)) v[r] = _mm256_sub_epi8(v[r], _mm256_set1_epi8((char)offset(type)));
    }
    transpose(v);
    UNROLL for (int j = 0; j < 8; j++) p->q[to][j] = v[j];
    p->d[to] = block_scales(type, heads);
    if (has_minimum(type)) p->m[to] = block_minima(heads);
}

/* Adds block i of the panel times `tokens` activation blocks `stride` apart. */
ALWAYS_INLINE void panel_block(enum elem type, const struct panel *p, size_t i, int tokens,
                               const char *x, size_t stride, __m256 sums[]) {
    const int fit = pairs_that_fit(type);
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i dots[TILE_TOKENS], pairs[TILE_TOKENS];
    UNROLL for (int j = 0; j < 8; j++) {
        __m256i v = p->q[i][j], q = has_minimum(type) ? v : _mm256_abs_epi8(v);
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8 *a = (const struct act_q8 *)(const void *)(x + (size_t)t * stride);
            __m256i four = _mm256_set1_epi32(head(a->q + 4 * j));
            if (!has_minimum(type)) four = _mm256_sign_epi8(four, v);
            __m256i product = _mm256_maddubs_epi16(q, four);
            pairs[t] = j % fit ? _mm256_add_epi16(pairs[t], product) : product;
            if ((j + 1) % fit == 0) {
                __m256i dot = _mm256_madd_epi16(pairs[t], ones);
                dots[t] = j < fit ? dot : _mm256_add_epi32(dots[t], dot);
            }
        }
    }
    __m256 m = has_minimum(type) ? p->m[i] : _mm256_setzero_ps();
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8 *a = (const struct act_q8 *)(const void *)(x + (size_t)t * stride);
        sums[t] = add_dots(type, dots[t], p->d[i], m, a, sums[t]);
    }
}

ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens, const char *x,
                                size_t stride, size_t count, __m256 all[]) {
    __m256 sums[TILE_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) sums[t] = all[t];
    for (size_t i = 0; i < count; i++)
        panel_block(type, p, i, tokens, x + i * sizeof(struct act_q8), stride, sums);
    UNROLL for (int t = 0; t < tokens; t++) all[t] = sums[t];
}

/* n_rows <= ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[ROWS];
    __m256 sums[PANEL_TOKENS];
    struct panel panel;
    row_pointers(&a, n_rows, ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = _mm256_setzero_ps();
    for (size_t first = 0; first < a.n / 32; first += PANEL_BLOCKS) {
        size_t count = at_most(a.n / 32 - first, PANEL_BLOCKS), t = 0;
        const char *x = a.x + first * sizeof(struct act_q8);
        for (size_t i = 0; i < count; i++)
            fill_panel(type, &panel, i, rows, first + i);
        for (; t + TILE_TOKENS <= n_tokens; t += TILE_TOKENS)
            panel_tokens(type, &panel, TILE_TOKENS, x + t * a.x_stride, a.x_stride, count,
                         sums + t);
        for (; t < n_tokens; t++)
            panel_tokens(type, &panel, 1, x + t * a.x_stride, a.x_stride, count, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        store_rows(a.y + t * a.y_stride, sums[t], n_rows);
}

LINEAR_FROM_PANELS(linear_q4_0, ELEM_Q4_0)
LINEAR_FROM_PANELS(linear_q4_1, ELEM_Q4_1)
LINEAR_FROM_PANELS(linear_q5_0, ELEM_Q5_0)
LINEAR_FROM_PANELS(linear_q5_1, ELEM_Q5_1)
LINEAR_FROM_PANELS(linear_q8_0, ELEM_Q8_0)
LINEAR_FROM_PANELS(linear_iq4_nl, ELEM_IQ4_NL)
LINEAR_FROM_PANELS(linear_mxfp4, ELEM_MXFP4)

void avx2_fill_q8(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
}
