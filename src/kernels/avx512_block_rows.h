/* avx512_block_rows.h - one token's products with blocks of 32 values along the row, for
 * avx512_q8.c; part of a source file, after its own includes.
 *
 * Four blocks of a row lie in one vector, a quarter each, and are multiplied there; what comes out
 * is added up across lanes for 16 rows together. These are integers, exact in any order, so that
 * results are those of several tokens, for which blocks are transposed before. */
#ifndef HEARTH_KERNELS_AVX512_BLOCK_ROWS_H
#define HEARTH_KERNELS_AVX512_BLOCK_ROWS_H

#include <immintrin.h>

#include "kernels/avx512_blocks.h"

/* Rows that are read together, four blocks and QUADS_AT_ONCE times as many of each. */
enum { ROWS_AT_ONCE = 4, QUADS_AT_ONCE = 8, QUAD = 4 };

/* Types of nibbles. */
ALWAYS_INLINE int has_rows(enum elem type) {
    return type != ELEM_Q8_0;
}

/* Four blocks of activations: values 0 .. 15 of each, and 16 .. 31. */
struct row_token {
    __m512i low, high;
    __m512i start; /* of the sums, because values are unsigned */
};

/* 16 bytes from each of four places that are `step` bytes apart. */
ALWAYS_INLINE __m512i four_quarters(const void *from, size_t step) {
    const char *p = from;
    __m512i v = _mm512_castsi128_si512(load128(p));
    v = _mm512_inserti32x4(v, load128(p + step), 1);
    v = _mm512_inserti32x4(v, load128(p + 2 * step), 2);
    return _mm512_inserti32x4(v, load128(p + 3 * step), 3);
}

ALWAYS_INLINE void order_token(enum elem type, const struct act_q8 x[QUAD], struct row_token *out) {
    const __m512i zero = _mm512_setzero_si512(), offsets = _mm512_set1_epi8((char)offset(type));
    out->low = four_quarters(x->q, sizeof *x);
    out->high = four_quarters(x->q + 16, sizeof *x);
    out->start =
        _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, offsets, out->low), offsets, out->high);
    out->start = _mm512_sub_epi32(zero, out->start);
}

/* ---- unpacking ---- */

/* Four blocks of a row are read as their first and their last 64 bytes. Of words among both, a
 * quarter of a vector for each block: */
struct places {
    __m512i q;     /* nibbles */
    __m512i fifth; /* fifth bits: four times the first word, four times the second */
    __m512i d, m;  /* eight times; bytes of the quarter if has_near_scales() */
};

/* Types whose scales all are among the first bytes, those of each block in its quarter. */
ALWAYS_INLINE int has_near_scales(enum elem type) {
    return !has_fifth_bits(type);
}

/* The places among both of words whose places in the four blocks are given. */
ALWAYS_INLINE __m512i in_both(enum elem type, __m512i words) {
    const __mmask32 behind = _mm512_cmpge_epu16_mask(words, _mm512_set1_epi16(32));
    const short back = (short)(64 - 2 * (int)block_bytes(type));
    return _mm512_mask_add_epi16(words, behind, words, _mm512_set1_epi16(back));
}

ALWAYS_INLINE int64_t four_times(size_t word) {
    return (int64_t)word * 0x0001000100010001;
}

/* Four words and four words of the first block, and those of the others. */
ALWAYS_INLINE __m512i of_each(enum elem type, int64_t low, int64_t high) {
    const int64_t step = four_times(block_bytes(type) / 2);
    return in_both(type, _mm512_setr_epi64(low, high, low + step, high + step, low + 2 * step,
                                           high + 2 * step, low + 3 * step, high + 3 * step));
}

/* The word at byte `at` of each block, of MXFP4 the byte there. */
ALWAYS_INLINE __m512i of_scales(enum elem type, int at) {
    const int step = (int)block_bytes(type) - 16, two = type == ELEM_MXFP4 ? 0x80 : at + 1;
    const int more = step | (type == ELEM_MXFP4 ? 0 : step << 8);
    const int64_t first = four_times((size_t)(at | two << 8)), next = four_times((size_t)more);
    if (!has_near_scales(type))
        return of_each(type, four_times((size_t)at / 2), four_times((size_t)at / 2));
    return _mm512_setr_epi64(first, first, first + next, first + next, first + 2 * next,
                             first + 2 * next, first + 3 * next, first + 3 * next);
}

ALWAYS_INLINE void find_places(enum elem type, struct places *p) {
    const int64_t q = four_times(field_q(type) / 2);
    const size_t fifth = field_q(type) / 2 - 2;
    p->q = of_each(type, q + 0x0003000200010000, q + 0x0007000600050004);
    p->d = of_scales(type, 0);
    if (has_fifth_bits(type)) p->fifth = of_each(type, four_times(fifth), four_times(fifth + 1));
    if (has_minimum(type)) p->m = of_scales(type, 2);
}

/* Four blocks of a row. */
struct four_blocks {
    __m512i first, last;
    __m512i q; /* of MXFP4, where no two bytes begin at a word: the nibbles */
};

ALWAYS_INLINE struct four_blocks load_four(enum elem type, const char *row) {
    const size_t bytes = block_bytes(type);
    struct four_blocks b = {.first = _mm512_loadu_si512(row)};
    if (type == ELEM_MXFP4)
        b.q = four_quarters(row + field_q(type), bytes);
    else
        b.last = _mm512_loadu_si512(row + QUAD * bytes - 64);
    return b;
}

/* Adds 16 to the bytes whose bits are set, each in the byte that `bytes` says. */
ALWAYS_INLINE __m512i with_fifth_bits(__m512i q, __m512i fifth, __m512i bytes) {
    const __m512i bit = _mm512_set1_epi64((int64_t)0x8040201008040201);
    __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(fifth, bytes), bit);
    return _mm512_mask_add_epi8(q, set, q, _mm512_set1_epi8(16));
}

/* The values of four blocks, offset(type) added: 0 .. 15 of each, and 16 .. 31. */
ALWAYS_INLINE void unpack_four(enum elem type, const struct four_blocks *row,
                               const struct places *p, __m512i *low, __m512i *high) {
    const __m512i bits4 = _mm512_set1_epi8(15);
    __m512i q = row->q;
    if (type != ELEM_MXFP4) q = _mm512_permutex2var_epi16(row->first, p->q, row->last);
    *low = _mm512_and_si512(q, bits4);
    *high = _mm512_and_si512(_mm512_srli_epi16(q, 4), bits4);
    if (type == ELEM_IQ4_NL || type == ELEM_MXFP4) {
        const __m128i levels =
            type == ELEM_MXFP4 ? _mm_setr_epi8(FP4_LEVELS) : _mm_setr_epi8(IQ4_LEVELS);
        *low = look_up(levels, *low);
        *high = look_up(levels, *high);
    }
    if (has_fifth_bits(type)) {
        const int64_t one = 0x0101010101010101;
        __m512i fifth = _mm512_permutex2var_epi16(row->first, p->fifth, row->last);
        *low = with_fifth_bits(*low, fifth, _mm512_broadcast_i32x4(_mm_set_epi64x(one, 0)));
        *high =
            with_fifth_bits(*high, fifth, _mm512_broadcast_i32x4(_mm_set_epi64x(9 * one, 8 * one)));
    }
}

/* Puts four blocks' scales, or minima, to word r of each quarter. */
ALWAYS_INLINE __m512i with_words(enum elem type, __m512i all, size_t r,
                                 const struct four_blocks *row, __m512i places) {
    const __mmask32 to = (__mmask32)0x01010101 << r;
    if (has_near_scales(type)) {
        const __mmask64 bytes = (__mmask64)0x0003000300030003 << 2 * r;
        return _mm512_mask_shuffle_epi8(all, bytes, row->first, places);
    }
    return _mm512_mask_mov_epi16(all, to, _mm512_permutex2var_epi16(row->first, places, row->last));
}

/* ---- multiplying ---- */

/* Of 16 rows' four blocks. */
struct quad {
    __m512i dots[PANEL_ROWS / ROWS_AT_ONCE]; /* lane r of quarter b: row r of four, block b */
    __m512i d[2], m[2];                      /* word r of quarter b: row r of eight, block b */
};

ALWAYS_INLINE void clear_scales(struct quad *q) {
    UNROLL for (int i = 0; i < 2; i++) q->d[i] = q->m[i] = _mm512_setzero_si512();
}

/* Lane r of each quarter: the sum of that quarter of row r. */
ALWAYS_INLINE __m512i sum_four(enum elem type, const __m512i dots[ROWS_AT_ONCE]) {
    const __m512i one = _mm512_set1_epi16(1);
    if (has_fifth_bits(type) || type == ELEM_IQ4_NL)
        return sum_halves(sum_neighbours(dots[0], dots[1]), sum_neighbours(dots[2], dots[3]));
    /* sums of 8 products, |x| <= 127 and |q| <= 15, and of 16 of them: they fit 16 bits */
    __m512i low = _mm512_madd_epi16(_mm512_packs_epi32(dots[0], dots[1]), one);
    __m512i high = _mm512_madd_epi16(_mm512_packs_epi32(dots[2], dots[3]), one);
    return _mm512_madd_epi16(_mm512_packs_epi32(low, high), one);
}

/* The part of a quad that belongs to rows r .. r + 3 of 16. */
ALWAYS_INLINE void multiply_rows(enum elem type, const char *const rows[PANEL_ROWS], size_t r,
                                 size_t at, const struct places *p, const struct row_token *t,
                                 struct quad *out) {
    __m512i dots[ROWS_AT_ONCE], d = out->d[r / 8], m = out->m[r / 8];
    UNROLL for (size_t k = 0; k < ROWS_AT_ONCE; k++) {
        struct four_blocks row = load_four(type, rows[r + k] + at);
        __m512i low, high;
        unpack_four(type, &row, p, &low, &high);
        d = with_words(type, d, (r + k) % 8, &row, p->d);
        if (has_minimum(type)) m = with_words(type, m, (r + k) % 8, &row, p->m);
        dots[k] = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(t->start, low, t->low), high, t->high);
    }
    out->dots[r / ROWS_AT_ONCE] = sum_four(type, dots);
    out->d[r / 8] = d;
    if (has_minimum(type)) out->m[r / 8] = m;
}

/* dots[b] lane 4 g + r <- w[g] lane r of quarter b */
ALWAYS_INLINE void quarters_to_vectors(const __m512i w[4], __m512i dots[QUAD]) {
    __m512i a = _mm512_shuffle_i32x4(w[0], w[1], 0x44), b = _mm512_shuffle_i32x4(w[2], w[3], 0x44);
    __m512i c = _mm512_shuffle_i32x4(w[0], w[1], 0xee), d = _mm512_shuffle_i32x4(w[2], w[3], 0xee);
    dots[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    dots[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    dots[2] = _mm512_shuffle_i32x4(c, d, 0x88);
    dots[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* Block b's words of 16 rows. */
ALWAYS_INLINE __m256i words_of_block(const __m512i words[2], int b) {
    const __m512i places = _mm512_setr_epi64(2 * b, 2 * b + 1, 8 + 2 * b, 9 + 2 * b, 0, 0, 0, 0);
    return _mm512_castsi512_si256(_mm512_permutex2var_epi64(words[0], places, words[1]));
}

#endif
