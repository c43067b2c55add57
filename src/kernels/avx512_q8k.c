/* Linear layers of 256-value blocks against ACT_Q8_K in AVX-512 VNNI.
 *
 * A block is taken as 4 vectors of 64 values with 16-bit scales. Products of two
 * neighbours are summed to 16 bits (VPMADDUBSW, which cannot saturate here: weights
 * are at most 63, or signed ones are given as magnitudes with their signs moved to the
 * activations), then scaled and summed to 32 bits (VPDPWSSD). What a type subtracts
 * per group of 16 values is taken from the sums of the activations. Integer sums of a
 * block are exact. */
#include <immintrin.h>

#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

struct weights {
    __m512i q[4];      /* unsigned, 64 values each */
    __m512i scale[4];  /* by pairs of values */
    __mmask64 sign[4]; /* iq4_xs only: values that are negative */
    __m256i minima;    /* by groups of 16; to be subtracted times the group's sum */
    __m512 d, dmin;
};

/* Types whose minima have a scale of their own; others' share d. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

ALWAYS_INLINE int has_signs(enum elem type) {
    return type == ELEM_IQ4_XS;
}

ALWAYS_INLINE __m512 half(uint16_t d) {
    return _mm512_set1_ps(_cvtsh_ss(d));
}

ALWAYS_INLINE __m256i load256(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* 32 bytes, shifted right by `low` bits, then again by `high`. */
ALWAYS_INLINE __m512i two_shifts(const void *p, int low, int high) {
    const __m512i shifts = _mm512_setr_epi64(low, low, low, low, high, high, high, high);
    return _mm512_srlv_epi64(_mm512_broadcast_i64x4(load256(p)), shifts);
}

/* a | (b & mask) */
ALWAYS_INLINE __m512i or_masked(__m512i a, __m512i b, __m512i mask) {
    return _mm512_ternarylogic_epi64(a, b, mask, 0xf8);
}

/* Spreads 16 scales, one per 16 values, over the 8 pairs of each. */
ALWAYS_INLINE void spread_16(__m256i scales, __m512i out[4]) {
    const __m512i each = _mm512_set_epi16(3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1,
                                          1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    UNROLL for (int j = 0; j < 4; j++) out[j] = _mm512_permutexvar_epi16(
        _mm512_add_epi16(each, _mm512_set1_epi16((short)(4 * j))), _mm512_castsi256_si512(scales));
}

/* Spreads 8 scales, one per 32 values. */
ALWAYS_INLINE void spread_8(__m128i scales, __m512i out[4]) {
    const __m512i each = _mm512_set_epi16(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0,
                                          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    UNROLL for (int j = 0; j < 4; j++) out[j] = _mm512_permutexvar_epi16(
        _mm512_add_epi16(each, _mm512_set1_epi16((short)(2 * j))), _mm512_castsi128_si512(scales));
}

ALWAYS_INLINE __m128i scale_bytes(union k_scales scales) {
    const uint32_t *w = scales.words;
    return _mm_setr_epi32((int)w[0], (int)w[1], (int)w[2], (int)w[3]);
}

ALWAYS_INLINE void load_q4_k_scales(const uint8_t packed[12], struct weights *w) {
    __m128i scales = scale_bytes(q4_k_scales(packed));
    spread_8(_mm_cvtepu8_epi16(scales), w->scale);
    w->minima = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(scales, scales));
}

ALWAYS_INLINE void load_q4_k(const struct block_q4_k *b, struct weights *w) {
    UNROLL for (int j = 0; j < 4; j++) w->q[j] =
        _mm512_and_si512(two_shifts(b->q + 32 * j, 0, 4), _mm512_set1_epi8(15));
    load_q4_k_scales(b->scales, w);
    w->d = half(b->d);
    w->dmin = half(b->dmin);
}

ALWAYS_INLINE void load_q5_k(const struct block_q5_k *b, struct weights *w) {
    __m512i high = two_shifts(b->high, 0, 1);
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i low = _mm512_and_si512(two_shifts(b->q + 32 * j, 0, 4), _mm512_set1_epi8(15));
        __mmask64 fifth = _mm512_test_epi8_mask(high, _mm512_set1_epi8((char)(1 << 2 * j)));
        w->q[j] = _mm512_mask_add_epi8(low, fifth, low, _mm512_set1_epi8(16));
    }
    load_q4_k_scales(b->scales, w);
    w->d = half(b->d);
    w->dmin = half(b->dmin);
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
    spread_16(scales, w->scale);
    w->minima = _mm256_slli_epi16(scales, 5); /* values are 32 too large */
    w->d = half(b->d);
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
    spread_16(_mm256_cvtepu8_epi16(scales), w->scale);
    w->minima = _mm256_cvtepu8_epi16(minima);
    w->d = half(b->d);
    w->dmin = half(b->dmin);
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
    spread_16(scales, w->scale);
    w->minima = _mm256_slli_epi16(scales, 2); /* values are 4 too large */
    w->d = half(b->d);
}

ALWAYS_INLINE void load_iq4_xs(const struct block_iq4_xs *b, struct weights *w) {
    const __m512i shifts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(IQ4_LEVELS));
    const __m512i twice = _mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3);
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i bytes = _mm512_castsi256_si512(load256(b->q + 32 * j));
        __m512i codes = _mm512_srlv_epi64(_mm512_permutexvar_epi64(twice, bytes), shifts);
        __m512i values = _mm512_shuffle_epi8(table, _mm512_and_si512(codes, _mm512_set1_epi8(15)));
        w->q[j] = _mm512_abs_epi8(values);
        w->sign[j] = _mm512_movepi8_mask(values);
    }
    uint32_t low;
    memcpy(&low, b->scales_low, 4);
    const __m256i low_shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i high_shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i l = _mm256_srlv_epi32(_mm256_set1_epi32((int)low), low_shifts);
    __m256i h = _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_high), high_shifts);
    l = _mm256_and_si256(l, _mm256_set1_epi32(15));
    h = _mm256_slli_epi32(_mm256_and_si256(h, _mm256_set1_epi32(3)), 4);
    l = _mm256_sub_epi32(_mm256_or_si256(l, h), _mm256_set1_epi32(32));
    spread_8(_mm256_cvtepi32_epi16(l), w->scale);
    w->minima = _mm256_setzero_si256();
    w->d = half(b->d);
}

ALWAYS_INLINE void load_tq2_0(const struct block_tq2_0 *b, struct weights *w) {
    load_two_bits(b->q, w->q);
    UNROLL for (int j = 0; j < 4; j++) w->scale[j] = _mm512_set1_epi16(1);
    w->minima = _mm256_set1_epi16(1);
    w->d = half(b->d);
}

ALWAYS_INLINE struct weights load_weights(enum elem type, const char *row, size_t i) {
    struct weights w;
    const void *block = row + i * block_bytes(type);
    switch (type) {
    case ELEM_Q2_K: load_q2_k(block, &w); break;
    case ELEM_Q3_K: load_q3_k(block, &w); break;
    case ELEM_Q4_K: load_q4_k(block, &w); break;
    case ELEM_Q5_K: load_q5_k(block, &w); break;
    case ELEM_Q6_K: load_q6_k(block, &w); break;
    case ELEM_IQ4_XS: load_iq4_xs(block, &w); break;
    default: load_tq2_0(block, &w); break;
    }
    return w;
}

ALWAYS_INLINE __m512 add_block(enum elem type, const struct weights *w, const struct act_q8k *x,
                               __m512 sum) {
    __m256i below = _mm256_madd_epi16(w->minima, load256(x->sums));
    __m512i zero = _mm512_setzero_si512(), minima = _mm512_zextsi256_si512(below);
    __m512i dot = has_dmin(type) || has_signs(type) ? zero : _mm512_sub_epi32(zero, minima);
    __m512 scale = _mm512_set1_ps(x->scale);
    UNROLL for (int j = 0; j < 4; j++) {
        __m512i q = _mm512_loadu_si512(x->q + 64 * j);
        if (has_signs(type)) q = _mm512_mask_sub_epi8(q, w->sign[j], zero, q);
        dot = _mm512_dpwssd_epi32(dot, _mm512_maddubs_epi16(w->q[j], q), w->scale[j]);
    }
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(w->d, scale), sum);
    if (has_dmin(type))
        sum = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(minima), _mm512_mul_ps(w->dmin, scale), sum);
    return sum;
}

enum { MOST_ROWS = 4, MOST_TOKENS = 8 };

ALWAYS_INLINE void q8k_tile(enum elem type, int rows, int tokens, struct tile a) {
    __m512 sums[MOST_ROWS][MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i < a.n / 256; i++) {
        UNROLL for (int r = 0; r < rows; r++) {
            struct weights w = load_weights(type, a.w + (size_t)r * a.w_stride, i);
            UNROLL for (int t = 0; t < tokens; t++) {
                const char *row = a.x + (size_t)t * a.x_stride;
                sums[r][t] =
                    add_block(type, &w, (const struct act_q8k *)(const void *)row + i, sums[r][t]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            _mm512_reduce_add_ps(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_q2_k, q8k_tile, ELEM_Q2_K, 1, 8, 1)
LINEAR_FROM_TILE(linear_q3_k, q8k_tile, ELEM_Q3_K, 1, 8, 1)
LINEAR_FROM_TILE(linear_q4_k, q8k_tile, ELEM_Q4_K, 1, 8, 1)
LINEAR_FROM_TILE(linear_q5_k, q8k_tile, ELEM_Q5_K, 1, 8, 1)
LINEAR_FROM_TILE(linear_q6_k, q8k_tile, ELEM_Q6_K, 1, 8, 1)
LINEAR_FROM_TILE(linear_iq4_xs, q8k_tile, ELEM_IQ4_XS, 1, 8, 1)
LINEAR_FROM_TILE(linear_tq2_0, q8k_tile, ELEM_TQ2_0, 1, 8, 1)

void avx512_fill_q8k(struct kernels *k) {
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}
