/* Linear layers of K super-blocks, IQ4_XS and TQ2_0 against ACT_Q8_K in AVX2. */
#include <immintrin.h>

#include "kernels/avx2_weights.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

/* Types whose minima have a scale of their own; others' share d. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

ALWAYS_INLINE int has_signs(enum elem type) {
    return type == ELEM_IQ4_XS;
}

ALWAYS_INLINE int offset(enum elem type) {
    (void)type;
    return 0;
}

ALWAYS_INLINE int group_values(enum elem type) {
    switch (type) {
    case ELEM_Q4_K:
    case ELEM_Q5_K: return 32;
    case ELEM_TQ2_0: return 256;
    default: return 16;
    }
}

ALWAYS_INLINE int quads_that_fit(enum elem type) {
    switch (type) {
    case ELEM_Q6_K: return 2; /* 2 * 63 * 127 each */
    case ELEM_Q4_K:
    case ELEM_TQ2_0: return 8; /* 2 * 15 * 127 */
    default: return 4;         /* 2 * 31 * 127 */
    }
}

/* q4_k_scales() of the 12 bytes, which lie before 4 others. */
ALWAYS_INLINE void load_q4_k_scales(const uint8_t packed[12], struct weights *w) {
    __m128i bytes = load128(packed), six = _mm_set1_epi8(0x3f), top = _mm_set1_epi8(0x30);
    __m128i low = _mm_shuffle_epi32(bytes, 0xaa);
    low = _mm_and_si128(_mm_srlv_epi32(low, _mm_setr_epi32(0, 4, 0, 4)), _mm_set1_epi8(15));
    __m128i late = _mm_or_si128(low, _mm_and_si128(_mm_srli_epi16(bytes, 2), top));
    __m128i scales = _mm_unpacklo_epi32(_mm_and_si128(bytes, six), late);
    w->scale = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(scales, scales));
    w->minima = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(scales, scales));
}

ALWAYS_INLINE void load_q4_k(const struct block_q4_k *b, struct weights *w) {
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i bytes = load256(b->q + 32 * j);
        w->q[2 * j] = moved(bytes, 0, 15);
        w->q[2 * j + 1] = moved(bytes, -4, 15);
    }
    load_q4_k_scales(b->scales, w);
    w->d = two_halves(&b->d);
}

ALWAYS_INLINE void load_q5_k(const struct block_q5_k *b, struct weights *w) {
    __m256i high = load256(b->high);
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i bytes = load256(b->q + 32 * j);
        w->q[2 * j] = _mm256_or_si256(moved(bytes, 0, 15), moved(high, 4 - 2 * j, 16));
        w->q[2 * j + 1] = _mm256_or_si256(moved(bytes, -4, 15), moved(high, 3 - 2 * j, 16));
    }
    load_q4_k_scales(b->scales, w);
    w->d = two_halves(&b->d);
}

ALWAYS_INLINE void load_q6_k(const struct block_q6_k *b, struct weights *w) {
    UNROLL for (int h = 0; h < 2; h++) {
        __m256i first = load256(b->q + 64 * h), second = load256(b->q + 64 * h + 32);
        __m256i high = load256(b->high + 32 * h);
        w->q[4 * h] = _mm256_or_si256(moved(first, 0, 15), moved(high, 4, 0x30));
        w->q[4 * h + 1] = _mm256_or_si256(moved(second, 0, 15), moved(high, 2, 0x30));
        w->q[4 * h + 2] = _mm256_or_si256(moved(first, -4, 15), moved(high, 0, 0x30));
        w->q[4 * h + 3] = _mm256_or_si256(moved(second, -4, 15), moved(high, -2, 0x30));
    }
    w->scale = _mm256_cvtepi8_epi16(load128(b->scales));
    w->minima = _mm256_slli_epi16(w->scale, 5); /* values are 32 too large */
    w->d = half_float(b->d);
}

ALWAYS_INLINE void load_q2_k(const struct block_q2_k *b, struct weights *w) {
    __m128i packed = load128(b->scales);
    __m128i scales = _mm_and_si128(packed, _mm_set1_epi8(15));
    __m128i minima = _mm_and_si128(_mm_srli_epi16(packed, 4), _mm_set1_epi8(15));
    load_two_bits(b->q, w->q);
    w->scale = _mm256_cvtepu8_epi16(scales);
    w->minima = _mm256_cvtepu8_epi16(minima);
    w->d = two_halves(&b->d);
}

/* q3_k_scales() of a block, of which the scales are all but the last two bytes. */
ALWAYS_INLINE __m128i load_q3_k_scales(const struct block_q3_k *b) {
    __m128i bytes = _mm_srli_si128(load128((const char *)(b + 1) - 16), 2);
    __m128i low = _mm_srlv_epi32(_mm_unpacklo_epi64(bytes, bytes), _mm_setr_epi32(0, 0, 4, 4));
    __m128i top = _mm_srlv_epi32(_mm_shuffle_epi32(bytes, 0xaa), _mm_setr_epi32(0, 2, 4, 6));
    top = _mm_slli_epi16(_mm_and_si128(top, _mm_set1_epi8(3)), 4);
    return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)), top);
}

ALWAYS_INLINE void load_q3_k(const struct block_q3_k *b, struct weights *w) {
    __m128i bytes = load_q3_k_scales(b);
    __m256i high = load256(b->high);
    load_two_bits(b->q, w->q);
    UNROLL for (int j = 0; j < 8; j++) w->q[j] = _mm256_or_si256(w->q[j], moved(high, 2 - j, 4));
    w->scale = _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), _mm256_set1_epi16(32));
    w->minima = _mm256_slli_epi16(w->scale, 2); /* values are 4 too large */
    w->d = half_float(b->d);
}

ALWAYS_INLINE void load_iq4_xs(const struct block_iq4_xs *b, struct weights *w) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(IQ4_LEVELS));
    UNROLL for (int j = 0; j < 8; j++) {
        __m128i bytes = load128(b->q + 16 * j);
        __m256i codes = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
        w->sign[j] = _mm256_shuffle_epi8(table, moved(codes, 0, 15));
        w->q[j] = _mm256_abs_epi8(w->sign[j]);
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
    w->d = half_float(b->d);
}

ALWAYS_INLINE void load_tq2_0(const struct block_tq2_0 *b, struct weights *w) {
    load_two_bits(b->q, w->q);
    w->scale = w->minima = _mm256_set1_epi16(1); /* values are 1 too large */
    w->d = half_float(b->d);
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

#include "kernels/avx2_super_many.h"

LINEAR_FROM_PANELS(linear_q2_k, ELEM_Q2_K)
LINEAR_FROM_PANELS(linear_q3_k, ELEM_Q3_K)
LINEAR_FROM_PANELS(linear_q4_k, ELEM_Q4_K)
LINEAR_FROM_PANELS(linear_q5_k, ELEM_Q5_K)
LINEAR_FROM_PANELS(linear_q6_k, ELEM_Q6_K)
LINEAR_FROM_GROUPS(linear_iq4_xs, ELEM_IQ4_XS, GROUP_ROWS)
LINEAR_FROM_PANELS(linear_tq2_0, ELEM_TQ2_0)

void avx2_fill_q8k(struct kernels *k) {
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}
