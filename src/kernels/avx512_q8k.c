/* Linear layers of 256-value blocks against ACT_Q8_K in AVX-512 VNNI.
 *
 * The dot product of a block, scales of its groups included, is exact in integers, so
 * it may be formed in any order; only the order of the float sum over blocks is fixed:
 * sum = fma(dot, d_w d_x, sum), then for types whose minima have a scale of their own
 * sum = fma(-minima, dmin d_x, sum). Two ways of computing keep to this:
 *
 *   few tokens   4 rows at a time straight from the file's blocks. Products of
 *                neighbours are summed to 16 bits (VPMADDUBSW, which cannot saturate:
 *                weights are at most 63, or magnitudes with their signs moved to the
 *                activations), then scaled and summed to 32 bits (VPDPWSSD)
 *   many tokens  16 rows are turned into a panel whose lanes are rows; VPDPBUSD sums a
 *                group, VPMULLD scales it, and all tokens use the panel
 *
 * What a type subtracts per 16 values comes from the sums of the activations. */
#include <immintrin.h>

#include "kernels/avx512_super.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* ---- few tokens ---- */

enum { FEW_ROWS = 4 };

/* 16 partial dot products of a block. */
ALWAYS_INLINE __m512i partial_dots(enum elem type, const struct weights *w,
                                   const struct act_q8k *x) {
    __m512i scale[4], zero = _mm512_setzero_si512(), dot = zero;
    spread_16(w->scale, scale);
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i q = _mm512_loadu_si512(x->q + 64 * j), v = w->q[j];
        if (has_signs(type)) {
            __m512i values = _mm512_xor_si512(v, _mm512_set1_epi8(-128));
            q = _mm512_mask_sub_epi8(q, _mm512_movepi8_mask(values), zero, q);
            v = _mm512_abs_epi8(values);
        }
        dot = _mm512_dpwssd_epi32(dot, _mm512_maddubs_epi16(v, q), scale[j]);
    }
    return dot;
}

/* The sums of four vectors. */
ALWAYS_INLINE __m128i sum_lanes(const __m512i v[FEW_ROWS]) {
    __m512i s = sum_pairs_64(sum_pairs_32(v[0], v[1]), sum_pairs_32(v[2], v[3]));
    __m256i t = _mm256_add_epi32(_mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
}

ALWAYS_INLINE __m128 few_step(enum elem type, const char *const rows[FEW_ROWS], size_t i,
                              const struct act_q8k *x, __m128 sum) {
    __m512i dots[FEW_ROWS], minima[FEW_ROWS];
    float d[FEW_ROWS], dmin[FEW_ROWS];
    UNROLL for (int r = 0; r < FEW_ROWS; r++) {
        struct weights w;
        const char *block = rows[r] + i * block_bytes(type);
        load_weights(type, block, &w);
        __m256i below = _mm256_madd_epi16(w.minima, load256(x->sums));
        minima[r] = _mm512_zextsi256_si512(below);
        dots[r] = partial_dots(type, &w, x);
        if (!has_dmin(type) && !has_signs(type)) dots[r] = _mm512_sub_epi32(dots[r], minima[r]);
        d[r] = half(type, block, 0);
        if (has_dmin(type)) dmin[r] = half(type, block, 1);
    }
    __m128 scale = _mm_set1_ps(x->scale), dw = _mm_setr_ps(d[0], d[1], d[2], d[3]);
    sum = _mm_fmadd_ps(_mm_cvtepi32_ps(sum_lanes(dots)), _mm_mul_ps(dw, scale), sum);
    if (!has_dmin(type)) return sum;
    __m128 mw = _mm_setr_ps(dmin[0], dmin[1], dmin[2], dmin[3]);
    return _mm_fnmadd_ps(_mm_cvtepi32_ps(sum_lanes(minima)), _mm_mul_ps(mw, scale), sum);
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const char *rows[FEW_ROWS];
    const struct act_q8k *x = (const struct act_q8k *)(const void *)a.x;
    __m128 sum = _mm_setzero_ps();
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    for (size_t i = 0; i < a.n / 256; i++) {
        UNROLL for (size_t at = 0; at < FEW_ROWS * block_bytes(type); at += 64)
            tile_prefetch(&a, FEW_ROWS, FEW_ROWS * i * block_bytes(type) + at);
        sum = few_step(type, rows, i, x + i, sum);
    }
    _mm_mask_storeu_ps(a.y, (__mmask8)first_lanes(n_rows), sum);
}

/* ---- many tokens ---- */

enum { PANEL_ROWS = 16, PANEL_TOKENS = 64, MANY_TOKENS = 8 };

/* One block of 16 rows; lanes are rows. */
struct panel {
    __m512i q[64];     /* values 4 j .. 4 j + 3, unsigned */
    __m512i scale[16]; /* 32 bits, per 16 values */
    __m512i minima[8]; /* 16 bits, of groups 2 j and 2 j + 1 */
    __m512 d, dmin;
};

ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, const char *const rows[PANEL_ROWS],
                              size_t i) {
    __m512i q[4][PANEL_ROWS], scales[PANEL_ROWS];
    float d[PANEL_ROWS], dmin[PANEL_ROWS] = {0};
    for (int r = 0; r < PANEL_ROWS; r++) {
        struct weights w;
        const char *block = rows[r] + i * block_bytes(type);
        load_weights(type, block, &w);
        UNROLL for (int j = 0; j < 4; j++) q[j][r] = w.q[j];
        scales[r] = _mm512_inserti64x4(_mm512_castsi256_si512(w.scale), w.minima, 1);
        d[r] = half(type, block, 0);
        if (has_dmin(type)) dmin[r] = half(type, block, 1);
    }
    for (int j = 0; j < 4; j++) {
        transpose(q[j]);
        memcpy(p->q + 16 * j, q[j], sizeof q[j]);
    }
    transpose(scales);
    UNROLL for (int j = 0; j < 8; j++) {
        p->scale[2 * j] = _mm512_srai_epi32(_mm512_slli_epi32(scales[j], 16), 16);
        p->scale[2 * j + 1] = _mm512_srai_epi32(scales[j], 16);
        p->minima[j] = scales[8 + j];
    }
    p->d = _mm512_loadu_ps(d);
    p->dmin = _mm512_loadu_ps(dmin);
}

/* Values that share a scale. */
ALWAYS_INLINE int group_values(enum elem type) {
    switch (type) {
    case ELEM_Q4_K:
    case ELEM_Q5_K:
    case ELEM_IQ4_XS: return 32;
    case ELEM_TQ2_0: return 256;
    default: return 16;
    }
}

ALWAYS_INLINE __m512i four_bytes(const void *p) {
    int four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/* Adds the panel's block times those of `tokens` activation rows. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens, const char *x,
                                size_t stride, __m512 sums[]) {
    const int quads = group_values(type) < 32 ? 4 : 8; /* vectors taken at a time */
    __m512i dots[MANY_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) dots[t] = _mm512_setzero_si512();
    for (int g = 0; g < 64 / quads; g++) {
        __m512i q[8], scale = p->scale[g * quads / 4];
        UNROLL for (int j = 0; j < quads; j++) q[j] = p->q[g * quads + j];
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8k *a =
                (const struct act_q8k *)(const void *)(x + (size_t)t * stride);
            __m512i dot = group_values(type) == 256 ? dots[t] : _mm512_setzero_si512();
            UNROLL for (int j = 0; j < quads; j++) dot =
                _mm512_dpbusd_epi32(dot, q[j], four_bytes(a->q + 4 * (g * quads + j)));
            dots[t] = group_values(type) == 256
                          ? dot
                          : _mm512_add_epi32(dots[t], _mm512_mullo_epi32(dot, scale));
        }
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8k *a = (const struct act_q8k *)(const void *)(x + (size_t)t * stride);
        __m512i minima = _mm512_setzero_si512();
        UNROLL for (int j = 0; j < 8; j++) minima =
            _mm512_dpwssd_epi32(minima, p->minima[j], four_bytes(a->sums + 2 * j));
        if (!has_dmin(type)) dots[t] = _mm512_sub_epi32(dots[t], minima);
        __m512 scale = _mm512_set1_ps(a->scale);
        sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]), _mm512_mul_ps(p->d, scale), sums[t]);
        if (has_dmin(type))
            sums[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima), _mm512_mul_ps(p->dmin, scale),
                                       sums[t]);
    }
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[PANEL_TOKENS];
    struct panel panel;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        size_t t = 0;
        fill_panel(type, &panel, rows, i);
        for (; t + MANY_TOKENS <= n_tokens; t += MANY_TOKENS)
            panel_tokens(type, &panel, MANY_TOKENS, x + t * a.x_stride, a.x_stride, sums + t);
        for (; t < n_tokens; t++)
            panel_tokens(type, &panel, 1, x + t * a.x_stride, a.x_stride, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_mask_storeu_ps(a.y + t * a.y_stride, first_lanes(n_rows), sums[t]);
}

LINEAR_FROM_PANELS(linear_q2_k, ELEM_Q2_K)
LINEAR_FROM_PANELS(linear_q3_k, ELEM_Q3_K)
LINEAR_FROM_PANELS(linear_q4_k, ELEM_Q4_K)
LINEAR_FROM_PANELS(linear_q5_k, ELEM_Q5_K)
LINEAR_FROM_PANELS(linear_q6_k, ELEM_Q6_K)
LINEAR_FROM_PANELS(linear_iq4_xs, ELEM_IQ4_XS)
LINEAR_FROM_PANELS(linear_tq2_0, ELEM_TQ2_0)

void avx512_fill_q8k(struct kernels *k) {
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}
