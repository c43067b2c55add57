/* avx2_panel.h - a panel of 16 weight rows that serves many tokens, in AVX2.
 *
 * Values are stored for pairs of vectors whose 8 + 8 lanes are the rows, so that a dot
 * product needs no sums across lanes. A panel is multiplied in tiles of PANEL_ROWS x
 * TILE_TOKENS outputs: a value of the activations, broadcast from memory, meets two
 * vectors of weights, and these meet TILE_TOKENS tokens, so that the loads keep up
 * with the multiplications. There are two forms of values:
 *
 *   bytes   unsigned, in quads: lane r holds four neighbours of row r. VPMADDUBSW sums
 *           two products to 16 bits, and more are added there while they fit
 *   words   of 16 bits, for values that are too large for that: a quad (a, b, c, d)
 *           becomes the pairs (a, c) and (b, d). VPMADDWD sums two products to 32 bits
 *
 * Pairs of a vector of 32 activations or weights are in the order of its quads: those
 * of words (a, c) first, then (b, d). Activations are bytes; they are widened once for a
 * group of panels of words. */
#ifndef HEARTH_KERNELS_AVX2_PANEL_H
#define HEARTH_KERNELS_AVX2_PANEL_H

#include <immintrin.h>
#include <string.h>

#include "kernels/linear_tile.h"

enum { PANEL_ROWS = 16, TILE_TOKENS = 4, LANES = 8 };
enum { GROUP_PANELS = 4, GROUP_ROWS = GROUP_PANELS * PANEL_ROWS };

/* v[r] lane c <-> v[c] lane r */
ALWAYS_INLINE void transpose(__m256i v[LANES]) {
    __m256i t[LANES];
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

/* Rows are as many short streams at a time, which the hardware does not learn. */
ALWAYS_INLINE void prefetch_bytes(const char *at, size_t n_bytes) {
    UNROLL for (size_t i = 0; i < n_bytes; i += 64) __builtin_prefetch(at + i, 0, 3);
}

ALWAYS_INLINE int head(const void *block) {
    int four;
    memcpy(&four, block, sizeof four);
    return four;
}

/* The first four bytes of block `at` bytes into 8 rows. */
ALWAYS_INLINE __m256i load_heads(const char *const r[LANES], size_t at) {
    return _mm256_setr_epi32(head(r[0] + at), head(r[1] + at), head(r[2] + at), head(r[3] + at),
                             head(r[4] + at), head(r[5] + at), head(r[6] + at), head(r[7] + at));
}

/* Within each 128 bits: (a0 + a2, b0 + b2, a1 + a3, b1 + b3). */
ALWAYS_INLINE __m256i sum_pairs_32(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

/* Within each 128 bits: (a0 + a2, a1 + a3, b0 + b2, b1 + b3) of 32-bit lanes. */
ALWAYS_INLINE __m256i sum_pairs_64(__m256i a, __m256i b) {
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Lane r: the sum of v[r]. */
ALWAYS_INLINE __m256i sum_lanes(const __m256i v[LANES]) {
    __m256i a = sum_pairs_64(sum_pairs_32(v[0], v[1]), sum_pairs_32(v[2], v[3]));
    __m256i b = sum_pairs_64(sum_pairs_32(v[4], v[5]), sum_pairs_32(v[6], v[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                            _mm256_permute2x128_si256(a, b, 0x31));
}

/* The words (a, c) and (b, d) of signed bytes (a, b, c, d). */
ALWAYS_INLINE __m256i even_words(__m256i bytes) {
    return _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8);
}

ALWAYS_INLINE __m256i odd_words(__m256i bytes) {
    return _mm256_srai_epi16(bytes, 8);
}

/* 32 activations to words. */
ALWAYS_INLINE void widen_act(const int8_t *q, int16_t *words) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)q);
    _mm256_storeu_si256((__m256i *)(void *)words, even_words(bytes));
    _mm256_storeu_si256((__m256i *)(void *)(words + 16), odd_words(bytes));
}

ALWAYS_INLINE __m256i broadcast_four(const void *p) {
    return _mm256_set1_epi32(head(p));
}

/* The compiler may regroup integer sums, and then needs more registers than there are;
 * a sum that has passed here is taken as it is. */
ALWAYS_INLINE __m256i in_order(__m256i sum) {
    __asm__("" : "+x"(sum));
    return sum;
}

/* Pointers to `tokens` rows `stride` bytes apart, kept apart from each other: else the
 * compiler keeps every offset from the first one in a register, and runs out of them. */
ALWAYS_INLINE void token_pointers(const char *x, size_t stride, int tokens, const char *at[]) {
    UNROLL for (int t = 0; t < tokens; t++) {
        at[t] = x + (size_t)t * stride;
        __asm__("" : "+r"(at[t]));
    }
}

/* sums[t] = the 16-bit sums of `n` quads q times those that lie at x[t] + offset. */
ALWAYS_INLINE void sum_bytes(const __m256i (*q)[2], int n, int tokens, const char *const x[],
                             size_t offset, __m256i sums[][2]) {
    UNROLL for (int j = 0; j < n; j++) {
        __m256i low = in_order(q[j][0]), high = in_order(q[j][1]);
        UNROLL for (int t = 0; t < tokens; t++) {
            __m256i four = broadcast_four(x[t] + offset + 4 * j);
            __m256i a = _mm256_maddubs_epi16(low, four), b = _mm256_maddubs_epi16(high, four);
            sums[t][0] = in_order(j ? _mm256_add_epi16(sums[t][0], a) : a);
            sums[t][1] = in_order(j ? _mm256_add_epi16(sums[t][1], b) : b);
        }
    }
}

/* sums[t] += the 32-bit sums of `n` pairs q times those that lie at x[t] + offset. */
ALWAYS_INLINE void add_words(const __m256i (*q)[2], int n, int tokens, const char *const x[],
                             size_t offset, __m256i sums[][2]) {
    UNROLL for (int j = 0; j < n; j++) {
        __m256i low = in_order(q[j][0]), high = in_order(q[j][1]);
        UNROLL for (int t = 0; t < tokens; t++) {
            __m256i two = broadcast_four(x[t] + offset + 4 * j);
            __m256i a = _mm256_madd_epi16(low, two), b = _mm256_madd_epi16(high, two);
            sums[t][0] = in_order(_mm256_add_epi32(sums[t][0], a));
            sums[t][1] = in_order(_mm256_add_epi32(sums[t][1], b));
        }
    }
}

ALWAYS_INLINE void store_lanes(float *y, __m256 v, size_t n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(y, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes), v);
}

/* The first n of 16 outputs. */
ALWAYS_INLINE void store_rows(float *y, const __m256 v[2], size_t n) {
    store_lanes(y, v[0], n);
    if (n > LANES) store_lanes(y + LANES, v[1], n - LANES);
}

/* The outputs of a panel, of which n_rows are of the tile. */
ALWAYS_INLINE void store_panel(struct tile a, __m256 (*sums)[2], size_t n_rows, size_t n_tokens) {
    for (size_t t = 0; t < n_tokens; t++)
        store_rows(a.y + t * a.y_stride, sums[t], at_most(n_rows, PANEL_ROWS));
}

#endif
