/* avx512_blocks.h - blocks of 32 values of 16 rows, unpacked to vectors whose lanes are the rows;
 * part of a source file, after its own includes.
 *
 * Values are unsigned: offset(type) is added to a type's values to make them so. */
#ifndef HEARTH_KERNELS_AVX512_BLOCKS_H
#define HEARTH_KERNELS_AVX512_BLOCKS_H

#include <immintrin.h>

#include "kernels/avx512_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/linear_tile.h"

enum { PANEL_ROWS = 16, UNPACK_STEPS = 8 };

/* What is added to the weights to make them unsigned. */
ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return 8;
    case ELEM_Q5_0: return 16;
    case ELEM_Q4_1:
    case ELEM_Q5_1: return 0;
    default: return 128;
    }
}

ALWAYS_INLINE int has_minimum(enum elem type) {
    return type == ELEM_Q4_1 || type == ELEM_Q5_1;
}

ALWAYS_INLINE int has_fifth_bits(enum elem type) {
    return type == ELEM_Q5_0 || type == ELEM_Q5_1;
}

/* One block of 16 rows. */
struct unpacked {
    __m512i q[8]; /* values 4 j .. 4 j + 3 of each row, offset(type) added */
    __m512 d, m;
};

ALWAYS_INLINE size_t field_q(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return offsetof(struct block_q4_0, q);
    case ELEM_Q4_1: return offsetof(struct block_q4_1, q);
    case ELEM_Q5_0: return offsetof(struct block_q5_0, q);
    case ELEM_Q5_1: return offsetof(struct block_q5_1, q);
    case ELEM_Q8_0: return offsetof(struct block_q8_0, q);
    case ELEM_IQ4_NL: return offsetof(struct block_iq4_nl, q);
    default: return offsetof(struct block_mxfp4, q);
    }
}

/* A block on its way from 16 rows to columns, see load_columns(). */
struct unpacking {
    __m512i rows[4], pairs[4];
    __m256i heads[2]; /* the first four bytes of the block */
    __m512i fifth;    /* Q5: the top bits of a row's values */
};

/* Values + 128 of 4-bit codes. */
ALWAYS_INLINE __m512i look_up(__m128i values, __m512i codes) {
    __m512i table = _mm512_broadcast_i32x4(_mm_xor_si128(values, _mm_set1_epi8(-128)));
    return _mm512_shuffle_epi8(table, codes);
}

/* Bits 4 j .. 4 j + 3 of a lane go to bit 4 of the lane's bytes: multiplying copies them
 * to every seventh bit, where no two meet. */
ALWAYS_INLINE __m512i add_fifth_bits(__m512i fifth, int j, __m512i q) {
    const __m512i copies = _mm512_set1_epi32(0x00204081 << 4);
    __m512i four =
        _mm512_and_si512(_mm512_srli_epi32(fifth, (unsigned)(4 * j)), _mm512_set1_epi32(15));
    return or_masked(q, _mm512_mullo_epi32(four, copies), _mm512_set1_epi8(16));
}

/* Values 4 j .. 4 j + 3 of each row from their nibbles. */
ALWAYS_INLINE __m512i values_of(enum elem type, const struct unpacking *u, __m512i nibbles, int j) {
    __m512i q = _mm512_and_si512(nibbles, _mm512_set1_epi8(15));
    switch (type) {
    case ELEM_IQ4_NL: return look_up(_mm_setr_epi8(IQ4_LEVELS), q);
    case ELEM_MXFP4: return look_up(_mm_setr_epi8(FP4_LEVELS), q);
    case ELEM_Q5_0:
    case ELEM_Q5_1: return add_fifth_bits(u->fifth, j, q);
    default: return q;
    }
}

/* e8m0_half of the exponents in bytes 0 of 16 halves */
ALWAYS_INLINE __m512 exponent_scales(__m256i heads) {
    __m512i e = _mm512_and_si512(_mm512_cvtepu16_epi32(heads), _mm512_set1_epi32(255));
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __mmask16 tiny = _mm512_cmplt_epu32_mask(e, _mm512_set1_epi32(2));
    bits = _mm512_mask_sllv_epi32(bits, tiny, _mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(bits);
}

/* Of halves, or of what MXFP4 has. */
ALWAYS_INLINE __m512 scales_of(enum elem type, __m256i halves) {
    return type == ELEM_MXFP4 ? exponent_scales(halves) : _mm512_cvtph_ps(halves);
}

/* The scale, and the half after it where that is a minimum. */
ALWAYS_INLINE void unpack_scales(enum elem type, const struct unpacking *u, struct unpacked *out) {
    out->d = scales_of(type, first_halves(u->heads));
    if (has_minimum(type)) out->m = scales_of(type, last_halves(u->heads));
}

ALWAYS_INLINE void load_heads(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                              int first, int end, struct unpacking *u) {
    add_even_odd(rows, at, first, end, u->heads);
    if (!has_fifth_bits(type)) return;
    UNROLL for (int r = first; r < end; r++) u->fifth =
        with_head(u->fifth, r, rows[r] + at + field_q(type) - 4);
}

/* Half of a block of bytes takes four steps. */
ALWAYS_INLINE void unpack_bytes(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                                int step, struct unpacking *u, struct unpacked *out) {
    const int half = step / 4, part = step % 4;
    load_heads(type, rows, at, 2 * step, 2 * step + 2, u);
    if (part < 2) {
        at += field_q(type) + 16 * (size_t)half;
        UNROLL for (int k = 2 * part; k < 2 * part + 2; k++) u->rows[k] =
            load_four_rows(rows, at, k);
    } else if (part == 2) {
        pair_columns(u->rows, u->pairs);
    } else {
        __m512i *q = out->q + 4 * half;
        UNROLL for (int k = 0; k < 2; k++) split_pair(u->pairs, k, q + 2 * k);
        UNROLL for (int j = 0; j < 4; j++) q[j] = _mm512_xor_si512(q[j], _mm512_set1_epi8(-128));
    }
    if (step == UNPACK_STEPS - 1) unpack_scales(type, u, out);
}

ALWAYS_INLINE void unpack_nibbles(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                                  int step, struct unpacking *u, struct unpacked *out) {
    if (step < 4) {
        u->rows[step] = load_four_rows(rows, at + field_q(type), step);
        load_heads(type, rows, at, 4 * step, 4 * step + 4, u);
    } else if (step == 4) {
        pair_columns(u->rows, u->pairs);
        unpack_scales(type, u, out);
    } else if (step < 7) {
        const int k = step - 5;
        __m512i columns[2];
        split_pair(u->pairs, k, columns);
        UNROLL for (int j = 2 * k; j < 2 * k + 2; j++) {
            out->q[j] = values_of(type, u, columns[j % 2], j);
            out->q[4 + j] = values_of(type, u, _mm512_srli_epi16(columns[j % 2], 4), 4 + j);
        }
    }
}

/* One of UNPACK_STEPS parts, of about the same work, of unpacking the block at byte `at`
 * of each row. */
ALWAYS_INLINE void unpack_step(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                               int step, struct unpacking *u, struct unpacked *out) {
    if (step == 0) {
        u->heads[0] = u->heads[1] = _mm256_setzero_si256();
        u->fifth = _mm512_setzero_si512();
    }
    if (type == ELEM_Q8_0)
        unpack_bytes(type, rows, at, step, u, out);
    else
        unpack_nibbles(type, rows, at, step, u, out);
}

ALWAYS_INLINE void unpack(enum elem type, const char *const rows[PANEL_ROWS], size_t at,
                          struct unpacked *out) {
    struct unpacking u;
    UNROLL for (int step = 0; step < UNPACK_STEPS; step++)
        unpack_step(type, rows, at, step, &u, out);
}

#endif
