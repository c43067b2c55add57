/* avx2_iq_blocks.h - codebook super-blocks and TQ1_0 unpacked in AVX2, for avx2_super.h.
 *
 * Indices of points are put together in vectors, then looked up one by one. Signs are
 * brought to one bit per value, in order, whatever the type; the includer defines
 *
 *   void spread_signs(bits, sign)   256 bits in memory to eight vectors of 32 bytes, -1
 *                                   where the bit is set and 1 elsewhere */
#ifndef HEARTH_KERNELS_AVX2_IQ_BLOCKS_H
#define HEARTH_KERNELS_AVX2_IQ_BLOCKS_H

#include <immintrin.h>

#include "kernels/avx2_weights.h"
#include "kernels/blocks.h"
#include "kernels/iq_points.h"

/* d and its minima are one; see avx2_super.h. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    (void)type;
    return 0;
}

ALWAYS_INLINE int has_signs(enum elem type) {
    return type != ELEM_IQ1_S && type != ELEM_IQ1_M && type != ELEM_TQ1_0;
}

ALWAYS_INLINE int has_minima(enum elem type) {
    return type == ELEM_IQ1_S || type == ELEM_IQ1_M;
}

ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_IQ3_XXS: return 62;
    case ELEM_IQ3_S: return 15;
    case ELEM_TQ1_0: return 1;
    default: return 43;
    }
}

ALWAYS_INLINE int group_values(enum elem type) {
    switch (type) {
    case ELEM_IQ2_XS:
    case ELEM_IQ2_S:
    case ELEM_IQ1_M: return 16;
    case ELEM_TQ1_0: return 256;
    default: return 32;
    }
}

ALWAYS_INLINE int quads_that_fit(enum elem type) {
    switch (type) {
    case ELEM_IQ3_S:
    case ELEM_IQ1_M: return 4; /* 2 * 30 * 127 each */
    case ELEM_IQ1_S:
    case ELEM_TQ1_0: return 8; /* 2 * 2 * 127 */
    default: return 1;         /* 2 * 124 * 127 */
    }
}

ALWAYS_INLINE int parts(enum elem type) {
    (void)type;
    return 1;
}

/* ---- signs ---- */

/* 8 times 32 bits, seven bits of signs for each of four groups: to bytes. */
ALWAYS_INLINE __m256i spread_sevens(__m256i bits) {
    __m256i a = _mm256_and_si256(bits, _mm256_set1_epi32(0x7f));
    __m256i b = _mm256_and_si256(_mm256_slli_epi32(bits, 1), _mm256_set1_epi32(0x7f00));
    __m256i c = _mm256_and_si256(_mm256_slli_epi32(bits, 2), _mm256_set1_epi32(0x7f0000));
    __m256i d = _mm256_and_si256(_mm256_slli_epi32(bits, 3), _mm256_set1_epi32(0x7f000000));
    return _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
}

/* iq_signs() of 32 bytes. */
ALWAYS_INLINE __m256i with_eighth(__m256i sevens) {
    const __m256i odd = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
    __m256i half = _mm256_xor_si256(sevens, _mm256_srli_epi16(sevens, 4));
    half = _mm256_and_si256(half, _mm256_set1_epi8(15));
    return _mm256_or_si256(sevens, _mm256_shuffle_epi8(odd, half));
}

/* ---- points ---- */

/* 4 points of 8 coordinates. */
ALWAYS_INLINE __m256i eights(const uint64_t *points, size_t a, size_t b, size_t c, size_t d) {
    return _mm256_setr_epi64x((long long)points[a], (long long)points[b], (long long)points[c],
                              (long long)points[d]);
}

/* Indices of 16 bits go to general registers four at a time: loads of parts of what was
 * just stored would have to wait for it. */
ALWAYS_INLINE void four_lanes(__m256i v, uint64_t out[4]) {
    __m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);
    out[0] = (uint64_t)_mm_cvtsi128_si64(low);
    out[1] = (uint64_t)_mm_extract_epi64(low, 1);
    out[2] = (uint64_t)_mm_cvtsi128_si64(high);
    out[3] = (uint64_t)_mm_extract_epi64(high, 1);
}

/* Points of 8 coordinates with 32 indices. */
ALWAYS_INLINE void look_up_eights(const uint64_t *points, const __m256i indices[2], __m256i q[8]) {
    uint64_t at[8];
    four_lanes(indices[0], at);
    four_lanes(indices[1], at + 4);
    UNROLL for (int j = 0; j < 8; j++) q[j] =
        eights(points, at[j] & 0xffff, at[j] >> 16 & 0xffff, at[j] >> 32 & 0xffff, at[j] >> 48);
}

/* 8 points of 4 coordinates; many processors gather no faster. */
ALWAYS_INLINE __m256i fours(const uint32_t *points, const uint32_t at[8]) {
    int p[8];
    UNROLL for (int i = 0; i < 8; i++) p[i] = (int)points[at[i]];
    return _mm256_setr_epi32(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]);
}

/* ---- scales ---- */

/* 2 s + 1 */
ALWAYS_INLINE __m256i odd_scales(__m256i s) {
    return _mm256_add_epi16(_mm256_add_epi16(s, s), _mm256_set1_epi16(1));
}

/* From the top four bits of 8 words of 32 bits, each for two groups. */
ALWAYS_INLINE __m256i top_scales(__m256i bits) {
    __m256i s = _mm256_srli_epi32(bits, 28);
    return odd_scales(_mm256_or_si256(s, _mm256_slli_epi32(s, 16)));
}

/* From the nibbles of the first bytes of `packed`, to bytes. */
ALWAYS_INLINE __m128i nibbles_in_order(__m128i packed) {
    const __m128i low = _mm_set1_epi8(15);
    return _mm_unpacklo_epi8(_mm_and_si128(packed, low),
                             _mm_and_si128(_mm_srli_epi16(packed, 4), low));
}

/* ---- values of a block ---- */

/* The sub-blocks' words of signs and scale. */
ALWAYS_INLINE __m256i iq2_xxs_bits(const struct block_iq2_xxs *b) {
    __m256i first = load256(b->sub), second = load256(b->sub + 4);
    __m256i bits = _mm256_castps_si256(_mm256_shuffle_ps(
        _mm256_castsi256_ps(first), _mm256_castsi256_ps(second), 0xdd)); /* signs_scale */
    return _mm256_permute4x64_epi64(bits, 0xd8);
}

ALWAYS_INLINE void iq2_xxs_values(const struct block_iq2_xxs *b, struct weights *w) {
    __m256i signs = with_eighth(spread_sevens(iq2_xxs_bits(b)));
    spread_signs(&signs, w->sign);
    UNROLL for (int j = 0; j < 8; j++) {
        const uint8_t *at = b->sub[j].index;
        w->q[j] = eights(iq_points.iq2_xxs, at[0], at[1], at[2], at[3]);
    }
}

ALWAYS_INLINE void iq2_xs_values(const struct block_iq2_xs *b, struct weights *w) {
    const __m256i nine = _mm256_set1_epi16(511);
    __m256i codes[2] = {load256(b->q), load256(b->q + 16)};
    __m256i sevens =
        _mm256_packus_epi16(_mm256_srli_epi16(codes[0], 9), _mm256_srli_epi16(codes[1], 9));
    __m256i signs = with_eighth(_mm256_permute4x64_epi64(sevens, 0xd8));
    spread_signs(&signs, w->sign);
    codes[0] = _mm256_and_si256(codes[0], nine);
    codes[1] = _mm256_and_si256(codes[1], nine);
    look_up_eights(iq_points.iq2_xs, codes, w->q);
}

ALWAYS_INLINE void iq2_s_values(const struct block_iq2_s *b, struct weights *w) {
    /* Byte g / 4 of `high`, moved so that bits 2 (g % 4) are bits 8 and 9 of word g. */
    const __m256i spread = _mm256_setr_epi8(0, -1, 0, -1, 0, -1, 0, -1, 1, -1, 1, -1, 1, -1, 1, -1,
                                            2, -1, 2, -1, 2, -1, 2, -1, 3, -1, 3, -1, 3, -1, 3, -1);
    const __m256i move = _mm256_set1_epi64x(0x0004001000400100);
    __m256i codes[2];
    UNROLL for (int h = 0; h < 2; h++) {
        int four;
        memcpy(&four, b->high + 4 * h, sizeof four);
        __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi32(four), spread);
        high = _mm256_and_si256(_mm256_mullo_epi16(high, move), _mm256_set1_epi16(0x300));
        codes[h] = _mm256_or_si256(high, _mm256_cvtepu8_epi16(load128(b->low + 16 * h)));
    }
    look_up_eights(iq_points.iq2_s, codes, w->q);
    spread_signs(b->signs, w->sign);
}

ALWAYS_INLINE void iq3_xxs_values(const struct block_iq3_xxs *b, struct weights *w) {
    __m256i bits = load256(b->signs_scale), signs = with_eighth(spread_sevens(bits));
    spread_signs(&signs, w->sign);
    UNROLL for (int j = 0; j < 8; j++) {
        uint32_t at[8];
        UNROLL for (int i = 0; i < 8; i++) at[i] = b->index[8 * j + i];
        w->q[j] = fours(iq_points.iq3_xxs, at);
    }
}

ALWAYS_INLINE void iq3_s_values(const struct block_iq3_s *b, struct weights *w) {
    /* Byte g / 8 of `high`, moved so that bit g % 8 is bit 8 of word g. */
    const __m256i move =
        _mm256_broadcastsi128_si256(_mm_setr_epi16(0x100, 0x80, 0x40, 0x20, 0x10, 8, 4, 2));
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i high =
            _mm256_set_m128i(_mm_set1_epi16(b->high[2 * j + 1]), _mm_set1_epi16(b->high[2 * j]));
        high = _mm256_and_si256(_mm256_mullo_epi16(high, move), _mm256_set1_epi16(0x100));
        uint64_t words[4];
        four_lanes(_mm256_or_si256(high, _mm256_cvtepu8_epi16(load128(b->low + 16 * j))), words);
        UNROLL for (int h = 0; h < 2; h++) {
            uint32_t at[8];
            UNROLL for (int i = 0; i < 8; i++) at[i] =
                (uint32_t)(words[2 * h + i / 4] >> i % 4 * 16 & 0xffff);
            w->q[2 * j + h] = fours(iq_points.iq3_s, at);
        }
    }
    spread_signs(b->signs, w->sign);
}

/* 8 (point +- 1/8) = 8 (point + 1) - 7 or - 9 */
ALWAYS_INLINE void iq1_s_values(const struct block_iq1_s *b, struct weights *w) {
    /* Word g / 4 of `high`, moved so that bits 3 (g % 4) are bits 8 to 10 of word g; the
     * last of four goes down instead. */
    const __m256i spread = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4,
                                            5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
    const __m256i move = _mm256_set1_epi64x(0x0000000400200100);
    __m256i codes[2];
    UNROLL for (int h = 0; h < 2; h++) {
        __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)(b->high + 4 * h));
        __m256i high = _mm256_shuffle_epi8(_mm256_broadcastq_epi64(four), spread);
        __m256i moved = _mm256_mullo_epi16(high, move);
        moved = _mm256_blend_epi16(moved, _mm256_srli_epi16(high, 1), 0x88);
        moved = _mm256_and_si256(moved, _mm256_set1_epi16(0x700));
        codes[h] = _mm256_or_si256(moved, _mm256_cvtepu8_epi16(load128(b->low + 16 * h)));
    }
    look_up_eights(iq_points.iq1, codes, w->q);
}

/* 8 (point +- 1/8) = 8 (point + 1) + (2 or 0) - 9 */
ALWAYS_INLINE void iq1_m_values(const struct block_iq1_m *b, struct weights *w) {
    const __m256i move = _mm256_set1_epi32(0x00100100); /* a nibble to bits 8 to 11 */
    const __m256i eight_each = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 4,
                                                4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 6, 6);
    __m256i codes[2], shifts[2];
    UNROLL for (int h = 0; h < 2; h++) {
        __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)(b->high + 8 * h));
        __m256i nibbles = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(high, high));
        nibbles = _mm256_mullo_epi16(nibbles, move);
        codes[h] = _mm256_or_si256(_mm256_and_si256(nibbles, _mm256_set1_epi16(0x700)),
                                   _mm256_cvtepu8_epi16(load128(b->low + 16 * h)));
        shifts[h] = _mm256_andnot_si256(_mm256_srli_epi16(nibbles, 10), _mm256_set1_epi16(2));
    }
    look_up_eights(iq_points.iq1, codes, w->q);
    UNROLL for (int j = 0; j < 8; j++) {
        long long four;
        memcpy(&four, (const char *)shifts + 8 * j, sizeof four);
        __m256i shift = _mm256_shuffle_epi8(_mm256_set1_epi64x(four), eight_each);
        w->q[j] = _mm256_add_epi8(_mm256_slli_epi16(w->q[j], 3), shift);
    }
}

ALWAYS_INLINE __m256i three_times(__m256i bytes) {
    return _mm256_add_epi8(bytes, _mm256_add_epi8(bytes, bytes));
}

/* bytes * 3 >> 8 */
ALWAYS_INLINE __m256i trits(__m256i bytes) {
    const __m256i one = _mm256_set1_epi8(86), two = _mm256_set1_epi8((char)171);
    __m256i a = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, one), bytes);
    __m256i b = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, two), bytes);
    return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(a, b));
}

ALWAYS_INLINE void tq1_0_values(const struct block_tq1_0 *b, struct weights *w) {
    __m256i bytes = load256(b->q), tail = _mm256_broadcastsi128_si256(load128(b->q + 32)), last;
    UNROLL for (int j = 0; j < 5; j++) {
        w->q[j] = trits(bytes);
        bytes = three_times(bytes);
    }
    tail = _mm256_blend_epi32(tail, three_times(tail), 0xf0);
    UNROLL for (int j = 5; j < 7; j++) {
        w->q[j] = trits(tail);
        tail = three_times(three_times(tail));
    }
    int high;
    memcpy(&high, b->high, sizeof high);
    last = _mm256_set1_epi32(high);
    last = _mm256_blend_epi32(last, three_times(last), 0xaa);
    last = _mm256_blend_epi32(last, three_times(three_times(last)), 0xcc);
    w->q[7] = trits(_mm256_blend_epi32(tail, last, 0xf0));
}

ALWAYS_INLINE void load_values(enum elem type, const void *block, int part, struct weights *w) {
    (void)part;
    switch (type) {
    case ELEM_IQ2_XXS: iq2_xxs_values(block, w); break;
    case ELEM_IQ2_XS: iq2_xs_values(block, w); break;
    case ELEM_IQ2_S: iq2_s_values(block, w); break;
    case ELEM_IQ3_XXS: iq3_xxs_values(block, w); break;
    case ELEM_IQ3_S: iq3_s_values(block, w); break;
    case ELEM_IQ1_S: iq1_s_values(block, w); break;
    case ELEM_IQ1_M: iq1_m_values(block, w); break;
    default: tq1_0_values(block, w); break;
    }
}

/* ---- scales ---- */

ALWAYS_INLINE __m256i nibble_scales(const void *packed) {
    __m128i eight = _mm_loadl_epi64((const __m128i *)packed);
    return odd_scales(_mm256_cvtepu8_epi16(nibbles_in_order(eight)));
}

ALWAYS_INLINE __m256i iq3_s_scales(const struct block_iq3_s *b) {
    __m128i four = _mm_cvtsi32_si128(head(b->scales));
    return odd_scales(for_two_groups(_mm_cvtepu8_epi16(nibbles_in_order(four))));
}

ALWAYS_INLINE void iq1_s_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    __m256i high[4];
    load_fours(rows, at + offsetof(struct block_iq1_s, high), high);
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i own = _mm256_and_si256(_mm256_srli_epi16(high[j], 12), _mm256_set1_epi16(7));
        own = odd_scales(own);
        __m256i less = _mm256_srai_epi16(high[j], 15); /* -1 where it is 9 */
        less = _mm256_sub_epi16(_mm256_set1_epi16(7), _mm256_add_epi16(less, less));
        s->minima[j] = _mm256_mullo_epi16(own, less);
        twice_each(_mm256_slli_epi16(own, 3), s->group + 2 * j);
    }
}

ALWAYS_INLINE __m256i iq1_m_scales(const struct block_iq1_m *b, __m256i *minima) {
    const __m256i four_each = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5,
                                               4, 5, 4, 5, 4, 5, 6, 7, 6, 7, 6, 7, 6, 7);
    __m128i packed = _mm_loadl_epi64((const __m128i *)(const void *)b->scales);
    __m256i s = _mm256_shuffle_epi8(_mm256_broadcastq_epi64(packed), four_each);
    s = _mm256_mullo_epi16(s, _mm256_set1_epi64x(0x0001000800400200)); /* to bits 9 to 11 */
    s = odd_scales(_mm256_and_si256(_mm256_srli_epi16(s, 9), _mm256_set1_epi16(7)));
    *minima = _mm256_add_epi16(s, _mm256_slli_epi16(s, 3));
    return s;
}

/* Scales and, where the type has them, minima of a row's block: words of 16 values each. */
ALWAYS_INLINE __m256i block_scales(enum elem type, const char *block, __m256i *minima) {
    switch (type) {
    case ELEM_IQ2_XXS: return top_scales(iq2_xxs_bits((const void *)block));
    case ELEM_IQ2_XS: return nibble_scales(block + offsetof(struct block_iq2_xs, scales));
    case ELEM_IQ2_S: return nibble_scales(block + offsetof(struct block_iq2_s, scales));
    case ELEM_IQ3_XXS:
        return top_scales(load256(block + offsetof(struct block_iq3_xxs, signs_scale)));
    case ELEM_IQ3_S: return iq3_s_scales((const void *)block);
    case ELEM_IQ1_M: return iq1_m_scales((const void *)block, minima);
    default: return _mm256_set1_epi16(1);
    }
}

ALWAYS_INLINE __m256 iq1_m_halves(const char *const rows[LANES], size_t at) {
    uint16_t halves[LANES];
    UNROLL for (int r = 0; r < LANES; r++) halves[r] =
        iq1_m_half((const struct block_iq1_m *)(const void *)(rows[r] + at));
    return _mm256_cvtph_ps(load128(halves));
}

ALWAYS_INLINE __m256 block_factors(enum elem type, const char *const rows[LANES], size_t at) {
    switch (type) {
    case ELEM_IQ3_XXS: return _mm256_mul_ps(half_floats(rows, at), _mm256_set1_ps(0.25f));
    case ELEM_IQ3_S: return half_floats(rows, at);
    case ELEM_IQ1_M: return _mm256_mul_ps(iq1_m_halves(rows, at), _mm256_set1_ps(0.125f));
    case ELEM_TQ1_0: return half_floats(rows, at + offsetof(struct block_tq1_0, d));
    default: return _mm256_mul_ps(half_floats(rows, at), _mm256_set1_ps(0.125f));
    }
}

ALWAYS_INLINE void load_scales(enum elem type, const char *const rows[LANES], size_t at,
                               struct scales *s) {
    s->d = block_factors(type, rows, at);
    if (type == ELEM_IQ1_S) {
        iq1_s_scales(rows, at, s);
        return;
    }
    for (int r = 0; r < LANES; r++)
        s->group[r] = block_scales(type, rows[r] + at, s->minima + r);
    transpose(s->group);
    if (has_minima(type)) transpose(s->minima);
}

#endif
