/* amx_super.h - super-blocks of 256 values as bytes with a scale per 16 values. */
#ifndef HEARTH_KERNELS_AMX_SUPER_H
#define HEARTH_KERNELS_AMX_SUPER_H

#include <immintrin.h>
#include <stddef.h>

#include "kernels/avx512_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

struct weights {
    __m512i q[4];   /* 256 values, unsigned */
    __m256i scale;  /* per 16 values */
    __m256i minima; /* per 16 values: subtracted times the sum of the activations */
};

ALWAYS_INLINE __m128i scale_bytes(union k_scales scales) {
    const uint32_t *w = scales.words;
    return _mm_setr_epi32((int)w[0], (int)w[1], (int)w[2], (int)w[3]);
}

/* Types whose minima have a scale of their own; others' share d. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

/* 32 bytes, shifted right by `low` bits, then again by `high`. */
ALWAYS_INLINE __m512i two_shifts(const void *p, int low, int high) {
    const __m512i shifts = _mm512_setr_epi64(low, low, low, low, high, high, high, high);
    return _mm512_srlv_epi64(_mm512_broadcast_i64x4(load256(p)), shifts);
}

ALWAYS_INLINE void load_q4_k_scales(const uint8_t packed[12], struct weights *w) {
    __m128i scales = scale_bytes(q4_k_scales(packed));
    w->scale = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(scales, scales));
    w->minima = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(scales, scales));
}

ALWAYS_INLINE void load_q4_k(const struct block_q4_k *b, struct weights *w) {
    UNROLL for (int j = 0; j < 4; j++) w->q[j] =
        _mm512_and_si512(two_shifts(b->q + 32 * j, 0, 4), _mm512_set1_epi8(15));
    load_q4_k_scales(b->scales, w);
}

ALWAYS_INLINE void load_q5_k(const struct block_q5_k *b, struct weights *w) {
    __m512i high = two_shifts(b->high, 0, 1);
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i low = _mm512_and_si512(two_shifts(b->q + 32 * j, 0, 4), _mm512_set1_epi8(15));
        __mmask64 fifth = _mm512_test_epi8_mask(high, _mm512_set1_epi8((char)(1 << 2 * j)));
        w->q[j] = _mm512_mask_add_epi8(low, fifth, low, _mm512_set1_epi8(16));
    }
    load_q4_k_scales(b->scales, w);
}

ALWAYS_INLINE void load_q6_k(const struct block_q6_k *b, struct weights *w) {
    const __m512i nibble = _mm512_set1_epi8(15), top = _mm512_set1_epi8(0x30);
    const __m512i up = _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2);
    UNROLL for (int h = 0; h < 2; h++) {
        __m512i low = _mm512_loadu_si512(b->q + 64 * h);
        __m512i high = _mm512_broadcast_i64x4(load256(b->high + 32 * h));
        w->q[2 * h] = or_masked(_mm512_and_si512(low, nibble), _mm512_sllv_epi64(high, up), top);
        w->q[2 * h + 1] = or_masked(_mm512_and_si512(_mm512_srli_epi16(low, 4), nibble),
                                    two_shifts(b->high + 32 * h, 0, 2), top);
    }
    __m256i scales =
        _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b->scales));
    w->scale = scales;
    w->minima = _mm256_slli_epi16(scales, 5); /* values are 32 too large */
}

ALWAYS_INLINE void load_two_bits(const uint8_t codes[64], __m512i q[4]) {
    UNROLL for (int h = 0; h < 2; h++) {
        UNROLL for (int j = 0; j < 2; j++) q[2 * h + j] =
            _mm512_and_si512(two_shifts(codes + 32 * h, 4 * j, 4 * j + 2), _mm512_set1_epi8(3));
    }
}

ALWAYS_INLINE void load_q2_k(const struct block_q2_k *b, struct weights *w) {
    __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)b->scales);
    __m128i scales = _mm_and_si128(packed, _mm_set1_epi8(15));
    __m128i minima = _mm_and_si128(_mm_srli_epi16(packed, 4), _mm_set1_epi8(15));
    load_two_bits(b->q, w->q);
    w->scale = _mm256_cvtepu8_epi16(scales);
    w->minima = _mm256_cvtepu8_epi16(minima);
}

ALWAYS_INLINE void load_q3_k(const struct block_q3_k *b, struct weights *w) {
    __m128i bytes = scale_bytes(q3_k_scales(b->scales));
    __m256i scales = _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), _mm256_set1_epi16(32));
    __m512i high = two_shifts(b->high, 0, 1);
    load_two_bits(b->q, w->q);
    UNROLL for (int j = 0; j < 4; j++) {
        __mmask64 third = _mm512_test_epi8_mask(high, _mm512_set1_epi8((char)(1 << 2 * j)));
        w->q[j] = _mm512_mask_add_epi8(w->q[j], third, w->q[j], _mm512_set1_epi8(4));
    }
    w->scale = scales;
    w->minima = _mm256_slli_epi16(scales, 2); /* values are 4 too large */
}

ALWAYS_INLINE void load_iq4_xs(const struct block_iq4_xs *b, struct weights *w) {
    const __m512i shifts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    const __m128i values = _mm_xor_si128(_mm_setr_epi8(IQ4_LEVELS), _mm_set1_epi8(-128));
    const __m512i table = _mm512_broadcast_i32x4(values);
    const __m512i twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i bytes = _mm512_castsi256_si512(load256(b->q + 32 * j));
        __m512i codes = _mm512_srlv_epi64(_mm512_permutexvar_epi64(twice, bytes), shifts);
        w->q[j] = _mm512_shuffle_epi8(table, _mm512_and_si512(codes, _mm512_set1_epi8(15)));
    }
    int low;
    memcpy(&low, b->scales_low, 4);
    const __m256i low_shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i high_shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i l = _mm256_srlv_epi32(_mm256_set1_epi32(low), low_shifts);
    __m256i h = _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_high), high_shifts);
    l = _mm256_and_si256(l, _mm256_set1_epi32(15));
    h = _mm256_slli_epi32(_mm256_and_si256(h, _mm256_set1_epi32(3)), 4);
    l = _mm256_sub_epi32(_mm256_or_si256(l, h), _mm256_set1_epi32(32));
    w->scale = _mm256_or_si256(_mm256_and_si256(l, _mm256_set1_epi32(0xffff)),
                               _mm256_slli_epi32(l, 16)); /* each for two groups */
    w->minima = _mm256_slli_epi16(w->scale, 7);           /* values are 128 too large */
}

ALWAYS_INLINE void load_tq2_0(const struct block_tq2_0 *b, struct weights *w) {
    load_two_bits(b->q, w->q);
    w->scale = w->minima = _mm256_set1_epi16(1);
}

ALWAYS_INLINE void load_weights(enum elem type, const void *block, struct weights *w) {
    switch (type) {
    case ELEM_Q2_K: load_q2_k(block, w); break;
    case ELEM_Q3_K: load_q3_k(block, w); break;
    case ELEM_Q4_K: load_q4_k(block, w); break;
    case ELEM_Q5_K: load_q5_k(block, w); break;
    case ELEM_Q6_K: load_q6_k(block, w); break;
    case ELEM_IQ4_XS: load_iq4_xs(block, w); break;
    default: load_tq2_0(block, w); break;
    }
}

/* Where a block keeps its scale, and the scale of its minima where it has one. */
ALWAYS_INLINE const char *scale_of(enum elem type, const char *block) {
    switch (type) {
    case ELEM_Q2_K: return block + offsetof(struct block_q2_k, d);
    case ELEM_Q3_K: return block + offsetof(struct block_q3_k, d);
    case ELEM_Q6_K: return block + offsetof(struct block_q6_k, d);
    case ELEM_TQ2_0: return block + offsetof(struct block_tq2_0, d);
    default: return block;
    }
}

ALWAYS_INLINE float half(enum elem type, const char *block, int i) {
    uint16_t d;
    memcpy(&d, scale_of(type, block) + 2 * i, sizeof d);
    return _cvtsh_ss(d);
}

#endif
