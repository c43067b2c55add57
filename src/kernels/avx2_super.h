/* avx2_super.h - linear layers of 256-value blocks against ACT_Q8_K in AVX2. It is the
 * body of one source file per family of types.
 *
 * The includer defines, all ALWAYS_INLINE,
 *
 *   void load_weights(type, block, weights)   unpacks a block
 *   int has_dmin(type)      the minima have a scale of their own; others' share d
 *   int has_signs(type)     weights are magnitudes with signs, and have no minima
 *   int offset(type)        what makes these non-negative in the panel; 0: they are too
 *                           large, and go there as words that include their scales
 *   int group_values(type)  values that share a scale: 16, 32 or 256, scaled by 1 then
 *   int quads_that_fit(type)  quads of products whose 16-bit sums cannot overflow
 *
 * The dot product of a block, scales of its groups included, is exact in integers, so
 * it may be formed in any order; only the order of the float sum over blocks is fixed:
 * sum = fma(dot, d_w d_x, sum), then for types with has_dmin
 * sum = fma(-minima, dmin d_x, sum). Two ways of computing keep to this: few tokens take
 * a row straight from the file's blocks, many tokens share a panel (avx2_panel.h).
 *
 * VPMADDUBSW cannot saturate: weights are at most 127, or magnitudes with their signs
 * moved to the activations. What a type subtracts per group of 16 values is taken from
 * the sums of the activations. */
#ifndef HEARTH_KERNELS_AVX2_SUPER_H
#define HEARTH_KERNELS_AVX2_SUPER_H

#include "kernels/avx2_panel.h"
#include "kernels/avx2_weights.h"
#include "kernels/levels.h"

/* ---- few tokens ---- */

enum { FEW_ROWS = 1 };

ALWAYS_INLINE int has_words(enum elem type) {
    return has_signs(type) && !offset(type);
}

/* The number of tokens from which a panel pays; words take longer to fill it with. */
ALWAYS_INLINE size_t panel_from(enum elem type) {
    return has_words(type) ? 4 : 2;
}

/* Spreads 16 scales, one per 16 values: a half vector each. */
ALWAYS_INLINE void spread_scales(__m256i scales, __m256i out[8]) {
    const __m256i first = _mm256_set_m128i(_mm_set1_epi16(0x0302), _mm_set1_epi16(0x0100));
    __m256i halves[2] = {_mm256_permute4x64_epi64(scales, 0x44),
                         _mm256_permute4x64_epi64(scales, 0xee)};
    UNROLL for (int j = 0; j < 8; j++) out[j] = _mm256_shuffle_epi8(
        halves[j / 4], _mm256_add_epi8(first, _mm256_set1_epi8((char)(4 * (j % 4)))));
}

/* 8 partial dot products of a block, without the minima. */
ALWAYS_INLINE __m256i partial_dots(enum elem type, const struct weights *w,
                                   const struct act_q8k *x) {
    __m256i scale[8], dot = _mm256_setzero_si256(), all = dot;
    if (group_values(type) < 256) spread_scales(w->scale, scale);
    UNROLL for (int j = 0; j < 8; j++) {
        __m256i q = load256(x->q + 32 * j);
        if (has_signs(type)) q = _mm256_sign_epi8(q, w->sign[j]);
        __m256i pairs = _mm256_maddubs_epi16(w->q[j], q);
        if (group_values(type) == 256)
            all = _mm256_add_epi16(all, pairs);
        else
            dot = _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, scale[j]));
    }
    return group_values(type) == 256 ? _mm256_madd_epi16(all, _mm256_set1_epi16(1)) : dot;
}

/* The sums of a and of b, in lanes 0 and 1. */
ALWAYS_INLINE __m128i sum_both(__m256i a, __m256i b) {
    __m256i s = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    return _mm_add_epi32(t, _mm_unpackhi_epi64(t, t));
}

/* One output. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const struct act_q8k *x = (const struct act_q8k *)(const void *)a.x;
    __m128 sum = _mm_setzero_ps();
    (void)n_rows;
    for (size_t i = 0; i < a.n / 256; i++) {
        struct weights w;
        load_weights(type, a.w + i * block_bytes(type), &w);
        __m256i dot = partial_dots(type, &w, x + i), minima = _mm256_setzero_si256();
        if (!has_signs(type)) minima = _mm256_madd_epi16(w.minima, load256(x[i].sums));
        if (!has_dmin(type)) dot = _mm256_sub_epi32(dot, minima);
        __m128 sums = _mm_cvtepi32_ps(sum_both(dot, minima));
        __m128 scales = _mm_mul_ps(w.d, _mm_set1_ps(x[i].scale));
        sum = _mm_fmadd_ss(sums, scales, sum);
        if (has_dmin(type))
            sum = _mm_fnmadd_ss(_mm_movehdup_ps(sums), _mm_movehdup_ps(scales), sum);
    }
    _mm_store_ss(a.y, sum);
}

/* ---- many tokens ---- */

enum { PANEL_TOKENS = 128 };

/* One block of 16 rows: bytes in quads with scales and minima, or words. */
struct panel {
    union {
        struct {
            __m256i q[64][2];
            __m256i scale[16][2]; /* per 16 values: the same twice in a lane */
            __m256i minima[8][2]; /* of groups 2 j and 2 j + 1 of 16 or of 32 values */
        };
        __m256i words[128][2];
    };
    __m256i crossed[2]; /* of words: the sums of a b + c d */
    __m256 d[2], dmin[2];
};

/* Values of 8 rows, one vector of 32 each, to the words of the panel; returns the sums of
 * a b + c d. */
ALWAYS_INLINE __m256i put_words(struct panel *p, int half, int j, const __m256i quads[LANES],
                                const __m256i scales[2]) {
    __m256i crossed = _mm256_setzero_si256();
    UNROLL for (int i = 0; i < LANES; i++) {
        __m256i even = _mm256_mullo_epi16(even_words(quads[i]), scales[i / 4]);
        __m256i odd = _mm256_mullo_epi16(odd_words(quads[i]), scales[i / 4]);
        p->words[16 * j + i][half] = even;
        p->words[16 * j + 8 + i][half] = odd;
        crossed = _mm256_add_epi32(crossed, _mm256_madd_epi16(even, odd));
    }
    return crossed;
}

/* The low and the high words of 32-bit lanes, twice each. */
ALWAYS_INLINE void twice_each(__m256i v, __m256i out[2]) {
    out[0] = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(v, 0xa0), 0xa0);
    out[1] = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(v, 0xf5), 0xf5);
}

/* The first and the second lanes of 8 vectors. */
ALWAYS_INLINE void gather_scales(const __m128 v[LANES], __m256 *first, __m256 *second) {
    __m256 pairs[4];
    UNROLL for (int i = 0; i < 4; i++) pairs[i] = _mm256_set_m128(v[i + 4], v[i]);
    __m256 low = _mm256_unpacklo_ps(pairs[0], pairs[2]),
           high = _mm256_unpacklo_ps(pairs[1], pairs[3]);
    *first = _mm256_unpacklo_ps(low, high);
    *second = _mm256_unpackhi_ps(low, high);
}

/* A row's block, unpacked to values that are non-negative bytes or become words. */
ALWAYS_INLINE void load_values(enum elem type, const char *block, struct weights *w) {
    load_weights(type, block, w);
    if (!has_signs(type)) return;
    UNROLL for (int j = 0; j < 8; j++) w->q[j] = _mm256_add_epi8(
        _mm256_sign_epi8(w->q[j], w->sign[j]), _mm256_set1_epi8((char)offset(type)));
    w->minima = _mm256_mullo_epi16(w->scale, _mm256_set1_epi16((short)offset(type)));
}

/* Transposed, 16 words of 8 rows, the minima, are pairs of neighbours; those of groups
 * of 32 values, which are there twice, have to become such pairs. */
ALWAYS_INLINE void transpose_minima(enum elem type, __m256i minima[LANES]) {
    transpose(minima);
    if (group_values(type) < 32) return;
    UNROLL for (int j = 0; j < 4; j++) minima[j] =
        _mm256_blend_epi16(minima[2 * j], minima[2 * j + 1], 0xaa);
}

/* 8 rows from `rows` on, to one half of the panel's vectors. */
ALWAYS_INLINE void fill_half(enum elem type, struct panel *p, int half, const char *const rows[],
                             size_t i) {
    __m256i q[8][LANES], scales[LANES], minima[LANES], crossed = _mm256_setzero_si256();
    __m128 d[LANES];
    for (int r = 0; r < LANES; r++) {
        const char *block = rows[r] + i * block_bytes(type);
        struct weights w;
        prefetch_bytes(block + block_bytes(type), block_bytes(type));
        load_values(type, block, &w);
        UNROLL for (int j = 0; j < 8; j++) q[j][r] = w.q[j];
        scales[r] = w.scale;
        minima[r] = w.minima;
        d[r] = w.d;
    }
    transpose(scales);
    if (!has_words(type)) transpose_minima(type, minima);
    for (int j = 0; j < 8; j++) {
        __m256i both[2];
        transpose(q[j]);
        twice_each(scales[j], both);
        if (has_words(type)) {
            crossed = _mm256_add_epi32(crossed, put_words(p, half, j, q[j], both));
            continue;
        }
        UNROLL for (int k = 0; k < LANES; k++) p->q[8 * j + k][half] = q[j][k];
        p->scale[2 * j][half] = both[0];
        p->scale[2 * j + 1][half] = both[1];
        p->minima[j][half] = minima[j];
    }
    p->crossed[half] = crossed;
    gather_scales(d, &p->d[half], &p->dmin[half]);
}

ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, const char *const rows[PANEL_ROWS],
                              size_t i) {
    for (int half = 0; half < 2; half++)
        fill_half(type, p, half, rows + half * LANES, i);
}

#endif
