/* avx512_super_rows.h - one token's products with blocks of 256 values along the row; part of
 * a source file, after its own includes.
 *
 * One token needs each unpacked value once. Where unpacking takes long, transposing the values of
 * 16 rows, as for several tokens, costs more than multiplying row by row and adding up across
 * lanes what comes out: integers, exact in any order, so that results are those of several tokens.
 * Types with minima are faster transposed. */
#ifndef HEARTH_KERNELS_AVX512_SUPER_ROWS_H
#define HEARTH_KERNELS_AVX512_SUPER_ROWS_H

#include <immintrin.h>

#include "kernels/avx512_super_blocks.h"

ALWAYS_INLINE int has_rows(enum elem type) {
    return type == ELEM_Q3_K || type == ELEM_Q6_K || type == ELEM_IQ4_XS || type == ELEM_TQ2_0;
}

/* Rows and blocks of them that are read as one stretch, and as few streams as that. */
enum { ROWS_AT_ONCE = 4, BLOCKS_AT_ONCE = 8 };

/* A block of activations in the order of unpacked rows. */
struct row_token {
    __m512i x[4];
    __m512i start[4]; /* of the sums, because values are unsigned */
};

ALWAYS_INLINE __m512i two_halves(const void *low, const void *high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load256(low)), load256(high), 1);
}

ALWAYS_INLINE __m512i load512(const void *p) {
    return _mm512_loadu_si512(p);
}

/* Which values are next to each other is said at unpack_row(). */
ALWAYS_INLINE void order_values(enum elem type, const int8_t q[256], __m512i x[4]) {
    const __m512i evens = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
    const __m512i odds = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
    UNROLL for (int v = 0; v < 4; v++) {
        const int8_t *pair = q + v / 2 * 128;
        switch (type) {
        case ELEM_Q6_K: x[v] = load512(q + 64 * v); break;
        case ELEM_IQ4_XS:
            x[v] =
                _mm512_permutex2var_epi64(load512(pair), v % 2 ? odds : evens, load512(pair + 64));
            break;
        default: x[v] = two_halves(q + 32 * v, q + 128 + 32 * v);
        }
    }
}

/* Vectors of a row's values whose products are added up in one sum: they share scales. */
ALWAYS_INLINE int chained(enum elem type) {
    return type == ELEM_TQ2_0 ? 4 : type == ELEM_IQ4_XS ? 2 : 1;
}

ALWAYS_INLINE void order_token(enum elem type, const struct act_q8k *x, struct row_token *out) {
    const __m512i zero = _mm512_setzero_si512(), offsets = _mm512_set1_epi8((char)offset(type));
    order_values(type, x->q, out->x);
    UNROLL for (int v = 0; v < 4; v += chained(type)) {
        __m512i sums = zero;
        UNROLL for (int i = v; i < v + chained(type); i++) sums =
            _mm512_dpbusd_epi32(sums, offsets, out->x[i]);
        out->start[v] = _mm512_sub_epi32(zero, sums);
    }
}

/* ---- values ---- */

ALWAYS_INLINE __m512i nibbles(__m512i bytes, int high) {
    return bits_at(bytes, high ? 4 : 0, 15);
}

/* 32 bytes, twice. */
ALWAYS_INLINE __m512i twice(const void *p) {
    return _mm512_broadcast_i64x4(load256(p));
}

/* v | the bits of `high` that `mask` leaves after turning them to the left, by one number in the
 * lower half and by another one in the upper half. */
ALWAYS_INLINE __m512i with_high_bits(__m512i v, __m512i high, int low_turn, int high_turn,
                                     int mask) {
    const __m512i turn =
        _mm512_inserti64x4(_mm512_set1_epi32(low_turn & 31), _mm256_set1_epi32(high_turn & 31), 1);
    return or_masked(v, _mm512_rolv_epi32(high, turn), _mm512_set1_epi8((char)mask));
}

/* The values of one row's block, offset(type) added; those of v[i] are
 *   Q6_K          64 i ..
 *   IQ4_XS        64 (i - i % 2) + 16 (i % 2) .. and so on, 32 further on each quarter
 *   others        32 i .. and, in the upper half, 128 further on */
ALWAYS_INLINE void unpack_row(enum elem type, const char *block, __m512i v[4]) {
    const char *q = block + field_q(type);
    const __m512i levels =
        _mm512_broadcast_i32x4(_mm_xor_si128(_mm_setr_epi8(IQ4_LEVELS), _mm_set1_epi8(-128)));
    const __m512i quarters = load512(q);
    const char *high = block + (type == ELEM_Q6_K ? offsetof(struct block_q6_k, high)
                                                  : offsetof(struct block_q3_k, high));
    UNROLL for (int i = 0; i < 4; i++) switch (type) {
    case ELEM_IQ4_XS:
        v[i] = _mm512_shuffle_epi8(levels, nibbles(load512(q + i / 2 * 64), i % 2));
        break;
    case ELEM_Q6_K:
        v[i] = nibbles(load512(q + i / 2 * 64), i % 2);
        v[i] = with_high_bits(v[i], twice(high + i / 2 * 32), 4 - i % 2 * 4, 2 - i % 2 * 4, 0x30);
        break;
    case ELEM_Q3_K:
        v[i] = with_high_bits(bits_at(quarters, 2 * i, 3), twice(high), 2 - i, -2 - i, 4);
        break;
    default: v[i] = bits_at(quarters, 2 * i, 3);
    }
}

/* ---- scales ---- */

ALWAYS_INLINE __m512i signed_words(__m128i bytes) {
    return _mm512_castsi256_si512(_mm256_cvtepi8_epi16(bytes));
}

/* Scales of the 16 groups of a row's block as words. */
ALWAYS_INLINE __m512i row_scales(enum elem type, const char *block) {
    if (type == ELEM_Q6_K)
        return signed_words(load128(block + offsetof(struct block_q6_k, scales)));
    /* see q3_k_scales() */
    const char *from = block + offsetof(struct block_q3_k, scales);
    __m128i s = _mm_loadl_epi64((const __m128i *)from),
            top = _mm512_castsi512_si128(four_bytes(from + 8));
    s = _mm_and_si128(_mm_unpacklo_epi64(s, _mm_srli_epi16(s, 4)), _mm_set1_epi8(15));
    top = _mm_rolv_epi32(top, _mm_setr_epi32(4, 2, 0, 30));
    s = _mm_ternarylogic_epi32(s, top, _mm_set1_epi8(0x30), 0xf8);
    return signed_words(_mm_sub_epi8(s, _mm_set1_epi8(32)));
}

/* The scales of a row's block as packing wants them: word after word for v[0] and v[1], and for
 * v[2] and v[3]. */
ALWAYS_INLINE void spread_scales(enum elem type, __m512i scales, __m512i out[2]) {
    const int64_t fours = 0x0001000100010001;
    __m512i places = type == ELEM_Q6_K
                         ? _mm512_setr_epi64(0, 4 * fours, fours, 5 * fours, 2 * fours, 6 * fours,
                                             3 * fours, 7 * fours)
                         : _mm512_setr_epi64(0, 2 * fours, fours, 3 * fours, 8 * fours, 10 * fours,
                                             9 * fours, 11 * fours);
    out[0] = _mm512_permutexvar_epi16(places, scales);
    places = _mm512_add_epi16(places, _mm512_set1_epi16(type == ELEM_Q6_K ? 8 : 4));
    out[1] = _mm512_permutexvar_epi16(places, scales);
}

/* The scales of IQ4_XS, one to each quarter: of groups 0 to 3, and 4 to 7. */
ALWAYS_INLINE void iq4_xs_row_scales(const char *block, __m512i out[2]) {
    const __m256i step = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int32_t head, low;
    memcpy(&head, block, sizeof head); /* the high bits are in the upper half */
    memcpy(&low, block + offsetof(struct block_iq4_xs, scales_low), sizeof low);
    __m256i s = _mm256_srlv_epi32(_mm256_set1_epi32(low), _mm256_slli_epi32(step, 2));
    __m256i top = _mm256_add_epi32(_mm256_set1_epi32(12), _mm256_slli_epi32(step, 1));
    top = _mm256_srlv_epi32(_mm256_set1_epi32(head), top);
    s = _mm256_and_si256(s, _mm256_set1_epi32(15));
    s = _mm256_ternarylogic_epi32(s, top, _mm256_set1_epi32(0x30), 0xf8);
    __m512i all = _mm512_castsi256_si512(_mm256_sub_epi32(s, _mm256_set1_epi32(32)));
    const __m512i quarters = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    out[0] = _mm512_permutexvar_epi32(quarters, all);
    out[1] = _mm512_permutexvar_epi32(_mm512_add_epi32(quarters, _mm512_set1_epi32(4)), all);
}

/* ---- multiplying ---- */

/* Lanes whose sum is the scaled dot product of a row's block. */
ALWAYS_INLINE __m512i multiply_row(enum elem type, const char *block, const struct row_token *t) {
    __m512i v[4], sums[4], scales[2];
    unpack_row(type, block, v);
    UNROLL for (int i = 0; i < 4; i++) {
        const int first = i - i % chained(type);
        sums[first] = _mm512_dpbusd_epi32(i == first ? t->start[i] : sums[first], v[i], t->x[i]);
    }
    if (type == ELEM_TQ2_0) return sums[0];
    if (type == ELEM_IQ4_XS) {
        iq4_xs_row_scales(block, scales);
        return _mm512_add_epi32(_mm512_mullo_epi32(sums[0], scales[0]),
                                _mm512_mullo_epi32(sums[2], scales[1]));
    }
    /* The sums are those of four products, |x| <= 127 and |v| <= 32: they fit 16 bits. */
    spread_scales(type, row_scales(type, block), scales);
    __m512i dot = _mm512_madd_epi16(_mm512_packs_epi32(sums[0], sums[1]), scales[0]);
    return _mm512_dpwssd_epi32(dot, _mm512_packs_epi32(sums[2], sums[3]), scales[1]);
}

/* Four rows' blocks: lane r of each quarter belongs to row r. */
ALWAYS_INLINE __m512i multiply_rows(enum elem type, const char *const rows[ROWS_AT_ONCE], size_t at,
                                    const struct row_token *t) {
    __m512i dots[ROWS_AT_ONCE];
    UNROLL for (int r = 0; r < ROWS_AT_ONCE; r++) dots[r] = multiply_row(type, rows[r] + at, t);
    return sum_halves(sum_neighbours(dots[0], dots[1]), sum_neighbours(dots[2], dots[3]));
}

/* Lane r: what row r has in the lanes of its four rows. */
ALWAYS_INLINE __m512i sum_rows(const __m512i fours[PANEL_ROWS / ROWS_AT_ONCE]) {
    return sum_quarters(sum_quarters(fours[0], fours[1]), sum_quarters(fours[2], fours[3]));
}

#endif
