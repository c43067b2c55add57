/* avx512_lanes.h - moving sums and values between lanes, for the quantised kernels. */
#ifndef HEARTH_KERNELS_AVX512_LANES_H
#define HEARTH_KERNELS_AVX512_LANES_H

#include <immintrin.h>
#include <string.h>

#include "kernels/avx2_lanes.h"
#include "kernels/linear_tile.h"

ALWAYS_INLINE __mmask16 first_lanes(size_t n) {
    return (__mmask16)((1u << n) - 1u);
}

/* Puts the first four bytes of `block` into one lane. */
ALWAYS_INLINE __m512i with_head(__m512i heads, int lane, const void *block) {
    int head;
    memcpy(&head, block, sizeof head);
    return _mm512_mask_set1_epi32(heads, (__mmask16)(1u << lane), head);
}

/* a | (b & mask) */
ALWAYS_INLINE __m512i or_masked(__m512i a, __m512i b, __m512i mask) {
    return _mm512_ternarylogic_epi64(a, b, mask, 0xf8);
}

/* Lane r: the four bytes at `at` of row r. */
ALWAYS_INLINE __m512i load_lanes(const char *const rows[16], size_t at) {
    __m512i v = _mm512_setzero_si512();
    UNROLL for (int r = 0; r < 16; r++) v = with_head(v, r, rows[r] + at);
    return v;
}

/* Element r: the two bytes at `at` of row r, where four may be read. */
ALWAYS_INLINE __m256i load_halves(const char *const rows[16], size_t at) {
    __m256i even = _mm256_setzero_si256(), odd = even;
    UNROLL for (int i = 0; i < 8; i++) {
        int a, b;
        memcpy(&a, rows[2 * i] + at, sizeof a);
        memcpy(&b, rows[2 * i + 1] + at, sizeof b);
        even = _mm256_mask_set1_epi32(even, (__mmask8)(1 << i), a);
        odd = _mm256_mask_set1_epi32(odd, (__mmask8)(1 << i), b);
    }
    return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
}

/* Lane r of out[j]: bytes 4 j .. 4 j + 3 of the 16 at `at` of row r. */
ALWAYS_INLINE void load_columns(const char *const rows[16], size_t at, __m512i out[4]) {
    __m512i v[4], t[4]; /* v[k]: the bytes of rows k, k + 4, k + 8, k + 12 */
    UNROLL for (int k = 0; k < 4; k++) {
        __m256i low = _mm256_castsi128_si256(load128(rows[k] + at));
        __m256i high = _mm256_castsi128_si256(load128(rows[k + 8] + at));
        low = _mm256_inserti128_si256(low, load128(rows[k + 4] + at), 1);
        high = _mm256_inserti128_si256(high, load128(rows[k + 12] + at), 1);
        v[k] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    UNROLL for (int k = 0; k < 4; k += 2) {
        t[k] = _mm512_unpacklo_epi32(v[k], v[k + 1]);
        t[k + 1] = _mm512_unpackhi_epi32(v[k], v[k + 1]);
    }
    UNROLL for (int k = 0; k < 2; k++) {
        out[2 * k] = _mm512_unpacklo_epi64(t[k], t[2 + k]);
        out[2 * k + 1] = _mm512_unpackhi_epi64(t[k], t[2 + k]);
    }
}

/* Within each 128 bits: (a0 + a2, b0 + b2, a1 + a3, b1 + b3). */
ALWAYS_INLINE __m512i sum_pairs_32(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

/* Within each 128 bits: (a0 + a2, a1 + a3, b0 + b2, b1 + b3) of 32-bit lanes. */
ALWAYS_INLINE __m512i sum_pairs_64(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* v[r] lane c <-> v[c] lane r */
ALWAYS_INLINE void transpose(__m512i v[16]) {
    __m512i t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++) { /* v[i + 4 g]: columns i, i + 4, .. of rows 4 g .. */
        t[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        v[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        v[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

#endif
