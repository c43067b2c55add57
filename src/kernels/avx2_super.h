/* avx2_super.h - linear layers of 256-value blocks against ACT_Q8_K in AVX2. It is the
 * body of one source file per family of types.
 *
 * The includer defines, all ALWAYS_INLINE,
 *
 *   void load_values(type, block, part, weights)  unpacks one of parts(type) parts
 *   void load_scales(type, rows, at, scales)  those of the blocks `at` bytes into 8 rows
 *   int parts(type)         1 or 2: whole blocks or their halves at a time
 *   int has_minima(type)    they are loaded too; others have those that come from offset(type)
 *   int has_dmin(type)      the minima have a scale of their own; others' share d
 *   int has_signs(type)     weights are magnitudes with signs, and have no minima
 *   int offset(type)        what values without minima of their own are too large by; what
 *                           makes those with signs non-negative in the panel, where 0 means
 *                           that they go there as words that include their scales
 *   int group_values(type)  values that share a scale: 16, 32 or 256, scaled by 1 then
 *   int quads_that_fit(type)  quads of products whose 16-bit sums cannot overflow
 *
 * The dot product of a block, scales of its groups included, is exact in integers, so
 * it may be formed in any order; only the order of the float sum over blocks is fixed:
 * sum = fma(dot, d_w d_x, sum), then for types with has_dmin
 * sum = fma(-minima, dmin d_x, sum). Two ways of computing keep to this, both with lanes
 * that are rows in the end: few tokens take 8 rows straight from the file's blocks, many
 * tokens share a panel (avx2_panel.h).
 *
 * VPMADDUBSW cannot saturate: weights are at most 127, or magnitudes with their signs
 * moved to the activations. What a type subtracts per group of 16 values is taken from
 * the sums of the activations. */
#ifndef HEARTH_KERNELS_AVX2_SUPER_H
#define HEARTH_KERNELS_AVX2_SUPER_H

#include "kernels/avx2_panel.h"
#include "kernels/avx2_weights.h"
#include "kernels/levels.h"

enum { FEW_ROWS = LANES };

ALWAYS_INLINE int has_words(enum elem type) {
    return has_signs(type) && !offset(type);
}

/* The number of tokens from which a panel pays; words take longer to fill it with. */
ALWAYS_INLINE size_t panel_from(enum elem type) {
    return has_words(type) ? 4 : 2;
}

/* Vectors of minima: of two groups each. */
ALWAYS_INLINE int minima_pairs(enum elem type) {
    return group_values(type) < 32 ? 8 : 4;
}

/* ---- few tokens ---- */

/* Scales of vector j of row r. */
ALWAYS_INLINE __m256i vector_scales(enum elem type, const struct scales *s, int j, size_t r) {
    const __m256i halves = _mm256_set_m128i(_mm_set1_epi16(0x0302), _mm_set1_epi16(0x0100));
    __m256i own = broadcast_four((const int32_t *)(const void *)(s->group + j) + r);
    return group_values(type) < 32 ? _mm256_shuffle_epi8(own, halves) : own;
}

/* 8 partial dot products of a row's block, without minima and offset. */
ALWAYS_INLINE __m256i row_dots(enum elem type, const char *block, const struct scales *s, size_t r,
                               const __m256i x[8]) {
    const int vectors = 8 / parts(type);
    __m256i dot = _mm256_setzero_si256();
    UNROLL for (int part = 0; part < parts(type); part++) {
        struct weights w;
        load_values(type, block, part, &w);
        UNROLL for (int k = 0; k < vectors; k++) {
            const int j = part * vectors + k;
            __m256i q = has_signs(type) ? _mm256_sign_epi8(x[j], w.sign[k]) : x[j];
            __m256i pairs = _mm256_maddubs_epi16(w.q[k], q);
            if (group_values(type) == 256)
                dot = in_order(_mm256_add_epi16(dot, pairs));
            else
                dot = in_order(
                    _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, vector_scales(type, s, j, r))));
        }
    }
    return group_values(type) == 256 ? _mm256_madd_epi16(dot, _mm256_set1_epi16(1)) : dot;
}

/* Lane r: what is to be subtracted from row r. */
ALWAYS_INLINE __m256i few_minima(enum elem type, const struct scales *s, const struct act_q8k *x) {
    const __m256i *minima = has_minima(type) ? s->minima : s->group;
    const __m128i per_32 = sums_of_32(x);
    const char *sums = minima_pairs(type) < 8 ? (const char *)&per_32 : (const char *)x->sums;
    __m256i sum = _mm256_setzero_si256();
    UNROLL for (int j = 0; j < minima_pairs(type); j++) sum =
        _mm256_add_epi32(sum, _mm256_madd_epi16(minima[j], broadcast_four(sums + 4 * j)));
    return has_minima(type) ? sum : _mm256_mullo_epi32(sum, _mm256_set1_epi32(offset(type)));
}

/* dots[r] = the partial dot products of row r's block i. What comes a tile later is asked for
 * row by row: many lines at once would wait for each other, and loads for them. So is the next
 * block, in the first-level cache, because the hardware does not learn so many streams. */
ALWAYS_INLINE void few_dots(enum elem type, const struct tile *a, const char *const rows[LANES],
                            size_t i, const struct scales *s, const __m256i x[8],
                            __m256i dots[LANES]) {
    const size_t bytes = block_bytes(type);
    for (size_t r = 0; r < LANES; r++) {
        tile_prefetch_bytes(a, FEW_ROWS, (i * LANES + r) * bytes, bytes);
        prefetch_bytes(rows[r] + (i + 1) * bytes, bytes);
        dots[r] = row_dots(type, rows[r] + i * bytes, s, r, x);
    }
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const char *rows[FEW_ROWS];
    const struct act_q8k *x = (const struct act_q8k *)(const void *)a.x;
    __m256 sum = _mm256_setzero_ps();
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    for (size_t i = 0; i < a.n / 256; i++, x++) {
        const __m256 scale = _mm256_set1_ps(x->scale);
        __m256i q[8], dots[LANES], minima = _mm256_setzero_si256();
        struct scales s;
        load_scales(type, rows, i * block_bytes(type), &s);
        UNROLL for (int j = 0; j < 8; j++) q[j] = load256(x->q + 32 * j);
        /* Copies do not lie across cache lines. Scales are stored for all rows first: what waits
         * for those of its own row would keep later instructions from starting. */
        __asm__("" : "+m"(q), "+m"(s.group));
        few_dots(type, &a, rows, i, &s, q, dots);
        __m256i dot = sum_lanes(dots);
        if (!has_signs(type)) minima = few_minima(type, &s, x);
        if (!has_dmin(type)) dot = _mm256_sub_epi32(dot, minima);
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(s.d, scale), sum);
        if (has_dmin(type))
            sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minima), _mm256_mul_ps(s.dmin, scale), sum);
    }
    store_lanes(a.y, sum, n_rows);
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

/* A row's block, unpacked to values that are non-negative bytes or become words. */
ALWAYS_INLINE void whole_block(enum elem type, const char *block, __m256i q[8][LANES], int r) {
    const int vectors = 8 / parts(type);
    UNROLL for (int part = 0; part < parts(type); part++) {
        struct weights w;
        load_values(type, block, part, &w);
        UNROLL for (int k = 0; k < vectors; k++) {
            if (has_signs(type))
                w.q[k] = _mm256_add_epi8(_mm256_sign_epi8(w.q[k], w.sign[k]),
                                         _mm256_set1_epi8((char)offset(type)));
            q[part * vectors + k][r] = w.q[k];
        }
    }
}

/* The minima that come from an offset. */
ALWAYS_INLINE void offset_minima(enum elem type, struct scales *s) {
    UNROLL for (int j = 0; j < minima_pairs(type); j++) {
        __m256i own = group_values(type) < 32
                          ? s->group[j]
                          : _mm256_blend_epi16(s->group[2 * j], s->group[2 * j + 1], 0xaa);
        s->minima[j] = _mm256_mullo_epi16(own, _mm256_set1_epi16((short)offset(type)));
    }
}

/* 8 rows from `rows` on, to one half of the panel's vectors. */
ALWAYS_INLINE void fill_half(enum elem type, struct panel *p, int half, const char *const rows[],
                             size_t i) {
    __m256i q[8][LANES], crossed = _mm256_setzero_si256();
    const size_t at = i * block_bytes(type);
    struct scales s;
    for (int r = 0; r < LANES; r++) {
        prefetch_bytes(rows[r] + at + block_bytes(type), block_bytes(type));
        whole_block(type, rows[r] + at, q, r);
    }
    load_scales(type, rows, at, &s);
    if (!has_words(type) && !has_minima(type)) offset_minima(type, &s);
    for (int j = 0; j < 8; j++) {
        __m256i both[2];
        transpose(q[j]);
        twice_each(s.group[j], both);
        if (has_words(type)) {
            crossed = _mm256_add_epi32(crossed, put_words(p, half, j, q[j], both));
            continue;
        }
        UNROLL for (int k = 0; k < LANES; k++) p->q[8 * j + k][half] = q[j][k];
        p->scale[2 * j][half] = both[0];
        p->scale[2 * j + 1][half] = both[1];
        if (j < minima_pairs(type)) p->minima[j][half] = s.minima[j];
    }
    p->crossed[half] = crossed;
    p->d[half] = s.d;
    if (has_dmin(type)) p->dmin[half] = s.dmin;
}

ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, const char *const rows[PANEL_ROWS],
                              size_t i) {
    for (int half = 0; half < 2; half++)
        fill_half(type, p, half, rows + half * LANES, i);
}

#endif
