/* avx2_super_many.h - panels of 256-value blocks times tokens, in AVX2. It follows
 * avx2_super.h. */
#ifndef HEARTH_KERNELS_AVX2_SUPER_MANY_H
#define HEARTH_KERNELS_AVX2_SUPER_MANY_H

#include "kernels/avx2_super.h"

/* dots[t] += the sums of `fit` quads of bytes, of those from `quad` on, times their scale. */
ALWAYS_INLINE void add_scaled(int fit, const struct panel *p, size_t quad, int tokens,
                              const char *const x[], __m256i dots[][2]) {
    __m256i sums[TILE_TOKENS][2];
    sum_bytes(p->q + quad, fit, tokens, x, offsetof(struct act_q8k, q) + 4 * quad, sums);
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int h = 0; h < 2; h++) dots[t][h] = in_order(
            _mm256_add_epi32(dots[t][h], _mm256_madd_epi16(sums[t][h], p->scale[quad / 4][h])));
    }
}

/* dots[t] = the block's bytes times their scales times a token each. */
ALWAYS_INLINE void multiply_bytes(enum elem type, const struct panel *p, int tokens,
                                  const char *const x[], __m256i dots[][2]) {
    const int quads = group_values(type) < 32 ? 4 : 8, fit = quads_that_fit(type);
    UNROLL for (int t = 0; t < tokens; t++) dots[t][0] = dots[t][1] = _mm256_setzero_si256();
    for (size_t g = 0; g < 64; g += (size_t)quads) {
        UNROLL for (int part = 0; part < quads; part += fit)
            add_scaled(fit, p, g + (size_t)part, tokens, x, dots);
    }
}

ALWAYS_INLINE void multiply_minima(enum elem type, const struct panel *p, int tokens,
                                   const char *const x[], __m256i minima[][2]) {
    __m128i sums[TILE_TOKENS];
    const char *at[TILE_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) {
        minima[t][0] = minima[t][1] = _mm256_setzero_si256();
        if (group_values(type) < 32) continue;
        sums[t] = sums_of_32((const struct act_q8k *)(const void *)x[t]);
    }
    if (group_values(type) < 32) {
        add_words(p->minima, 8, tokens, x, offsetof(struct act_q8k, sums), minima);
        return;
    }
    token_pointers((const char *)sums, sizeof sums[0], tokens, at);
    add_words(p->minima, 4, tokens, at, 0, minima);
}

/* dots[t] = the block's words times a token each. */
ALWAYS_INLINE void multiply_words(const struct panel *p, int tokens, const char *const x[],
                                  __m256i dots[][2]) {
    int16_t words[TILE_TOKENS][256];
    const char *at[TILE_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8k *a = (const struct act_q8k *)(const void *)x[t];
        for (int j = 0; j < 8; j++)
            widen_act(a->q + 32 * j, words[t] + 32 * j);
        dots[t][0] = dots[t][1] = _mm256_setzero_si256();
    }
    token_pointers((const char *)words, sizeof words[0], tokens, at);
    for (size_t j = 0; j < 128; j += 8)
        add_words(p->words + j, 8, tokens, at, 4 * j, dots);
}

/* Adds the panel's block times those of `tokens` activation rows. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens, const char *x,
                                size_t stride, __m256 sums[][2]) {
    __m256i dots[TILE_TOKENS][2], minima[TILE_TOKENS][2];
    const char *at[TILE_TOKENS];
    token_pointers(x, stride, tokens, at);
    if (has_words(type)) {
        multiply_words(p, tokens, at, dots);
    } else {
        multiply_bytes(type, p, tokens, at, dots);
        multiply_minima(type, p, tokens, at, minima);
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8k *a = (const struct act_q8k *)(const void *)at[t];
        const __m256 scale = _mm256_set1_ps(a->scale);
        UNROLL for (int h = 0; h < 2; h++) {
            __m256i dot = dots[t][h];
            if (!has_words(type) && !has_dmin(type)) dot = _mm256_sub_epi32(dot, minima[t][h]);
            sums[t][h] =
                _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(p->d[h], scale), sums[t][h]);
            if (has_dmin(type))
                sums[t][h] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minima[t][h]),
                                              _mm256_mul_ps(p->dmin[h], scale), sums[t][h]);
        }
    }
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS];
    __m256 sums[PANEL_TOKENS][2];
    struct panel panel;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    for (size_t t = 0; t < n_tokens; t++)
        sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        size_t t = 0;
        fill_panel(type, &panel, rows, i);
        for (; t + 4 <= n_tokens; t += 4)
            panel_tokens(type, &panel, 4, x + t * a.x_stride, a.x_stride, sums + t);
        for (; t + 2 <= n_tokens; t += 2)
            panel_tokens(type, &panel, 2, x + t * a.x_stride, a.x_stride, sums + t);
        if (t < n_tokens) panel_tokens(type, &panel, 1, x + t * a.x_stride, a.x_stride, sums + t);
    }
    for (size_t t = 0; t < n_tokens; t++)
        store_rows(a.y + t * a.y_stride, sums[t], n_rows);
}

#endif
