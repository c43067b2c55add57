/* avx512_super_many.h - panels of 256-value blocks times tokens, in AVX-512 VNNI: VPDPBUSD
 * sums a group, VPMULLD scales it.
 *
 * The includer defines group_values() as in avx2_super.h, PANEL_ROWS = 16, PANEL_TOKENS and
 *
 *   struct panel                       q, scale, minima and d as in avx2_super.h, 64 bytes
 *                                      each
 *   void fill_panel(type, panel, rows, i)   block i of 16 rows */
#ifndef HEARTH_KERNELS_AVX512_SUPER_MANY_H
#define HEARTH_KERNELS_AVX512_SUPER_MANY_H

#include "kernels/avx512_lanes.h"
#include "kernels/levels.h"

enum { MOST_TOKENS = 8 };

/* dots[t] = the block's bytes times their scales times a token each. */
ALWAYS_INLINE void multiply_bytes(enum elem type, const struct panel *p, int tokens, const char *x,
                                  size_t stride, __m512i dots[]) {
    const int quads = group_values(type) < 32 ? 4 : 8;
    UNROLL for (int t = 0; t < tokens; t++) dots[t] = _mm512_setzero_si512();
    for (size_t g = 0; g < 64; g += (size_t)quads) {
        __m512i q[8], scale = _mm512_srai_epi32(_mm512_loadu_si512(&p->scale[g / 4]), 16);
        UNROLL for (int j = 0; j < quads; j++) q[j] = _mm512_loadu_si512(&p->q[g + (size_t)j]);
        UNROLL for (int t = 0; t < tokens; t++) {
            const char *at = x + (size_t)t * stride + offsetof(struct act_q8k, q) + 4 * g;
            __m512i dot = group_values(type) == 256 ? dots[t] : _mm512_setzero_si512();
            UNROLL for (int j = 0; j < quads; j++) dot =
                _mm512_dpbusd_epi32(dot, q[j], four_bytes(at + 4 * j));
            dots[t] = group_values(type) == 256
                          ? dot
                          : _mm512_add_epi32(dots[t], _mm512_mullo_epi32(dot, scale));
        }
    }
}

/* Sums of the activations per 32 values. */
ALWAYS_INLINE __m128i sums_per_32(const struct act_q8k *x) {
    __m256i sums = _mm256_madd_epi16(load256(x->sums), _mm256_set1_epi16(1));
    return _mm256_cvtepi32_epi16(sums);
}

/* What is to be subtracted from them. */
ALWAYS_INLINE __m512i multiply_minima(enum elem type, const struct panel *p,
                                      const struct act_q8k *x) {
    __m512i minima = _mm512_setzero_si512();
    if (group_values(type) < 32) {
        UNROLL for (int j = 0; j < 8; j++) minima = _mm512_dpwssd_epi32(
            minima, _mm512_loadu_si512(&p->minima[j]), four_bytes(x->sums + 2 * j));
        return minima;
    }
    __m512i sums = _mm512_castsi128_si512(sums_per_32(x));
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i pair = _mm512_permutexvar_epi32(_mm512_set1_epi32(j), sums);
        minima = _mm512_dpwssd_epi32(minima, _mm512_loadu_si512(&p->minima[j]), pair);
    }
    return minima;
}

/* Adds the panel's block times those of `tokens` activation rows. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens, const char *x,
                                size_t stride, __m512 sums[]) {
    const __m512 d = _mm512_loadu_ps(&p->d);
    __m512i dots[MOST_TOKENS];
    multiply_bytes(type, p, tokens, x, stride, dots);
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8k *a = (const struct act_q8k *)(const void *)(x + (size_t)t * stride);
        __m512 dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(dots[t], multiply_minima(type, p, a)));
        sums[t] = _mm512_fmadd_ps(dot, _mm512_mul_ps(d, _mm512_set1_ps(a->scale)), sums[t]);
    }
}

/* Asks for the part of the next 16 rows that corresponds to block i of these. */
ALWAYS_INLINE void prefetch_block(enum elem type, const struct tile *a, size_t i) {
    const size_t bytes = PANEL_ROWS * block_bytes(type);
    for (size_t ahead = 0; ahead < bytes; ahead += 64)
        tile_prefetch(a, PANEL_ROWS, i * bytes + ahead);
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void rows_of_panel(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    __m512 sums[PANEL_TOKENS];
    struct panel panel;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        size_t t = 0;
        prefetch_block(type, &a, i);
        fill_panel(type, &panel, rows, i);
        for (; t + MOST_TOKENS <= n_tokens; t += MOST_TOKENS)
            panel_tokens(type, &panel, MOST_TOKENS, x + t * a.x_stride, a.x_stride, sums + t);
        for (; t + 2 <= n_tokens; t += 2)
            panel_tokens(type, &panel, 2, x + t * a.x_stride, a.x_stride, sums + t);
        if (t < n_tokens) panel_tokens(type, &panel, 1, x + t * a.x_stride, a.x_stride, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        _mm512_mask_storeu_ps(a.y + t * a.y_stride, first_lanes(n_rows), sums[t]);
}

#endif
