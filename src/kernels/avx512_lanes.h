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

/* Four bytes at `at` of rows [first, end) among 16: of the even ones, and of the odd ones. */
ALWAYS_INLINE void add_even_odd(const char *const rows[16], size_t at, int first, int end,
                                __m256i out[2]) {
    UNROLL for (int r = first; r < end; r++) {
        int four;
        memcpy(&four, rows[r] + at, sizeof four);
        out[r % 2] = _mm256_mask_set1_epi32(out[r % 2], (__mmask8)(1 << r / 2), four);
    }
}

/* Element r: the first two of the four bytes of row r. */
ALWAYS_INLINE __m256i first_halves(const __m256i v[2]) {
    return _mm256_blend_epi16(v[0], _mm256_slli_epi32(v[1], 16), 0xaa);
}

/* The same of the last two. */
ALWAYS_INLINE __m256i last_halves(const __m256i v[2]) {
    return _mm256_blend_epi16(_mm256_srli_epi32(v[0], 16), v[1], 0xaa);
}

/* Element r: the two bytes at `at` of row r; the two before them must be readable. */
ALWAYS_INLINE __m256i load_last_halves(const char *const rows[16], size_t at) {
    __m256i v[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    add_even_odd(rows, at - 2, 0, 16, v);
    return last_halves(v);
}

/* 16 rows become columns in three steps: v[k] = the bytes of rows k, k + 4, k + 8 and
 * k + 12, then pairs of columns, then columns. */
ALWAYS_INLINE __m512i load_four_rows(const char *const rows[16], size_t at, int k) {
    __m256i low = _mm256_castsi128_si256(load128(rows[k] + at));
    __m256i high = _mm256_castsi128_si256(load128(rows[k + 8] + at));
    low = _mm256_inserti128_si256(low, load128(rows[k + 4] + at), 1);
    high = _mm256_inserti128_si256(high, load128(rows[k + 12] + at), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

ALWAYS_INLINE void pair_columns(const __m512i v[4], __m512i pairs[4]) {
    UNROLL for (int k = 0; k < 4; k += 2) {
        pairs[k] = _mm512_unpacklo_epi32(v[k], v[k + 1]);
        pairs[k + 1] = _mm512_unpackhi_epi32(v[k], v[k + 1]);
    }
}

/* Columns 2 k and 2 k + 1. */
ALWAYS_INLINE void split_pair(const __m512i pairs[4], int k, __m512i out[2]) {
    out[0] = _mm512_unpacklo_epi64(pairs[k], pairs[2 + k]);
    out[1] = _mm512_unpackhi_epi64(pairs[k], pairs[2 + k]);
}

/* Lane r of out[j]: bytes 4 j .. 4 j + 3 of the 16 at `at` of row r. */
ALWAYS_INLINE void load_columns(const char *const rows[16], size_t at, __m512i out[4]) {
    __m512i v[4], pairs[4];
    UNROLL for (int k = 0; k < 4; k++) v[k] = load_four_rows(rows, at, k);
    pair_columns(v, pairs);
    UNROLL for (int k = 0; k < 2; k++) split_pair(pairs, k, out + 2 * k);
}

/* Within each 128 bits: (a0 + a2, b0 + b2, a1 + a3, b1 + b3). */
ALWAYS_INLINE __m512i sum_neighbours(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

/* Within each 128 bits: (a0 + a2, a1 + a3, b0 + b2, b1 + b3). */
ALWAYS_INLINE __m512i sum_halves(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* 128 bits each: (a0 + a1, a2 + a3, b0 + b1, b2 + b3). */
ALWAYS_INLINE __m512i sum_quarters(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

/* Four bytes, broadcast. */
ALWAYS_INLINE __m512i four_bytes(const void *p) {
    int four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/* sum + the products of q's bytes with the four signed ones at `four`. GCC would broadcast
 * these to a register of their own, and has none to spare. */
ALWAYS_INLINE __m512i add_products(__m512i sum, __m512i q, const void *four) {
#if defined(__clang__) || defined(KERNELS_CHECKED)
    return _mm512_dpbusd_epi32(sum, q, four_bytes(four));
#else
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(q), "m"(*(const char(*)[4])four));
    return sum;
#endif
}

#endif
