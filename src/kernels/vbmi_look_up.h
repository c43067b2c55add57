/* vbmi_look_up.h - orders of bytes and look-ups in registers, in AVX-512 VBMI.
 *
 * A codebook is looked up for 64 indices at a time: VPERMI2B selects among 128 bytes, and
 * masks of an index's upper bits among the results of that. */
#ifndef HEARTH_KERNELS_VBMI_LOOK_UP_H
#define HEARTH_KERNELS_VBMI_LOOK_UP_H

#include <immintrin.h>
#include <string.h>

#include "kernels/avx512_lanes.h"
#include "kernels/iq_points.h"

/* ---- orders ---- */

ALWAYS_INLINE __m512i load512(const void *p) {
    return _mm512_loadu_si512(p);
}

ALWAYS_INLINE __m128i load64(const void *p) {
    return _mm_loadl_epi64((const __m128i *)p);
}

ALWAYS_INLINE __m512i wide(__m256i v) {
    return _mm512_castsi256_si512(v);
}

/* 32-bit lane q of row r in lane 2 q + r. */
ALWAYS_INLINE __m512i pair_lanes(const void *a, const void *b) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_epi32(wide(load256(a)), order, wide(load256(b)));
}

/* Word s of row r is word 2 s + r. */
ALWAYS_INLINE __m512i pair_words(const void *a, const void *b) {
    const __m256i order =
        _mm256_setr_epi8(0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10,
                         42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47);
    return _mm512_permutex2var_epi16(wide(load256(a)), _mm512_cvtepi8_epi16(order),
                                     wide(load256(b)));
}

/* Word q of row r, of eight, in both halves of lane 2 q + r. */
ALWAYS_INLINE __m512i pair_words_twice(const void *a, const void *b) {
    const __m512i order = _mm512_setr_epi32(0, 0x200020, 0x10001, 0x210021, 0x20002, 0x220022,
                                            0x30003, 0x230023, 0x40004, 0x240024, 0x50005, 0x250025,
                                            0x60006, 0x260026, 0x70007, 0x270027);
    return _mm512_permutex2var_epi16(_mm512_castsi128_si512(load128(a)), order,
                                     _mm512_castsi128_si512(load128(b)));
}

/* Even lanes of both; odd lanes of both: those of a in even lanes. */
ALWAYS_INLINE __m512i even_lanes(__m512i a, __m512i b) {
    return _mm512_mask_shuffle_epi32(a, 0xaaaa, b, _MM_PERM_CCAA);
}

ALWAYS_INLINE __m512i odd_lanes(__m512i a, __m512i b) {
    return _mm512_mask_shuffle_epi32(b, 0x5555, a, _MM_PERM_DDBB);
}

/* Bytes of each 64-bit lane from the bits on that the bytes of `at` say. */
ALWAYS_INLINE __m512i shifted(__m512i lanes, uint64_t at) {
    return _mm512_multishift_epi64_epi8(_mm512_set1_epi64((long long)at), lanes);
}

/* a where mask has ones, else b. */
ALWAYS_INLINE __m512i chosen(int mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8((char)mask), a, b, 0xca);
}

/* (x & mask) | with */
ALWAYS_INLINE __m512i masked_or(__m512i x, __m512i mask, __m512i with) {
    return _mm512_ternarylogic_epi32(x, mask, with, 0xea);
}

/* ---- look-ups ---- */

ALWAYS_INLINE __m512i of_128(const uint8_t *table, __m512i index) {
    return _mm512_permutex2var_epi8(load512(table), index, load512(table + 64));
}

/* 64 indices of more than eight bits: their lower eight, and bytes whose bit i is bit 8 + i. */
struct codes {
    __m512i low, high;
};

/* Upper bits of each index, from bit 7 on. */
struct upper_bits {
    __mmask64 mask[4];
};

ALWAYS_INLINE struct upper_bits upper_bits(struct codes codes, int n) {
    struct upper_bits upper = {{_mm512_movepi8_mask(codes.low)}};
    UNROLL for (int i = 0; i < n; i++) upper.mask[i + 1] =
        _mm512_test_epi8_mask(codes.high, _mm512_set1_epi8((char)(1 << i)));
    return upper;
}

/* Entries of a table of 256 << n for each of `count` vectors of indices: large tables are
 * read once for two of them. */
ALWAYS_INLINE void look_up(const uint8_t *table, int n, int count, const __m512i index[],
                           const struct upper_bits upper[], __m512i out[]) {
    __m512i found[2][8];
    UNROLL for (int i = 0; i < 1 << n; i++) {
        UNROLL for (int c = 0; c < count; c++) found[c][i] =
            _mm512_mask_blend_epi8(upper[c].mask[0], of_128(table + 256 * i, index[c]),
                                   of_128(table + 256 * i + 128, index[c]));
    }
    UNROLL for (int bit = 1; bit <= n; bit++) {
        UNROLL for (int i = 0; i < 1 << (n - bit); i++) {
            UNROLL for (int c = 0; c < count; c++) found[c][i] =
                _mm512_mask_blend_epi8(upper[c].mask[bit], found[c][2 * i], found[c][2 * i + 1]);
        }
    }
    UNROLL for (int c = 0; c < count; c++) out[c] = found[c][0];
}

/* Entries of both planes of a codebook of 256 << n points. */
ALWAYS_INLINE void look_up_both(const uint8_t *planes, int n, struct codes codes,
                                __m512i found[2]) {
    struct upper_bits upper = upper_bits(codes, n);
    UNROLL for (int i = 0; i < 2; i++)
        look_up(planes + (256 << n) * i, n, 1, &codes.low, &upper, &found[i]);
}

/* The same for two vectors of indices; found[c] belongs to codes[c]. */
ALWAYS_INLINE void look_up_twice(const uint8_t *planes, int n, const struct codes codes[2],
                                 __m512i found[2][2]) {
    const __m512i low[2] = {codes[0].low, codes[1].low};
    struct upper_bits upper[2] = {upper_bits(codes[0], n), upper_bits(codes[1], n)};
    UNROLL for (int i = 0; i < 2; i++) {
        __m512i out[2];
        look_up(planes + (256 << n) * i, n, 2, low, upper, out);
        found[0][i] = out[0];
        found[1][i] = out[1];
    }
}

/* Bytes of seven signs to eight. */
ALWAYS_INLINE __m512i eight_signs(__m512i sevens) {
    return of_128(iq_planes.signs, sevens);
}

/* Those of 32 bits of signs and scale a lane. */
ALWAYS_INLINE __m512i lane_signs(__m512i lanes) {
    return eight_signs(shifted(lanes, 0x352e2720150e0700));
}

#endif
