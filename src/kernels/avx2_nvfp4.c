/* NVFP4 linear layers in AVX2: as those of avx2_q8.c, but with a scale per 16 values.
 * sum = fma(dot, d_w d_x, sum) for each of them in turn. */
#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/avx2_panel.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { FEW_ROWS = LANES, PANEL_BLOCKS = 8, PANEL_TOKENS = 128, OFFSET = 12 };

ALWAYS_INLINE size_t panel_from(enum elem type) {
    (void)type;
    return 2;
}

ALWAYS_INLINE const struct block_nvfp4 *block_of(const char *row, size_t i) {
    return (const struct block_nvfp4 *)(const void *)row + i;
}

/* Half a block: its 32 values, OFFSET added. */
ALWAYS_INLINE __m256i load_values(const struct block_nvfp4 *b, int part) {
    const __m256i twice = _mm256_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3);
    const __m256i shifts = _mm256_setr_epi64x(0, 4, 0, 4);
    const __m128i levels = _mm_add_epi8(_mm_setr_epi8(FP4_LEVELS), _mm_set1_epi8(OFFSET));
    __m256i bytes = _mm256_castsi128_si256(load128(b->q + 16 * part));
    __m256i codes = _mm256_srlv_epi64(_mm256_permutevar8x32_epi32(bytes, twice), shifts);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(levels),
                               _mm256_and_si256(codes, _mm256_set1_epi8(15)));
}

/* ue4m3_half() of byte k of each lane. A code at the top of a float's fraction and
 * exponent is 2^-119 of half its value (127 - 7 - 1), subnormals included. */
ALWAYS_INLINE __m256 scale_of(__m256i heads, int k) {
    __m256i e = _mm256_and_si256(_mm256_srli_epi32(heads, 8 * k), _mm256_set1_epi32(255));
    __m256i none = _mm256_cmpeq_epi32(e, _mm256_set1_epi32(0x7f));
    e = _mm256_andnot_si256(none, _mm256_and_si256(e, _mm256_set1_epi32(0x7f)));
    return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(e, 20)), _mm256_set1_ps(0x1.0p119f));
}

ALWAYS_INLINE __m256 add_dots(__m256i dots, __m256 d, float scale, __m256 sum) {
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_mul_ps(d, _mm256_set1_ps(scale)), sum);
}

/* ---- few tokens ---- */

/* Lane r: the sum of the low half of v[r], and of the high half. */
ALWAYS_INLINE void sum_halves(const __m256i v[LANES], __m256i out[2]) {
    __m256i a = sum_pairs_64(sum_pairs_32(v[0], v[1]), sum_pairs_32(v[2], v[3]));
    __m256i b = sum_pairs_64(sum_pairs_32(v[4], v[5]), sum_pairs_32(v[6], v[7]));
    out[0] = _mm256_permute2x128_si256(a, b, 0x20);
    out[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const size_t step = FEW_ROWS * sizeof(struct block_nvfp4);
    const struct act_q8 *x = (const struct act_q8 *)(const void *)a.x;
    const char *rows[FEW_ROWS];
    __m256 sum = _mm256_setzero_ps();
    (void)type;
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    for (size_t i = 0; i < a.n / 64; i++) {
        __m256i heads = load_heads(rows, i * sizeof(struct block_nvfp4));
        UNROLL for (size_t at = 0; at < step; at += 64) tile_prefetch(&a, FEW_ROWS, step * i + at);
        UNROLL for (int part = 0; part < 2; part++, x++) {
            __m256i q = load256(x->q), dots[LANES], halves[2];
            __m256i over = _mm256_maddubs_epi16(_mm256_set1_epi8(OFFSET), q);
            UNROLL for (int r = 0; r < LANES; r++) {
                __m256i v = load_values(block_of(rows[r], i), part);
                __m256i pairs = _mm256_sub_epi16(_mm256_maddubs_epi16(v, q), over);
                dots[r] = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            }
            sum_halves(dots, halves);
            sum = add_dots(halves[0], scale_of(heads, 2 * part), x->scale, sum);
            sum = add_dots(halves[1], scale_of(heads, 2 * part + 1), x->scale, sum);
        }
    }
    store_lanes(a.y, sum, n_rows);
}

/* ---- many tokens ---- */

/* 16 rows x PANEL_BLOCKS blocks, in groups of 16 values. */
struct panel {
    __m256i q[4 * PANEL_BLOCKS][4][2];
    __m256 d[4 * PANEL_BLOCKS][2];
};

/* Block i of 16 rows, to place `to`. */
ALWAYS_INLINE void fill_panel(struct panel *p, size_t to, const char *const rows[PANEL_ROWS],
                              size_t i) {
    for (int half = 0; half < 2; half++) {
        const char *const *own = rows + half * LANES;
        __m256i heads = load_heads(own, i * sizeof(struct block_nvfp4));
        UNROLL for (int k = 0; k < 4; k++) p->d[4 * to + (size_t)k][half] = scale_of(heads, k);
        UNROLL for (int part = 0; part < 2; part++) {
            __m256i v[LANES];
            UNROLL for (int r = 0; r < LANES; r++) v[r] = load_values(block_of(own[r], i), part);
            transpose(v);
            UNROLL for (int j = 0; j < LANES; j++)
                p->q[4 * to + (size_t)(2 * part + j / 4)][j % 4][half] = v[j];
        }
    }
}

/* OFFSET times the sums of the low and the high half of 32 activations. */
ALWAYS_INLINE void offset_sums(const int8_t *q, int out[2]) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(OFFSET), load256(q));
    __m256i s = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4e));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xb1));
    out[0] = _mm_cvtsi128_si32(_mm256_castsi256_si128(s));
    out[1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(s, 1));
}

/* Adds the panel times `count` vectors of 32 values of each of `tokens` tokens. */
ALWAYS_INLINE void panel_tokens(const struct panel *p, int tokens, const char *x, size_t stride,
                                size_t count, __m256 sums[][2]) {
    int over[TILE_TOKENS][4 * PANEL_BLOCKS];
    const char *at[TILE_TOKENS];
    token_pointers(x, stride, tokens, at);
    UNROLL for (int t = 0; t < tokens; t++) {
        for (size_t i = 0; i < count; i++)
            offset_sums(((const struct act_q8 *)(const void *)at[t])[i].q, over[t] + 2 * i);
    }
    for (size_t g = 0; g < 2 * count; g++) {
        size_t offset = g / 2 * sizeof(struct act_q8) + offsetof(struct act_q8, q) + g % 2 * 16;
        __m256i dots[TILE_TOKENS][2];
        sum_bytes(p->q[g], 4, tokens, at, offset, dots); /* 4 times 2 * 24 * 127 fit */
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8 *a = (const struct act_q8 *)(const void *)at[t] + g / 2;
            UNROLL for (int h = 0; h < 2; h++) {
                __m256i dot = _mm256_madd_epi16(dots[t][h], _mm256_set1_epi16(1));
                dot = _mm256_sub_epi32(dot, _mm256_set1_epi32(over[t][g]));
                sums[t][h] = add_dots(dot, p->d[g][h], a->scale, sums[t][h]);
            }
        }
    }
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    __m256 sums[PANEL_TOKENS][2];
    struct panel panel;
    (void)type;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    for (size_t first = 0; first < a.n / 64; first += PANEL_BLOCKS) {
        size_t count = at_most(a.n / 64 - first, PANEL_BLOCKS), t = 0;
        const char *x = a.x + first * 2 * sizeof(struct act_q8);
        for (size_t i = 0; i < count; i++)
            fill_panel(&panel, i, rows, first + i);
        for (; t + 4 <= n_tokens; t += 4)
            panel_tokens(&panel, 4, x + t * a.x_stride, a.x_stride, 2 * count, sums + t);
        for (; t + 2 <= n_tokens; t += 2)
            panel_tokens(&panel, 2, x + t * a.x_stride, a.x_stride, 2 * count, sums + t);
        if (t < n_tokens)
            panel_tokens(&panel, 1, x + t * a.x_stride, a.x_stride, 2 * count, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        store_rows(a.y + t * a.y_stride, sums[t], n_rows);
}

LINEAR_FROM_PANELS(linear_nvfp4, ELEM_NVFP4)

void avx2_fill_nvfp4(struct kernels *k) {
    k->linear[ELEM_NVFP4] = linear_nvfp4;
}
