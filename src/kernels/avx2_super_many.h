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

/* A token's block in words. */
struct words {
    int16_t q[256];
    __m256i crossed; /* the sum of a b + c d in each lane */
};

ALWAYS_INLINE void widen_block(const struct act_q8k *x, struct words *w) {
    __m256i sum = _mm256_setzero_si256();
    for (int j = 0; j < 8; j++) {
        __m256i q = load256(x->q + 32 * j);
        widen_act(x->q + 32 * j, w->q + 32 * j);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(even_words(q), odd_words(q)));
    }
    sum = _mm256_add_epi32(sum, _mm256_permute2x128_si256(sum, sum, 1));
    sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0x4e));
    w->crossed = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0xb1));
}

/* dots[t] += (a + b')(b + a') + (c + d')(d + c') of 8 quads of weights a, b, c, d and of
 * activations at x[t] + offset. */
ALWAYS_INLINE void add_crossed(const __m256i (*q)[2], int tokens, const char *const x[],
                               size_t offset, __m256i dots[][2]) {
    UNROLL for (int j = 0; j < 8; j++) {
        __m256i even[2] = {in_order(q[j][0]), in_order(q[j][1])};
        __m256i odd[2] = {in_order(q[8 + j][0]), in_order(q[8 + j][1])};
        UNROLL for (int t = 0; t < tokens; t++) {
            __m256i first = broadcast_four(x[t] + offset + 4 * j);
            __m256i second = broadcast_four(x[t] + offset + 32 + 4 * j);
            UNROLL for (int h = 0; h < 2; h++) {
                __m256i product = _mm256_madd_epi16(_mm256_add_epi16(even[h], second),
                                                    _mm256_add_epi16(odd[h], first));
                dots[t][h] = in_order(_mm256_add_epi32(dots[t][h], product));
            }
        }
    }
}

/* dots[t] = the block's words times a token each, with half the multiplications, which few
 * units can do, and more additions, which all can (Winograd, "A new algorithm for inner
 * product", 1968): a a' + b b' = (a + b')(b + a') - a b - a' b'. Sums may wrap meanwhile. */
ALWAYS_INLINE void multiply_words(const struct panel *p, int tokens, const struct words words[],
                                  __m256i dots[][2]) {
    const char *x[TILE_TOKENS];
    token_pointers((const char *)words, sizeof words[0], tokens, x);
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int h = 0; h < 2; h++) dots[t][h] = in_order(_mm256_sub_epi32(
            _mm256_setzero_si256(), _mm256_add_epi32(p->crossed[h], words[t].crossed)));
    }
    for (size_t j = 0; j < 8; j++)
        add_crossed(p->words + 16 * j, tokens, x, 64 * j, dots);
}

/* Adds the panel's block times those of `tokens` activation rows, those at x; their values
 * are bytes there or at `words`. */
ALWAYS_INLINE void multiply_panel(enum elem type, const struct panel *p, int tokens,
                                  const char *const x[], const struct words words[],
                                  __m256 sums[][2]) {
    __m256i dots[TILE_TOKENS][2], minima[TILE_TOKENS][2];
    if (has_words(type)) {
        multiply_words(p, tokens, words, dots);
    } else {
        multiply_bytes(type, p, tokens, x, dots);
        multiply_minima(type, p, tokens, x, minima);
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        const struct act_q8k *a = (const struct act_q8k *)(const void *)x[t];
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

/* Panels that the same words serve, and the outputs of their rows. */
struct group {
    size_t n_panels;
    struct panel *panels;
    __m256 (*sums)[PANEL_TOKENS][2];
};

/* Adds to outputs t .. t + tokens - 1 of each panel the blocks of their rows, the first of which
 * is at x. */
ALWAYS_INLINE void group_tokens(enum elem type, struct group g, size_t t, int tokens, const char *x,
                                size_t stride) {
    struct words words[TILE_TOKENS];
    const char *at[TILE_TOKENS];
    token_pointers(x, stride, tokens, at);
    if (has_words(type)) {
        UNROLL for (int k = 0; k < tokens; k++)
            widen_block((const struct act_q8k *)(const void *)at[k], words + k);
    }
    for (size_t p = 0; p < g.n_panels; p++)
        multiply_panel(type, g.panels + p, tokens, at, words, g.sums[p] + t);
}

/* n_rows <= GROUP_ROWS (PANEL_ROWS of bytes), n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[GROUP_ROWS];
    __m256 sums[GROUP_PANELS][PANEL_TOKENS][2];
    struct panel panels[GROUP_PANELS];
    const struct group g = {has_words(type) ? (n_rows + PANEL_ROWS - 1) / PANEL_ROWS : 1, panels,
                            sums};
    row_pointers(&a, n_rows, g.n_panels * PANEL_ROWS, rows);
    for (size_t p = 0; p < g.n_panels; p++)
        memset(sums[p], 0, n_tokens * sizeof sums[p][0]);
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        size_t t = 0;
        for (size_t p = 0; p < g.n_panels; p++)
            fill_panel(type, panels + p, rows + p * PANEL_ROWS, i);
        for (; t + 4 <= n_tokens; t += 4)
            group_tokens(type, g, t, 4, x + t * a.x_stride, a.x_stride);
        for (; t + 2 <= n_tokens; t += 2)
            group_tokens(type, g, t, 2, x + t * a.x_stride, a.x_stride);
        if (t < n_tokens) group_tokens(type, g, t, 1, x + t * a.x_stride, a.x_stride);
    }
    for (size_t p = 0; p < g.n_panels; p++)
        store_panel(tile_at(a, p * PANEL_ROWS, 0), sums[p], n_rows - p * PANEL_ROWS, n_tokens);
}

#endif
