/* vbmi_points.h - codebook super-blocks of two rows unpacked in AVX-512 VBMI.
 *
 * A codebook is looked up in registers, 64 indices of both rows at a time: VPERMI2B
 * selects among 128 bytes, and masks of an index's upper bits among the results of that.
 * Levels of two or three bits go to a byte each by VPMULTISHIFTQB, and VPERMB makes them
 * numbers; an offset makes these unsigned.
 *
 * Values stay where the word of their index is, so that none has to be moved: vector k
 * has values 32 q + 8 k .. 32 q + 8 k + 7 in its 64-bit lane q, and what has the same
 * scale meets in the same lane of the vectors. Bytes that become such words, by
 * interleaving both planes of a codebook, are in "paired" order: byte 16 l + 8 r + j
 * belongs to group 8 l + j of row r. */
#ifndef HEARTH_KERNELS_VBMI_POINTS_H
#define HEARTH_KERNELS_VBMI_POINTS_H

#include <immintrin.h>
#include <string.h>

#include "kernels/avx512_lanes.h"
#include "kernels/iq_points.h"
#include "kernels/iq_tables.h"

struct two_rows {
    __m512i q[2][4];  /* of each row: values plus offset(type) */
    __m512i scale[2]; /* 32 bits: [0] of sub-block q of 32 values of row r in lane 2 q + r;
                       * where 16 values share a scale: [r] of row r, in order */
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

/* ---- tables ---- */

/* Orders are for VPERMB and VPERMI2B; bytes of the second row count from 64. In the order
 * of sign masks bit i of 64-bit lane 4 r + k is the sign of byte i of vector k of row r. */
static struct {
    _Alignas(64) uint8_t iq2_xxs[64]; /* indices to the paired order */
    uint8_t iq2_xs[64];               /* low bytes of words to the paired order */
    uint8_t iq2_xs_signs[64];         /* high bytes of words to the order of sign masks */
    uint8_t signs[64];                /* 32 bytes a row to the order of sign masks */
    uint8_t lane_signs[64];           /* lane 2 q + r, of 32 bits, to the same */
    /* Numbers plus offset, by bits of which only the lowest two or three count. */
    uint8_t iq2_levels[64], iq3_xxs_levels[64], iq3_s_levels[64];
} tables;

static inline void fill_tables(void) {
    for (unsigned i = 0; i < 64; i++) {
        unsigned row = i / 8 % 2, group = i / 16 * 8 + i % 8;
        tables.iq2_xxs[i] = (uint8_t)(64 * row + group / 4 * 8 + group % 4);
        tables.iq2_xs[i] = (uint8_t)(64 * row + 2 * group);
        row = i / 32, group = i % 8 * 4 + i / 8 % 4;
        tables.iq2_xs_signs[i] = (uint8_t)(64 * row + 2 * group + 1);
        tables.signs[i] = (uint8_t)(64 * row + group);
        tables.lane_signs[i] = (uint8_t)(group / 4 * 8 + row * 4 + group % 4);
        tables.iq2_levels[i] = (uint8_t)(iq2_levels[i % 4] + offset(ELEM_IQ2_XXS));
        tables.iq3_xxs_levels[i] = (uint8_t)(iq3_xxs_levels[i % 8] + offset(ELEM_IQ3_XXS));
        tables.iq3_s_levels[i] = (uint8_t)(iq3_s_levels[i % 8] + offset(ELEM_IQ3_S));
    }
}

ALWAYS_INLINE __m512i load512(const void *p) {
    return _mm512_loadu_si512(p);
}

ALWAYS_INLINE long long load64(const void *p) {
    long long v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- orders ---- */

ALWAYS_INLINE __m512i ordered(__m512i a, const uint8_t order[64], __m512i b) {
    return _mm512_permutex2var_epi8(a, load512(order), b);
}

ALWAYS_INLINE __m512i widened(__m256i v) {
    return _mm512_castsi256_si512(v);
}

/* 32 bytes of either row to the paired order. */
ALWAYS_INLINE __m512i pair_bytes(const void *a, const void *b) {
    const __m512i order = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    return _mm512_permutex2var_epi64(widened(load256(a)), order, widened(load256(b)));
}

/* Lane l, of 32 bits, of either row to the lower halves of 64-bit lanes 2 l + r. */
ALWAYS_INLINE __m512i pair_lanes(__m128i a, __m128i b) {
    const __m512i order = _mm512_setr_epi32(0, 0, 16, 0, 1, 0, 17, 0, 2, 0, 18, 0, 3, 0, 19, 0);
    return _mm512_permutex2var_epi32(_mm512_castsi128_si512(a), order, _mm512_castsi128_si512(b));
}

/* Bytes of each 64-bit lane from the bits on that the bytes of `at` say. */
ALWAYS_INLINE __m512i shifted(__m512i lanes, uint64_t at) {
    return _mm512_multishift_epi64_epi8(_mm512_set1_epi64((long long)at), lanes);
}

/* (x & mask) | 1 of 32-bit lanes. */
ALWAYS_INLINE __m512i odd_numbers(__m512i x, int mask) {
    return _mm512_ternarylogic_epi32(x, _mm512_set1_epi32(mask), _mm512_set1_epi32(1), 0xea);
}

/* ---- look-ups ---- */

ALWAYS_INLINE __m512i of_128(const uint8_t *table, __m512i index) {
    return _mm512_permutex2var_epi8(load512(table), index, load512(table + 64));
}

/* Entries of a table of 256 << n; upper[i] has bit 7 + i of each index. */
ALWAYS_INLINE __m512i look_up(const uint8_t *table, int n, __m512i index,
                              const __mmask64 upper[4]) {
    __m512i found[16];
    UNROLL for (int i = 0; i < 2 << n; i++) found[i] = of_128(table + 128 * i, index);
    UNROLL for (int bit = 0; bit <= n; bit++) {
        UNROLL for (int i = 0; i < 1 << (n - bit); i++) found[i] =
            _mm512_mask_blend_epi8(upper[bit], found[2 * i], found[2 * i + 1]);
    }
    return found[0];
}

/* Entries of both planes of a codebook of 256 << n points; bit i of a byte of `high` is
 * bit 8 + i of its index. */
ALWAYS_INLINE void look_up_both(const uint8_t *planes, int n, __m512i index, __m512i high,
                                __m512i found[2]) {
    __mmask64 upper[4] = {_mm512_movepi8_mask(index)};
    UNROLL for (int i = 0; i < n; i++) upper[i + 1] =
        _mm512_test_epi8_mask(high, _mm512_set1_epi8((char)(1 << i)));
    found[0] = look_up(planes, n, index, upper);
    found[1] = look_up(planes + (256 << n), n, index, upper);
}

ALWAYS_INLINE void interleave(const __m512i planes[2], __m512i words[2]) {
    words[0] = _mm512_unpacklo_epi8(planes[0], planes[1]);
    words[1] = _mm512_unpackhi_epi8(planes[0], planes[1]);
}

/* Bytes of seven signs to eight. */
ALWAYS_INLINE __m512i eight_signs(__m512i sevens) {
    return of_128(iq_planes.signs, sevens);
}

/* Masks are loaded one by one from memory, which the compiler must not save: in registers,
 * taking the vector apart would need the ports that look-ups need. */
ALWAYS_INLINE void store_signs(uint64_t signs[8], __m512i masks) {
    _mm512_store_si512(signs, masks);
    __asm__("" : "+m"(*(uint64_t(*)[8])(void *)signs));
}

/* ---- values ---- */

/* x where the sign is not set, else twice the offset - x. */
ALWAYS_INLINE __m512i with_signs(enum elem type, const uint64_t *signs, __m512i x) {
    const __m512i twice = _mm512_set1_epi8((char)(2 * offset(type)));
    return _mm512_mask_sub_epi8(x, _cvtu64_mask64(*signs), twice, x);
}

/* A row of points of eight from its words. */
ALWAYS_INLINE void iq2_values(__m512i words, const uint64_t signs[4], __m512i q[4]) {
    const __m512i levels = load512(tables.iq2_levels);
    UNROLL for (int k = 0; k < 4; k++) {
        uint64_t at = UINT64_C(0x0e0c0a0806040200) + (uint64_t)k * 0x1010101010101010;
        q[k] = _mm512_permutexvar_epi8(shifted(words, at), levels);
        q[k] = with_signs(ELEM_IQ2_XXS, signs + k, q[k]);
    }
}

/* A row of points of four from its words: words 4 q .. 4 q + 3 of either vector are those
 * of values 32 q .. 32 q + 15 and of the 16 after them. */
ALWAYS_INLINE void iq3_values(enum elem type, const __m512i words[2], const uint64_t signs[4],
                              __m512i q[4]) {
    const __m512i levels =
        load512(type == ELEM_IQ3_S ? tables.iq3_s_levels : tables.iq3_xxs_levels);
    UNROLL for (int k = 0; k < 4; k++) {
        uint64_t at = UINT64_C(0x1b1813100b080300) + (uint64_t)(k % 2) * 0x2020202020202020;
        q[k] = _mm512_permutexvar_epi8(shifted(words[k / 2], at), levels);
        q[k] = with_signs(type, signs + k, q[k]);
    }
}

/* ---- scales ---- */

/* 32 bits of signs and scale of sub-block q of row r in lane 2 q + r. */
ALWAYS_INLINE void signs_and_scale(__m512i lanes, uint64_t signs[8], struct two_rows *w) {
    __m512i bytes = eight_signs(shifted(lanes, 0x352e2720150e0700));
    store_signs(signs, _mm512_permutexvar_epi8(load512(tables.lane_signs), bytes));
    w->scale[0] = odd_numbers(_mm512_srli_epi32(lanes, 27), 0x1e);
}

/* 16 nibbles: their doubles plus one. */
ALWAYS_INLINE __m512i nibble_scales(const uint8_t scales[8]) {
    const __m512i at = _mm512_setr_epi64(0x30000003f, 0xb00000007, 0x130000000f, 0x1b00000017,
                                         0x230000001f, 0x2b00000027, 0x330000002f, 0x3b00000037);
    __m512i nibbles = _mm512_multishift_epi64_epi8(at, _mm512_set1_epi64(load64(scales)));
    return odd_numbers(nibbles, 0x1e);
}

/* ---- blocks ---- */

ALWAYS_INLINE void load_iq2_xxs(const struct block_iq2_xxs *a, const struct block_iq2_xxs *b,
                                struct two_rows *w) {
    _Alignas(64) uint64_t signs[8];
    __m512i subs[2] = {load512(a->sub), load512(b->sub)}, found[2], words[2];
    __m512i index = ordered(subs[0], tables.iq2_xxs, subs[1]);
    look_up_both(iq_planes.iq2_xxs[0], 0, index, index, found);
    interleave(found, words);
    signs_and_scale(_mm512_mask_shuffle_epi32(subs[1], 0x5555, subs[0], 0xf5), signs, w);
    UNROLL for (int r = 0; r < 2; r++) iq2_values(words[r], signs + 4 * r, w->q[r]);
}

ALWAYS_INLINE void load_iq2_xs(const struct block_iq2_xs *a, const struct block_iq2_xs *b,
                               struct two_rows *w) {
    _Alignas(64) uint64_t signs[8];
    __m512i codes[2] = {load512(a->q), load512(b->q)}, found[2], words[2];
    __m512i index = ordered(codes[0], tables.iq2_xs, codes[1]);
    __m512i order = _mm512_or_si512(load512(tables.iq2_xs), _mm512_set1_epi8(1));
    __m512i high = _mm512_permutex2var_epi8(codes[0], order, codes[1]);
    look_up_both(iq_planes.iq2_xs[0], 1, index, high, found);
    interleave(found, words);
    high = ordered(codes[0], tables.iq2_xs_signs, codes[1]);
    store_signs(signs, eight_signs(_mm512_srli_epi16(high, 1)));
    UNROLL for (int r = 0; r < 2; r++) iq2_values(words[r], signs + 4 * r, w->q[r]);
    w->scale[0] = nibble_scales(a->scales);
    w->scale[1] = nibble_scales(b->scales);
}

ALWAYS_INLINE void load_iq2_s(const struct block_iq2_s *a, const struct block_iq2_s *b,
                              struct two_rows *w) {
    const __m512i at = _mm512_setr_epi64(0x0e0c0a0806040200, 0x0e0c0a0806040200, //
                                         0x1e1c1a1816141210, 0x1e1c1a1816141210, //
                                         0x2e2c2a2826242220, 0x2e2c2a2826242220, //
                                         0x3e3c3a3836343230, 0x3e3c3a3836343230);
    _Alignas(64) uint64_t signs[8];
    __m512i found[2], words[2], high = _mm512_set1_epi64(load64(a->high));
    high = _mm512_mask_set1_epi64(high, 0xaa, load64(b->high));
    high = _mm512_multishift_epi64_epi8(at, high);
    look_up_both(iq_planes.iq2_s[0], 2, pair_bytes(a->low, b->low), high, found);
    interleave(found, words);
    _mm512_store_si512(
        signs, ordered(widened(load256(a->signs)), tables.signs, widened(load256(b->signs))));
    UNROLL for (int r = 0; r < 2; r++) iq2_values(words[r], signs + 4 * r, w->q[r]);
    w->scale[0] = nibble_scales(a->scales);
    w->scale[1] = nibble_scales(b->scales);
}

/* Within 128 bits, which have two sub-blocks of eight points: the first four points of
 * either, then the others. */
ALWAYS_INLINE __m512i split_eights(__m512i bytes) {
    return _mm512_shuffle_epi32(bytes, 0xd8);
}

ALWAYS_INLINE void load_iq3_xxs(const struct block_iq3_xxs *a, const struct block_iq3_xxs *b,
                                struct two_rows *w) {
    const __m512i order = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const struct block_iq3_xxs *rows[2] = {a, b};
    _Alignas(64) uint64_t signs[8];
    signs_and_scale(_mm512_permutex2var_epi32(widened(load256(a->signs_scale)), order,
                                              widened(load256(b->signs_scale))),
                    signs, w);
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i index = split_eights(load512(rows[r]->index)), found[2], words[2];
        look_up_both(iq_planes.iq3_xxs[0], 0, index, index, found);
        interleave(found, words);
        iq3_values(ELEM_IQ3_XXS, words, signs + 4 * r, w->q[r]);
    }
}

ALWAYS_INLINE void load_iq3_s(const struct block_iq3_s *a, const struct block_iq3_s *b,
                              struct two_rows *w) {
    const __m512i at = _mm512_setr_epi64(0x1f0000003f, 0x2300000003, 0x2700000007, 0x2b0000000b,
                                         0x2f0000000f, 0x3300000013, 0x3700000017, 0x3b0000001b);
    const struct block_iq3_s *rows[2] = {a, b};
    _Alignas(64) uint64_t signs[8];
    _mm512_store_si512(
        signs, ordered(widened(load256(a->signs)), tables.signs, widened(load256(b->signs))));
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i index = load512(rows[r]->low), found[2], words[2];
        __mmask64 upper[4] = {_mm512_movepi8_mask(index),
                              _cvtu64_mask64((uint64_t)load64(rows[r]->high))};
        UNROLL for (int i = 0; i < 2; i++) found[i] =
            split_eights(look_up(iq_planes.iq3_s[i], 1, index, upper));
        interleave(found, words);
        iq3_values(ELEM_IQ3_S, words, signs + 4 * r, w->q[r]);
    }
    uint32_t scales[2];
    memcpy(scales, a->scales, 4);
    memcpy(scales + 1, b->scales, 4);
    __m512i nibbles = _mm512_set1_epi64(load64(scales));
    w->scale[0] = odd_numbers(_mm512_multishift_epi64_epi8(at, nibbles), 0x1e);
}

/* A row of ternary points as 8 (point + 1) + 2 where the shift is positive; bytes of
 * plus[k] are 2 there and 0 elsewhere. */
ALWAYS_INLINE void iq1_values(__m512i words, const __m512i plus[4], __m512i q[4]) {
    UNROLL for (int k = 0; k < 4; k++) {
        /* The bits go to bits 3 and 4. */
        uint64_t at = UINT64_C(0x0b09070503013f3d) + (uint64_t)k * 0x1010101010101010;
        q[k] = _mm512_ternarylogic_epi32(shifted(words, at), _mm512_set1_epi8(0x18), plus[k], 0xea);
    }
}

ALWAYS_INLINE void load_iq1_s(const struct block_iq1_s *a, const struct block_iq1_s *b,
                              struct two_rows *w) {
    const __m512i order = /* word q of row r to both halves of lane 2 q + r */
        _mm512_setr_epi32(0x00000, 0x200020, 0x10001, 0x210021, 0x20002, 0x220022, 0x30003,
                          0x230023, 0x40004, 0x240024, 0x50005, 0x250025, 0x60006, 0x260026,
                          0x70007, 0x270027);
    const __m512i two = _mm512_set1_epi8(2);
    __m128i high[2] = {load128(a->high), load128(b->high)};
    __m512i found[2], words[2];
    __m512i bits = shifted(pair_lanes(high[0], high[1]), 0x1916131009060300);
    look_up_both(iq_planes.iq1[0], 3, pair_bytes(a->low, b->low), bits, found);
    interleave(found, words);
    __m512i lanes = _mm512_permutex2var_epi16(_mm512_castsi128_si512(high[0]), order,
                                              _mm512_castsi128_si512(high[1]));
    w->scale[0] = odd_numbers(_mm512_srli_epi32(lanes, 27), 0xe);
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i top = r ? lanes : _mm512_slli_epi64(lanes, 32);
        __m512i plus =
            _mm512_mask_mov_epi64(two, _mm512_movepi64_mask(top), _mm512_setzero_si512());
        __m512i all[4] = {plus, plus, plus, plus};
        iq1_values(words[r], all, w->q[r]);
    }
}

/* The byte of group 4 q + k of row r, of bytes in the paired order, to all of 64-bit lane q. */
ALWAYS_INLINE __m512i spread_group(__m512i bytes, int r, int k) {
    const long long first = 0x0101010101010101 * (8 * r + k);
    const __m128i order = _mm_set_epi64x(first + 0x0404040404040404, first);
    return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(order));
}

ALWAYS_INLINE void load_iq1_m(const struct block_iq1_m *a, const struct block_iq1_m *b,
                              struct two_rows *w) {
    /* Three bits per scale, to bits 1 to 3. */
    const __m512i at = _mm512_setr_epi64(0x20000003f, 0x800000005, 0x120000000f, 0x1800000015,
                                         0x220000001f, 0x2800000025, 0x320000002f, 0x3800000035);
    const struct block_iq1_m *rows[2] = {a, b};
    __m512i found[2], words[2];
    __m512i bits = shifted(pair_lanes(load128(a->high), load128(b->high)), 0x1c1814100c080400);
    look_up_both(iq_planes.iq1[0], 3, pair_bytes(a->low, b->low), bits, found);
    interleave(found, words);
    bits = _mm512_andnot_si512(_mm512_srli_epi16(bits, 2), _mm512_set1_epi8(2));
    UNROLL for (int r = 0; r < 2; r++) {
        __m512i plus[4];
        UNROLL for (int k = 0; k < 4; k++) plus[k] = spread_group(bits, r, k);
        iq1_values(words[r], plus, w->q[r]);
        __m512i scales = _mm512_set1_epi64(load64(rows[r]->scales));
        w->scale[r] = odd_numbers(_mm512_multishift_epi64_epi8(at, scales), 0xe);
    }
}

ALWAYS_INLINE void load_rows(enum elem type, const void *a, const void *b, struct two_rows *w) {
    switch (type) {
    case ELEM_IQ2_XXS: load_iq2_xxs(a, b, w); break;
    case ELEM_IQ2_XS: load_iq2_xs(a, b, w); break;
    case ELEM_IQ2_S: load_iq2_s(a, b, w); break;
    case ELEM_IQ3_XXS: load_iq3_xxs(a, b, w); break;
    case ELEM_IQ3_S: load_iq3_s(a, b, w); break;
    case ELEM_IQ1_S: load_iq1_s(a, b, w); break;
    default: load_iq1_m(a, b, w); break;
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
