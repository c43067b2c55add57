/* vbmi_points.h - codebook super-blocks of two rows unpacked in AVX-512 VBMI.
 *
 * What is looked up in a codebook has two or four levels in a byte. Hardly a bit is moved to
 * make them values: VPERMB takes its index from six bits, so a level's bits where they are,
 * among bits of signs, choose from a table made for these places; only what lies elsewhere
 * is shifted. An offset makes values unsigned.
 *
 * So the bytes of a vector are values of 64 points, and the points are in an order in which
 * four bytes of one 32-bit lane share a scale. The vectors q[0] .. q[7] of a pair of rows:
 *
 *   eights, 32 values a scale   q[v] byte 8 q + 4 r + g: value 32 q + 8 g + v of row r
 *   eights, 16 values a scale   q[4 h + j] byte 16 l + 8 i + 4 r + c: of row r, value
 *                               16 (4 l + 2 h + i) + 8 (c % 2) + 4 (c / 2) + j
 *   fours                       q[4 r + v] byte i: value 4 i + v of row r */
#ifndef HEARTH_KERNELS_VBMI_POINTS_H
#define HEARTH_KERNELS_VBMI_POINTS_H

#include <immintrin.h>
#include <string.h>

#include "kernels/iq_tables.h"
#include "kernels/vbmi_look_up.h"

struct two_rows {
    __m512i q[8];     /* values plus offset(type) */
    __m512i scale[2]; /* 32 bits: [0] of values 32 q .. of row r in lane 2 q + r; where 16
                       * values share a scale as in q, [h] with lanes 4 l + 2 i + r */
};

/* What makes values non-negative. */
ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_IQ3_XXS: return 62;
    case ELEM_IQ3_S: return 15;
    case ELEM_IQ1_S:
    case ELEM_IQ1_M: return 9; /* 8 (point +- 1/8) */
    default: return 43;
    }
}

/* Values that share a scale. */
ALWAYS_INLINE int group_values(enum elem type) {
    return type == ELEM_IQ2_XS || type == ELEM_IQ2_S || type == ELEM_IQ1_M ? 16 : 32;
}

/* Points have four values. */
ALWAYS_INLINE int has_fours(enum elem type) {
    return type == ELEM_IQ3_XXS || type == ELEM_IQ3_S;
}

/* ---- tables ---- */

enum { LEVEL_TABLES = 4 };

static struct {
    /* Values plus offset, by a byte with a level and a sign in the places below. */
    _Alignas(64) uint8_t iq2[LEVEL_TABLES][64];
    uint8_t iq3_xxs[LEVEL_TABLES][64], iq3_s[LEVEL_TABLES][64];
    uint8_t iq2_xs[64]; /* for VPERMI2B: low bytes of words of two rows in order */
} tables;

/* First bits of a level and of a sign; see four_values() and two_values(). */
static const struct {
    uint8_t level, sign;
} iq2_places[LEVEL_TABLES] = {{0, 2}, {2, 1}, {4, 2}, {4, 3}},
  iq3_places[LEVEL_TABLES] = {{0, 3}, {3, 0}, {0, 5}, {3, 2}};

static inline uint8_t plus_offset(int level, unsigned negative, int offset) {
    return (uint8_t)(offset + (negative ? -level : level));
}

static inline void fill_tables(void) {
    for (unsigned t = 0; t < LEVEL_TABLES; t++)
        for (unsigned i = 0; i < 64; i++) {
            unsigned two = i >> iq2_places[t].level & 3, negative = i >> iq2_places[t].sign & 1;
            tables.iq2[t][i] = plus_offset(iq2_levels[two], negative, offset(ELEM_IQ2_XXS));
            unsigned three = i >> iq3_places[t].level & 7;
            negative = i >> iq3_places[t].sign & 1;
            tables.iq3_xxs[t][i] =
                plus_offset(iq3_xxs_levels[three], negative, offset(ELEM_IQ3_XXS));
            tables.iq3_s[t][i] = plus_offset(iq3_s_levels[three], negative, offset(ELEM_IQ3_S));
        }
    for (unsigned i = 0; i < 64; i++)
        tables.iq2_xs[i] = (uint8_t)(i / 2 % 2 * 64 + i / 4 * 4 + i % 2 * 2);
}

/* ---- values ---- */

ALWAYS_INLINE __m512i levels_of(const uint8_t table[64], __m512i index) {
    return _mm512_permutexvar_epi8(index, load512(table));
}

/* Of a byte with four levels, two bits each; its lower four bits of `signs`. */
ALWAYS_INLINE void four_values(__m512i levels, __m512i signs, __m512i q[4]) {
    q[0] = levels_of(tables.iq2[0], chosen(0x03, levels, _mm512_slli_epi16(signs, 2)));
    q[1] = levels_of(tables.iq2[1], chosen(0x0c, levels, signs));
    q[2] = levels_of(tables.iq2[2], chosen(0x30, levels, signs));
    q[3] = levels_of(tables.iq2[3], chosen(0x30, _mm512_srli_epi16(levels, 2), signs));
}

/* The same of ternary levels: 8 (point + 1), plus 2 where the shift is positive. */
ALWAYS_INLINE void four_trits(__m512i levels, __m512i plus, __m512i q[4]) {
    const __m512i eights = _mm512_set1_epi8(0x18);
    q[0] = masked_or(_mm512_slli_epi16(levels, 3), eights, plus);
    q[1] = masked_or(_mm512_slli_epi16(levels, 1), eights, plus);
    q[2] = masked_or(_mm512_srli_epi16(levels, 1), eights, plus);
    q[3] = masked_or(_mm512_srli_epi16(levels, 3), eights, plus);
}

/* Of bytes with two levels, three bits each, of the first and of the last two values; bits
 * 3 to 6 of `signs` are theirs. `table` is the first of the type's. */
ALWAYS_INLINE void two_values(const uint8_t *table, const __m512i levels[2], __m512i signs,
                              __m512i q[4]) {
    const __m512i low = _mm512_srli_epi16(signs, 4);
    q[0] = levels_of(table, chosen(0x07, levels[0], signs));
    q[1] = levels_of(table + 64, chosen(0x38, levels[0], low));
    q[2] = levels_of(table + 128, chosen(0x07, levels[1], signs));
    q[3] = levels_of(table + 192, chosen(0x38, levels[1], low));
}

/* Bytes of a point's first half and of its second one, of two points each: words of either
 * share a scale. */
ALWAYS_INLINE void pair_halves(__m512i first, __m512i second, __m512i out[2]) {
    out[0] = _mm512_unpacklo_epi16(first, second);
    out[1] = _mm512_unpackhi_epi16(first, second);
}

/* Of eights with 16 values a scale, from what was found and their signs. */
ALWAYS_INLINE void paired_values(const __m512i found[2], __m512i signs, __m512i q[8]) {
    __m512i levels[2], halves[2];
    pair_halves(found[0], found[1], levels);
    pair_halves(signs, _mm512_srli_epi16(signs, 4), halves);
    UNROLL for (int h = 0; h < 2; h++) four_values(levels[h], halves[h], q + 4 * h);
}

/* ---- scales ---- */

/* The bits of mask that are chosen from x, and the lowest one. */
ALWAYS_INLINE __m512i odd_numbers(__m512i x, int mask) {
    return masked_or(x, _mm512_set1_epi32(mask), _mm512_set1_epi32(1));
}

/* From 16 scales of either row. */
ALWAYS_INLINE void pair_scales(__m512i a, __m512i b, __m512i scale[2]) {
    scale[0] = _mm512_unpacklo_epi32(a, b);
    scale[1] = _mm512_unpackhi_epi32(a, b);
}

/* 16 fields of 64 bits, one a lane, from the bits on that `at` says. */
ALWAYS_INLINE __m512i scale_fields(const void *p, __m512i at) {
    return _mm512_multishift_epi64_epi8(at, _mm512_broadcastq_epi64(load64(p)));
}

/* 16 nibbles of either row: their doubles plus one. */
ALWAYS_INLINE void nibble_scales(const uint8_t a[8], const uint8_t b[8], __m512i scale[2]) {
    const __m512i at = _mm512_setr_epi64(0x30000003f, 0xb00000007, 0x130000000f, 0x1b00000017,
                                         0x230000001f, 0x2b00000027, 0x330000002f, 0x3b00000037);
    pair_scales(odd_numbers(scale_fields(a, at), 0x1e), odd_numbers(scale_fields(b, at), 0x1e),
                scale);
}

/* ---- blocks ---- */

ALWAYS_INLINE void load_iq2_xxs(const struct block_iq2_xxs *a, const struct block_iq2_xxs *b,
                                struct two_rows *w) {
    __m512i subs[2] = {load512(a->sub), load512(b->sub)}, found[2];
    __m512i index = even_lanes(subs[0], subs[1]), lanes = odd_lanes(subs[0], subs[1]);
    __m512i signs = lane_signs(lanes);
    look_up_both(iq_planes.iq2_xxs[0], 0, (struct codes){index, index}, found);
    four_values(found[0], signs, w->q);
    four_values(found[1], _mm512_srli_epi16(signs, 4), w->q + 4);
    w->scale[0] = odd_numbers(_mm512_srli_epi32(lanes, 27), 0x1e);
}

/* Signs of row 0 are four bytes in the lower half of each 64-bit lane, of row 1 in the upper
 * one: to the places of two_values(). */
ALWAYS_INLINE __m512i row_signs(__m512i signs, int r) {
    return shifted(signs, r ? 0x3935312d2925211d : 0x1915110d0905013d);
}

ALWAYS_INLINE void load_iq3_xxs(const struct block_iq3_xxs *a, const struct block_iq3_xxs *b,
                                struct two_rows *w) {
    __m512i lanes = pair_lanes(a->signs_scale, b->signs_scale), signs = lane_signs(lanes);
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i index = load512(r ? b->index : a->index), found[2];
        look_up_both(iq_planes.iq3_xxs[0], 0, (struct codes){index, index}, found);
        two_values(tables.iq3_xxs[0], found, row_signs(signs, r), w->q + 4 * r);
    }
    w->scale[0] = odd_numbers(_mm512_srli_epi32(lanes, 27), 0x1e);
}

ALWAYS_INLINE void load_iq3_s(const struct block_iq3_s *a, const struct block_iq3_s *b,
                              struct two_rows *w) {
    const __m512i at = _mm512_setr_epi64(0x1f0000003f, 0x2300000003, 0x2700000007, 0x2b0000000b,
                                         0x2f0000000f, 0x3300000013, 0x3700000017, 0x3b0000001b);
    const struct block_iq3_s *rows[2] = {a, b};
    __m512i signs = pair_lanes(a->signs, b->signs);
    uint32_t scales[2];
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i index = load512(rows[r]->low), found[2];
        struct upper_bits upper = {{_mm512_movepi8_mask(index)}};
        memcpy(&upper.mask[1], rows[r]->high, sizeof upper.mask[1]);
        UNROLL for (int i = 0; i < 2; i++)
            look_up(iq_planes.iq3_s[i], 1, 1, &index, &upper, &found[i]);
        two_values(tables.iq3_s[0], found, row_signs(signs, r), w->q + 4 * r);
        memcpy(&scales[r], rows[r]->scales, sizeof scales[r]);
    }
    __m512i nibbles = _mm512_set1_epi64((long long)(scales[0] | (uint64_t)scales[1] << 32));
    w->scale[0] = odd_numbers(_mm512_multishift_epi64_epi8(at, nibbles), 0x1e);
}

/* ---- blocks with large codebooks ---- */

ALWAYS_INLINE struct codes codes_iq2_xs(const struct block_iq2_xs *a,
                                        const struct block_iq2_xs *b) {
    const __m512i order = load512(tables.iq2_xs);
    const __m512i next = _mm512_or_si512(order, _mm512_set1_epi8(1));
    __m512i rows[2] = {load512(a->q), load512(b->q)};
    return (struct codes){_mm512_permutex2var_epi8(rows[0], order, rows[1]),
                          _mm512_permutex2var_epi8(rows[0], next, rows[1])};
}

ALWAYS_INLINE void finish_iq2_xs(const struct block_iq2_xs *a, const struct block_iq2_xs *b,
                                 struct codes codes, const __m512i found[2], struct two_rows *w) {
    paired_values(found, eight_signs(_mm512_srli_epi16(codes.high, 1)), w->q);
    nibble_scales(a->scales, b->scales, w->scale);
}

ALWAYS_INLINE struct codes codes_iq2_s(const struct block_iq2_s *a, const struct block_iq2_s *b) {
    __m128i bytes = _mm_unpacklo_epi8(load64(a->high), load64(b->high));
    return (struct codes){pair_words(a->low, b->low),
                          shifted(_mm512_cvtepu16_epi64(bytes), 0x0e0c06040a080200)};
}

ALWAYS_INLINE void finish_iq2_s(const struct block_iq2_s *a, const struct block_iq2_s *b,
                                const __m512i found[2], struct two_rows *w) {
    paired_values(found, pair_words(a->signs, b->signs), w->q);
    nibble_scales(a->scales, b->scales, w->scale);
}

ALWAYS_INLINE struct codes codes_iq1_s(const struct block_iq1_s *a, const struct block_iq1_s *b) {
    return (struct codes){pair_lanes(a->low, b->low),
                          shifted(pair_words_twice(a->high, b->high), 0x2926232009060300)};
}

ALWAYS_INLINE void finish_iq1_s(const struct block_iq1_s *a, const struct block_iq1_s *b,
                                const __m512i found[2], struct two_rows *w) {
    __m512i lanes = pair_words_twice(a->high, b->high);
    __m512i plus = _mm512_andnot_si512(_mm512_srai_epi32(lanes, 31), _mm512_set1_epi8(2));
    UNROLL for (int p = 0; p < 2; p++) four_trits(found[p], plus, w->q + 4 * p);
    w->scale[0] = odd_numbers(_mm512_srli_epi32(lanes, 27), 0xe);
}

ALWAYS_INLINE struct codes codes_iq1_m(const struct block_iq1_m *a, const struct block_iq1_m *b) {
    return (struct codes){pair_words(a->low, b->low),
                          shifted(pair_words_twice(a->high, b->high), 0x2c280c0824200400)};
}

ALWAYS_INLINE void finish_iq1_m(const struct block_iq1_m *a, const struct block_iq1_m *b,
                                struct codes codes, const __m512i found[2], struct two_rows *w) {
    /* Three bits a scale, to bits 1 to 3. */
    const __m512i at = _mm512_setr_epi64(0x20000003f, 0x800000005, 0x120000000f, 0x1800000015,
                                         0x220000001f, 0x2800000025, 0x320000002f, 0x3800000035);
    __m512i levels[2], pluses[2];
    __m512i plus = _mm512_andnot_si512(_mm512_srli_epi16(codes.high, 2), _mm512_set1_epi8(2));
    pair_halves(found[0], found[1], levels);
    pair_halves(plus, plus, pluses);
    UNROLL for (int h = 0; h < 2; h++) four_trits(levels[h], pluses[h], w->q + 4 * h);
    pair_scales(odd_numbers(scale_fields(a->scales, at), 0xe),
                odd_numbers(scale_fields(b->scales, at), 0xe), w->scale);
}

ALWAYS_INLINE struct codes codes_of(enum elem type, const void *a, const void *b) {
    switch (type) {
    case ELEM_IQ2_XS: return codes_iq2_xs(a, b);
    case ELEM_IQ2_S: return codes_iq2_s(a, b);
    case ELEM_IQ1_S: return codes_iq1_s(a, b);
    default: return codes_iq1_m(a, b);
    }
}

ALWAYS_INLINE int index_bits(enum elem type) {
    return type == ELEM_IQ2_XS ? 9 : type == ELEM_IQ2_S ? 10 : 11;
}

ALWAYS_INLINE const uint8_t *planes_of(enum elem type) {
    switch (type) {
    case ELEM_IQ2_XS: return iq_planes.iq2_xs[0];
    case ELEM_IQ2_S: return iq_planes.iq2_s[0];
    default: return iq_planes.iq1[0];
    }
}

ALWAYS_INLINE void load_large(enum elem type, const char *const rows[4], size_t at,
                              struct two_rows w[2]) {
    struct codes codes[2];
    __m512i found[2][2];
    UNROLL for (int i = 0; i < 2; i++) codes[i] =
        codes_of(type, rows[2 * i] + at, rows[2 * i + 1] + at);
    look_up_twice(planes_of(type), index_bits(type) - 8, codes, found);
    UNROLL for (int i = 0; i < 2; i++) {
        const void *a = rows[2 * i] + at, *b = rows[2 * i + 1] + at;
        switch (type) {
        case ELEM_IQ2_XS: finish_iq2_xs(a, b, codes[i], found[i], &w[i]); break;
        case ELEM_IQ2_S: finish_iq2_s(a, b, found[i], &w[i]); break;
        case ELEM_IQ1_S: finish_iq1_s(a, b, found[i], &w[i]); break;
        default: finish_iq1_m(a, b, codes[i], found[i], &w[i]); break;
        }
    }
}

/* Pairs of rows that load_rows() unpacks: two where the codebook is large, so that they share
 * reading it. */
ALWAYS_INLINE size_t pairs_at_once(enum elem type) {
    return type == ELEM_IQ2_XXS || has_fours(type) ? 1 : 2;
}

/* The blocks at `at` of as many rows. */
ALWAYS_INLINE void load_rows(enum elem type, const char *const rows[], size_t at,
                             struct two_rows w[]) {
    const void *a = rows[0] + at, *b = rows[1] + at;
    switch (type) {
    case ELEM_IQ2_XXS: load_iq2_xxs(a, b, w); break;
    case ELEM_IQ3_XXS: load_iq3_xxs(a, b, w); break;
    case ELEM_IQ3_S: load_iq3_s(a, b, w); break;
    default: load_large(type, rows, at, w); break;
    }
}

/* ---- block scales ---- */

/* Halves of 8 rows, from bytes `at` of them on. */
ALWAYS_INLINE __m128i load_halves(const char *const rows[8], size_t at) {
    uint16_t d[8];
    UNROLL for (int r = 0; r < 8; r++) memcpy(&d[r], rows[r] + at, sizeof d[r]);
    __m128i v = _mm_cvtsi32_si128(d[0]);
    v = _mm_insert_epi16(v, d[1], 1);
    v = _mm_insert_epi16(v, d[2], 2);
    v = _mm_insert_epi16(v, d[3], 3);
    v = _mm_insert_epi16(v, d[4], 4);
    v = _mm_insert_epi16(v, d[5], 5);
    v = _mm_insert_epi16(v, d[6], 6);
    return _mm_insert_epi16(v, d[7], 7);
}

/* Of 16 rows. */
ALWAYS_INLINE __m512 load_d(enum elem type, const char *const rows[16], size_t at) {
    const float unit = type == ELEM_IQ3_S ? 1 : type == ELEM_IQ3_XXS ? 0.25f : 0.125f;
    __m256i halves;
    if (type == ELEM_IQ1_M) {
        uint16_t d[16];
        for (int r = 0; r < 16; r++)
            d[r] = iq1_m_half((const struct block_iq1_m *)(const void *)(rows[r] + at));
        halves = load256(d);
    } else {
        halves = _mm256_set_m128i(load_halves(rows + 8, at), load_halves(rows, at));
    }
    return _mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_set1_ps(unit));
}

#endif
