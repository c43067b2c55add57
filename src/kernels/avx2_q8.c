/* Linear layers of blocks with one scale against ACT_Q8 in AVX2, 32 values at a time.
 *
 * The sum of 32 products is exact in integers, so it may be formed in any order; only
 * the order of the float sum over blocks is fixed: sum = fma(dot, d_w d_x, sum), then
 * for types with a minimum sum = fma(m, sum_x, sum). Two ways of computing keep to
 * this, both with lanes that are rows in the end:
 *
 *   few tokens   8 rows straight from the file's blocks, which are read once; of nibbles two
 *                blocks at a time, so that one mask and one sum of words serve both
 *   many tokens  16 rows are turned into a panel (avx2_panel.h) that serves all tokens;
 *                panels of words go in groups, so that activations are widened once for all
 *
 * VPMADDUBSW multiplies unsigned weights with signed activations and sums two
 * products to 16 bits. Values are made unsigned by adding offset(type), which is taken
 * back times the sum of the activations; those that are too large for that, so that two
 * products would not fit, keep their signs: few tokens move them to the activations, a
 * panel has words. */
#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/avx2_panel.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

enum { FEW_ROWS = LANES, PANEL_BLOCKS = 16, PANEL_TOKENS = 128 };

ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return 8;
    case ELEM_Q5_0: return 16;
    case ELEM_MXFP4: return 12;
    case ELEM_Q1_0:
    case ELEM_Q2_0: return 1;
    default: return 0;
    }
}

ALWAYS_INLINE int has_minimum(enum elem type) {
    return type == ELEM_Q4_1 || type == ELEM_Q5_1;
}

/* Types whose values load_values gives with their signs. */
ALWAYS_INLINE int has_signs(enum elem type) {
    return type == ELEM_Q8_0 || type == ELEM_IQ4_NL;
}

/* Words take longer to fill a panel with. */
ALWAYS_INLINE size_t panel_from(enum elem type) {
    return has_signs(type) ? 4 : 2;
}

/* Quads of products whose 16-bit sums cannot overflow. */
ALWAYS_INLINE int quads_that_fit(enum elem type) {
    switch (type) {
    case ELEM_Q5_0:
    case ELEM_Q5_1:
    case ELEM_MXFP4: return 4; /* 2 * 31 * 127 each */
    default: return 8;         /* 2 * 15 * 127 */
    }
}

/* Blocks of 32 values in a block of the file. */
ALWAYS_INLINE size_t parts(enum elem type) {
    return type == ELEM_Q1_0 ? 4 : type == ELEM_Q2_0 ? 2 : 1;
}

/* Offset of the block in which values 32 i .. 32 i + 31 lie. */
ALWAYS_INLINE size_t block_offset(enum elem type, size_t i) {
    return i / parts(type) * block_bytes(type);
}

/* Low nibbles of 16 bytes, then their high nibbles. */
ALWAYS_INLINE __m256i load_nibbles(const void *p) {
    __m128i bytes = load128(p);
    __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* `one` in each byte whose bit is set, in the byte of its half of `bits` that `bytes` says. */
ALWAYS_INLINE __m256i bits_at(__m256i bits, __m256i bytes, char one) {
    const __m256i each = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    __m256i own = _mm256_and_si256(_mm256_shuffle_epi8(bits, bytes), each);
    return _mm256_and_si256(_mm256_cmpeq_epi8(own, each), _mm256_set1_epi8(one));
}

ALWAYS_INLINE __m256i spread_bits(uint32_t bits, char one) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    return bits_at(_mm256_set1_epi32((int)bits), spread, one);
}

/* 32 codes of two bits, the lowest bits of a byte first. */
ALWAYS_INLINE __m256i spread_pairs(const uint8_t *codes) {
    __m256i v = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)codes));
    v = _mm256_or_si256(v, _mm256_slli_epi32(v, 12));
    v = _mm256_or_si256(v, _mm256_slli_epi32(v, 6));
    return _mm256_and_si256(v, _mm256_set1_epi8(3));
}

/* Values of 4-bit codes, with `more` added. */
ALWAYS_INLINE __m256i look_up(__m256i codes, __m128i values, int more) {
    values = _mm_add_epi8(values, _mm_set1_epi8((char)more));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), codes);
}

/* Values 32 part .. 32 part + 31 of a block: signed, or with offset(type) added. */
ALWAYS_INLINE __m256i load_values(enum elem type, const void *block, size_t part) {
    switch (type) {
    case ELEM_Q4_0: return load_nibbles(((const struct block_q4_0 *)block)->q);
    case ELEM_Q4_1: return load_nibbles(((const struct block_q4_1 *)block)->q);
    case ELEM_Q5_0: {
        const struct block_q5_0 *b = block;
        return _mm256_or_si256(load_nibbles(b->q), spread_bits(b->high, 16));
    }
    case ELEM_Q5_1: {
        const struct block_q5_1 *b = block;
        return _mm256_or_si256(load_nibbles(b->q), spread_bits(b->high, 16));
    }
    case ELEM_Q8_0: return load256(((const struct block_q8_0 *)block)->q);
    case ELEM_IQ4_NL:
        return look_up(load_nibbles(((const struct block_iq4_nl *)block)->q),
                       _mm_setr_epi8(IQ4_LEVELS), 0);
    case ELEM_Q1_0: {
        const struct block_q1_0 *b = block;
        return spread_bits((uint32_t)head(b->q + 4 * part), 2); /* a bit b means 2 b - 1 */
    }
    case ELEM_Q2_0: return spread_pairs(((const struct block_q2_0 *)block)->q + 8 * part);
    default:
        return look_up(load_nibbles(((const struct block_mxfp4 *)block)->q),
                       _mm_setr_epi8(FP4_LEVELS), offset(type));
    }
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

/* Scales and minima of 8 blocks. */
struct scales {
    __m256 d, m;
};

ALWAYS_INLINE struct scales load_scales(enum elem type, const char *const rows[LANES], size_t at) {
    __m256i heads = load_heads(rows, at);
    struct scales s = {block_scales(type, heads), _mm256_setzero_ps()};
    if (has_minimum(type)) s.m = widen_halves(_mm256_srli_epi32(heads, 16));
    return s;
}

/* sum + (dot - offset sum_x) d_w d_x (+ m sum_x), lanes being rows */
ALWAYS_INLINE __m256 add_dots(enum elem type, __m256i dots, __m256 d, __m256 m,
                              const struct act_q8 *x, __m256 sum) {
    __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(x->scale));
    if (offset(type)) dots = _mm256_sub_epi32(dots, _mm256_set1_epi32(offset(type) * x->sum));
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), scale, sum);
    return has_minimum(type) ? _mm256_fmadd_ps(m, _mm256_set1_ps(act_q8_sum(x)), sum) : sum;
}

/* ---- few tokens ---- */

/* Sums of two products. */
ALWAYS_INLINE __m256i multiply_pairs(enum elem type, __m256i v, __m256i q) {
    if (!has_signs(type)) return _mm256_maddubs_epi16(v, q);
    return _mm256_maddubs_epi16(_mm256_abs_epi8(v), _mm256_sign_epi8(q, v));
}

/* Adds values 32 i .. of 8 rows times x. */
ALWAYS_INLINE __m256 few_step(enum elem type, const char *const rows[LANES], size_t i,
                              const struct act_q8 *x, __m256 sum) {
    __m256i q = load256(x->q), dots[LANES];
    size_t at = block_offset(type, i);
    UNROLL for (int r = 0; r < LANES; r++) {
        __m256i v = load_values(type, rows[r] + at, i % parts(type));
        dots[r] = _mm256_madd_epi16(multiply_pairs(type, v, q), _mm256_set1_epi16(1));
    }
    struct scales scales = load_scales(type, rows, at);
    return add_dots(type, sum_lanes(dots), scales.d, scales.m, x, sum);
}

/* Types of which a block ends with 32 nibbles, before them fifth bits where there are. */
ALWAYS_INLINE int has_nibbles(enum elem type) {
    return type != ELEM_Q8_0 && type != ELEM_Q1_0 && type != ELEM_Q2_0;
}

ALWAYS_INLINE __m256i load_halves(const void *first, const void *second) {
    return _mm256_set_m128i(load128(second), load128(first));
}

/* The values of two blocks, a half of each vector for either: 0 .. 15 and 16 .. 31. */
ALWAYS_INLINE void load_two(enum elem type, const char *block, __m256i *low, __m256i *high) {
    const char *first = block + block_bytes(type) - 16, *second = first + block_bytes(type);
    __m256i bytes = load_halves(first, second);
    *low = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
    *high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
    if (type == ELEM_Q5_0 || type == ELEM_Q5_1) {
        const __m256i places = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
        __m256i bits =
            _mm256_set_m128i(_mm_set1_epi32(head(second - 4)), _mm_set1_epi32(head(first - 4)));
        *low = _mm256_or_si256(*low, bits_at(bits, places, 16));
        *high =
            _mm256_or_si256(*high, bits_at(bits, _mm256_add_epi8(places, _mm256_set1_epi8(2)), 16));
    }
    if (type == ELEM_IQ4_NL || type == ELEM_MXFP4) {
        const __m128i levels =
            type == ELEM_MXFP4 ? _mm_setr_epi8(FP4_LEVELS) : _mm_setr_epi8(IQ4_LEVELS);
        *low = look_up(*low, levels, offset(type));
        *high = look_up(*high, levels, offset(type));
    }
}

/* Within each half: (a0 + a1, a2 + a3, b0 + b1, b2 + b3). */
ALWAYS_INLINE __m256i sum_neighbours(__m256i a, __m256i b) {
    __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
    return _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                            _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
}

/* The same of pairs of words. */
ALWAYS_INLINE __m256i sum_pairs_of_words(__m256i a, __m256i b) {
    __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);
    return _mm256_add_epi16(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                            _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
}

/* Within each half, of words: (a0 + a4, .., a3 + a7, b0 + b4, ..). */
ALWAYS_INLINE __m256i sum_words(__m256i a, __m256i b) {
    return _mm256_add_epi16(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Lane r of each half: the sum of that half of row r of four, in which a word is the sum of
 * four products. As many are added there as fit. */
ALWAYS_INLINE __m256i sum_four_rows(enum elem type, const __m256i v[4]) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i a = sum_words(v[0], v[1]), b = sum_words(v[2], v[3]);
    if (quads_that_fit(type) == 8) return _mm256_madd_epi16(sum_pairs_of_words(a, b), one);
    return sum_neighbours(_mm256_madd_epi16(a, one), _mm256_madd_epi16(b, one));
}

/* The same of lanes of 32 bits. */
ALWAYS_INLINE __m256i sum_four_lanes(const __m256i v[4]) {
    return sum_neighbours(sum_pairs_64(v[0], v[1]), sum_pairs_64(v[2], v[3]));
}

/* The words `at` bytes into 8 rows. Each is read where it comes to lie in its lane, together
 * with what is before it: up to 14 bytes, which are of earlier rows if those are others. */
ALWAYS_INLINE __m128i load_words(const char *const r[LANES], size_t at) {
    __m128i v = load128(r[0] + at);
    v = _mm_blend_epi16(v, load128(r[1] + at - 2), 2);
    v = _mm_blend_epi16(v, load128(r[2] + at - 4), 4);
    v = _mm_blend_epi16(v, load128(r[3] + at - 6), 8);
    v = _mm_blend_epi16(v, load128(r[4] + at - 8), 16);
    v = _mm_blend_epi16(v, load128(r[5] + at - 10), 32);
    v = _mm_blend_epi16(v, load128(r[6] + at - 12), 64);
    return _mm_blend_epi16(v, load128(r[7] + at - 14), 128);
}

/* load_scales of more than one row. */
ALWAYS_INLINE struct scales load_scales_of_rows(enum elem type, const char *const rows[LANES],
                                                size_t at) {
    if (type == ELEM_MXFP4) return load_scales(type, rows, at);
    struct scales s = {_mm256_cvtph_ps(load_words(rows, at)), _mm256_setzero_ps()};
    if (has_minimum(type)) s.m = _mm256_cvtph_ps(load_words(rows, at + 2));
    return s;
}

/* Adds values 32 i .. 32 i + 63 of 8 rows times x. */
ALWAYS_INLINE __m256 few_steps(enum elem type, const char *const rows[LANES], size_t i,
                               const struct act_q8 x[2], __m256 sum) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i early = load_halves(x[0].q, x[1].q), late = load_halves(x[0].q + 16, x[1].q + 16);
    __m256i four[2];
    size_t at = block_offset(type, i);
    UNROLL for (int h = 0; h < 2; h++) {
        __m256i dots[4];
        UNROLL for (int r = 0; r < 4; r++) {
            __m256i low, high;
            load_two(type, rows[4 * h + r] + at, &low, &high);
            low = multiply_pairs(type, low, early);
            high = multiply_pairs(type, high, late);
            dots[r] = has_signs(type) ? _mm256_add_epi32(_mm256_madd_epi16(low, one),
                                                         _mm256_madd_epi16(high, one))
                                      : _mm256_add_epi16(low, high);
        }
        four[h] = has_signs(type) ? sum_four_lanes(dots) : sum_four_rows(type, dots);
    }
    struct scales s = load_scales_of_rows(type, rows, at);
    sum = add_dots(type, _mm256_permute2x128_si256(four[0], four[1], 0x20), s.d, s.m, x, sum);
    s = load_scales_of_rows(type, rows, at + block_bytes(type));
    return add_dots(type, _mm256_permute2x128_si256(four[0], four[1], 0x31), s.d, s.m, x + 1, sum);
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const char *rows[FEW_ROWS];
    const struct act_q8 *x = (const struct act_q8 *)(const void *)a.x;
    const size_t step = FEW_ROWS * block_bytes(type) / parts(type);
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    for (; has_nibbles(type) && n_rows > 1 && i + 2 <= a.n / 32; i += 2) {
        tile_prefetch_bytes(&a, FEW_ROWS, step * i, 2 * step);
        sum = few_steps(type, rows, i, x + i, sum);
    }
    for (; i < a.n / 32; i++) {
        tile_prefetch_bytes(&a, FEW_ROWS, step * i, step);
        sum = few_step(type, rows, i, x + i, sum);
    }
    store_lanes(a.y, sum, n_rows);
}

/* ---- many tokens ---- */

/* 16 rows x panel_blocks(type) blocks of 32 values. */
struct panel {
    union {
        __m256i q[PANEL_BLOCKS][8][2];
        __m256i words[PANEL_BLOCKS / 2][16][2];
    };
    __m256 d[PANEL_BLOCKS][2], m[PANEL_BLOCKS][2];
};

ALWAYS_INLINE size_t panel_blocks(enum elem type) {
    return has_signs(type) ? PANEL_BLOCKS / 2 : PANEL_BLOCKS;
}

/* Values 32 i .. of 16 rows, to place `to`. */
ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, size_t to,
                              const char *const rows[PANEL_ROWS], size_t i) {
    size_t at = block_offset(type, i);
    for (int half = 0; half < 2; half++) {
        const char *const *own = rows + half * LANES;
        __m256i v[LANES];
        UNROLL for (int r = 0; r < LANES; r++) {
            prefetch_bytes(own[r] + block_offset(type, i + panel_blocks(type)), 64);
            v[r] = load_values(type, own[r] + at, i % parts(type));
        }
        transpose(v);
        UNROLL for (int j = 0; j < LANES; j++) {
            if (has_signs(type)) {
                p->words[to][j][half] = even_words(v[j]);
                p->words[to][8 + j][half] = odd_words(v[j]);
            } else {
                p->q[to][j][half] = v[j];
            }
        }
        struct scales scales = load_scales(type, own, at);
        p->d[to][half] = scales.d;
        if (has_minimum(type)) p->m[to][half] = scales.m;
    }
}

/* Block i of the panel times that of each token: bytes as they are at x, or words. */
ALWAYS_INLINE void multiply_block(enum elem type, const struct panel *p, size_t i, int tokens,
                                  const char *const x[], __m256i dots[][2]) {
    const int fit = quads_that_fit(type);
    __m256i sums[TILE_TOKENS][2];
    if (has_signs(type)) {
        UNROLL for (int t = 0; t < tokens; t++) dots[t][0] = dots[t][1] = _mm256_setzero_si256();
        add_words(p->words[i], 16, tokens, x, 64 * i, dots);
        return;
    }
    UNROLL for (int j = 0; j < 8; j += fit) {
        size_t at = i * sizeof(struct act_q8) + offsetof(struct act_q8, q) + 4 * (size_t)j;
        sum_bytes(p->q[i] + j, fit, tokens, x, at, sums);
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int h = 0; h < 2; h++) {
                __m256i dot = _mm256_madd_epi16(sums[t][h], _mm256_set1_epi16(1));
                dots[t][h] = in_order(j ? _mm256_add_epi32(dots[t][h], dot) : dot);
            }
        }
    }
}

/* Adds the panel times `count` blocks of each of `tokens` activation rows at x, the values of
 * which are bytes there or words at `values`. */
ALWAYS_INLINE void multiply_panel(enum elem type, const struct panel *p, int tokens,
                                  const char *const x[], const char *const values[], size_t count,
                                  __m256 sums[][2]) {
    for (size_t i = 0; i < count; i++) {
        __m256i dots[TILE_TOKENS][2];
        multiply_block(type, p, i, tokens, values, dots);
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8 *a = (const struct act_q8 *)(const void *)x[t] + i;
            UNROLL for (int h = 0; h < 2; h++) {
                __m256 m = has_minimum(type) ? p->m[i][h] : _mm256_setzero_ps();
                sums[t][h] = add_dots(type, dots[t][h], p->d[i][h], m, a, sums[t][h]);
            }
        }
    }
}

/* Panels that the same words serve, and the outputs of their rows. */
struct group {
    size_t n_panels;
    struct panel *panels;
    __m256 (*sums)[PANEL_TOKENS][2];
};

/* Adds to outputs t .. t + tokens - 1 of each panel the `count` blocks of their rows, which
 * begin at x. */
ALWAYS_INLINE void group_tokens(enum elem type, struct group g, size_t t, int tokens, const char *x,
                                size_t stride, size_t count) {
    int16_t words[TILE_TOKENS][32 * PANEL_BLOCKS / 2];
    const char *at[TILE_TOKENS], *values[TILE_TOKENS];
    token_pointers(x, stride, tokens, at);
    if (has_signs(type)) {
        UNROLL for (int k = 0; k < tokens; k++) {
            for (size_t i = 0; i < count; i++)
                widen_act(((const struct act_q8 *)(const void *)at[k])[i].q, words[k] + 32 * i);
        }
    }
    for (size_t p = 0; p < g.n_panels; p++) {
        if (has_signs(type))
            token_pointers((const char *)words, sizeof words[0], tokens, values);
        else
            token_pointers(x, stride, tokens, values);
        multiply_panel(type, g.panels + p, tokens, at, values, count, g.sums[p] + t);
    }
}

/* n_rows <= GROUP_ROWS (PANEL_ROWS of bytes), n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[GROUP_ROWS];
    __m256 sums[GROUP_PANELS][PANEL_TOKENS][2];
    struct panel panels[GROUP_PANELS];
    const struct group g = {has_signs(type) ? (n_rows + PANEL_ROWS - 1) / PANEL_ROWS : 1, panels,
                            sums};
    row_pointers(&a, n_rows, g.n_panels * PANEL_ROWS, rows);
    for (size_t p = 0; p < g.n_panels; p++)
        memset(sums[p], 0, n_tokens * sizeof sums[p][0]);
    for (size_t first = 0; first < a.n / 32; first += panel_blocks(type)) {
        size_t count = at_most(a.n / 32 - first, panel_blocks(type)), t = 0;
        const char *x = a.x + first * sizeof(struct act_q8);
        for (size_t p = 0; p < g.n_panels; p++)
            for (size_t i = 0; i < count; i++)
                fill_panel(type, panels + p, i, rows + p * PANEL_ROWS, first + i);
        for (; t + 4 <= n_tokens; t += 4)
            group_tokens(type, g, t, 4, x + t * a.x_stride, a.x_stride, count);
        for (; t + 2 <= n_tokens; t += 2)
            group_tokens(type, g, t, 2, x + t * a.x_stride, a.x_stride, count);
        if (t < n_tokens) group_tokens(type, g, t, 1, x + t * a.x_stride, a.x_stride, count);
    }
    for (size_t p = 0; p < g.n_panels; p++)
        store_panel(tile_at(a, p * PANEL_ROWS, 0), sums[p], n_rows - p * PANEL_ROWS, n_tokens);
}

LINEAR_FROM_PANELS(linear_q4_0, ELEM_Q4_0)
LINEAR_FROM_PANELS(linear_q4_1, ELEM_Q4_1)
LINEAR_FROM_PANELS(linear_q5_0, ELEM_Q5_0)
LINEAR_FROM_PANELS(linear_q5_1, ELEM_Q5_1)
LINEAR_FROM_GROUPS(linear_q8_0, ELEM_Q8_0, GROUP_ROWS)
LINEAR_FROM_GROUPS(linear_iq4_nl, ELEM_IQ4_NL, GROUP_ROWS)
LINEAR_FROM_PANELS(linear_mxfp4, ELEM_MXFP4)
LINEAR_FROM_PANELS(linear_q1_0, ELEM_Q1_0)
LINEAR_FROM_PANELS(linear_q2_0, ELEM_Q2_0)

void avx2_fill_q8(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
    k->linear[ELEM_Q1_0] = linear_q1_0;
    k->linear[ELEM_Q2_0] = linear_q2_0;
}
