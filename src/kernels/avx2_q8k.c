/* Linear layers of K super-blocks, IQ4_XS and TQ2_0 against ACT_Q8_K in AVX2. */
#include <immintrin.h>

#include "kernels/avx2_weights.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

/* Types whose minima have a scale of their own; others' share d. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

ALWAYS_INLINE int has_minima(enum elem type) {
    return has_dmin(type);
}

ALWAYS_INLINE int has_signs(enum elem type) {
    return type == ELEM_IQ4_XS;
}

ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q3_K: return 4;
    case ELEM_Q6_K: return 32;
    case ELEM_TQ2_0: return 1;
    default: return 0;
    }
}

ALWAYS_INLINE int group_values(enum elem type) {
    switch (type) {
    case ELEM_Q4_K:
    case ELEM_Q5_K:
    case ELEM_IQ4_XS: return 32;
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

ALWAYS_INLINE int parts(enum elem type) {
    (void)type;
    return 2;
}

/* ---- values 128 h .. 128 h + 127 of a block ---- */

ALWAYS_INLINE void q4_k_values(const struct block_q4_k *b, int h, __m256i q[4]) {
    UNROLL for (int j = 0; j < 2; j++) {
        __m256i bytes = load256(b->q + 64 * h + 32 * j);
        q[2 * j] = moved(bytes, 0, 15);
        q[2 * j + 1] = moved(bytes, -4, 15);
    }
}

ALWAYS_INLINE void q5_k_values(const struct block_q5_k *b, int h, __m256i q[4]) {
    __m256i high = load256(b->high);
    UNROLL for (int j = 0; j < 2; j++) {
        __m256i bytes = load256(b->q + 64 * h + 32 * j);
        int up = 4 - 4 * h - 2 * j;
        q[2 * j] = _mm256_or_si256(moved(bytes, 0, 15), moved(high, up, 16));
        q[2 * j + 1] = _mm256_or_si256(moved(bytes, -4, 15), moved(high, up - 1, 16));
    }
}

ALWAYS_INLINE void q6_k_values(const struct block_q6_k *b, int h, __m256i q[4]) {
    __m256i high = load256(b->high + 32 * h);
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i bytes = load256(b->q + 64 * h + j % 2 * 32);
        q[j] = _mm256_or_si256(moved(bytes, j / 2 * -4, 15), moved(high, 4 - 2 * j, 0x30));
    }
}

ALWAYS_INLINE void q3_k_values(const struct block_q3_k *b, int h, __m256i q[4]) {
    __m256i high = load256(b->high);
    load_two_bits(b->q + 32 * h, q);
    UNROLL for (int j = 0; j < 4; j++) q[j] = _mm256_or_si256(q[j], moved(high, 2 - 4 * h - j, 4));
}

ALWAYS_INLINE void iq4_xs_values(const struct block_iq4_xs *b, int h, struct weights *w) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(IQ4_LEVELS));
    const __m256i magnitudes = _mm256_abs_epi8(table);
    const __m256i high_half = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i twice = _mm256_broadcastsi128_si256(load128(b->q + 64 * h + 16 * j));
        __m256i codes = moved(_mm256_srlv_epi32(twice, high_half), 0, 15);
        w->sign[j] = _mm256_shuffle_epi8(table, codes);
        w->q[j] = _mm256_shuffle_epi8(magnitudes, codes);
    }
}

ALWAYS_INLINE void load_values(enum elem type, const void *block, int h, struct weights *w) {
    switch (type) {
    case ELEM_Q2_K: load_two_bits(((const struct block_q2_k *)block)->q + 32 * h, w->q); break;
    case ELEM_Q3_K: q3_k_values(block, h, w->q); break;
    case ELEM_Q4_K: q4_k_values(block, h, w->q); break;
    case ELEM_Q5_K: q5_k_values(block, h, w->q); break;
    case ELEM_Q6_K: q6_k_values(block, h, w->q); break;
    case ELEM_IQ4_XS: iq4_xs_values(block, h, w); break;
    default: load_two_bits(((const struct block_tq2_0 *)block)->q + 32 * h, w->q); break;
    }
}

/* ---- scales ---- */

/* Bytes a and b of each lane, signed, to its words. */
ALWAYS_INLINE __m256i words_of(__m256i bytes, int a, int b) {
    const __m128i lanes = _mm_setr_epi32(0, 0x04000400, 0x08000800, 0x0c000c00);
    __m128i places = _mm_add_epi32(lanes, _mm_set1_epi32(0x00800080 | a << 8 | b << 24));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(places)), 8);
}

/* Words of 16 bytes, four of them in each lane of bytes[k]. */
ALWAYS_INLINE void words_of_16(const __m256i bytes[4], __m256i words[8]) {
    UNROLL for (int j = 0; j < 8; j++) words[j] = words_of(bytes[j / 2], j % 2 * 2, j % 2 * 2 + 1);
}

/* See q4_k_scales(). */
ALWAYS_INLINE void load_q4_k_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    __m256i fours[4], scales[2], minima[2];
    load_fours(rows, at, fours);
    two_halves(fours[0], &s->d, &s->dmin);
    scales[0] = moved(fours[1], 0, 0x3f);
    minima[0] = moved(fours[2], 0, 0x3f);
    scales[1] = _mm256_or_si256(moved(fours[3], 0, 15), moved(fours[1], -2, 0x30));
    minima[1] = _mm256_or_si256(moved(fours[3], -4, 15), moved(fours[2], -2, 0x30));
    UNROLL for (int j = 0; j < 8; j++) s->group[j] = words_of(scales[j / 4], j % 4, j % 4);
    UNROLL for (int j = 0; j < 4; j++) s->minima[j] =
        words_of(minima[j / 2], j % 2 * 2, j % 2 * 2 + 1);
}

ALWAYS_INLINE void load_q6_k_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    __m256i fours[4];
    load_fours(rows, at + offsetof(struct block_q6_k, scales), fours);
    words_of_16(fours, s->group);
    s->d = half_floats(rows, at + offsetof(struct block_q6_k, d));
}

ALWAYS_INLINE void load_q2_k_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    __m256i fours[4], scales[4], minima[4];
    load_fours(rows, at + offsetof(struct block_q2_k, scales), fours);
    UNROLL for (int k = 0; k < 4; k++) {
        scales[k] = moved(fours[k], 0, 15);
        minima[k] = moved(fours[k], -4, 15);
    }
    words_of_16(scales, s->group);
    words_of_16(minima, s->minima);
    two_halves(load_heads(rows, at + offsetof(struct block_q2_k, d)), &s->d, &s->dmin);
}

/* See q3_k_scales(). The scales are all but the last two bytes of a block, d. */
ALWAYS_INLINE void load_q3_k_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    __m256i fours[4], scales[4];
    load_fours(rows, at + offsetof(struct block_q3_k, scales) - 4, fours);
    UNROLL for (int k = 0; k < 4; k++) {
        scales[k] = _mm256_or_si256(moved(fours[1 + k % 2], k / 2 * -4, 15),
                                    moved(fours[3], 4 - 2 * k, 0x30));
        scales[k] = _mm256_sub_epi8(scales[k], _mm256_set1_epi8(32));
    }
    words_of_16(scales, s->group);
    s->d = half_floats(rows, at + offsetof(struct block_q3_k, d));
}

/* See iq4_xs_scale(). */
ALWAYS_INLINE void load_iq4_xs_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    __m256i fours[4], scales[2];
    __m256 unused;
    load_fours(rows, at, fours);
    two_halves(fours[0], &s->d, &unused);
    /* scales_high: two fields of two bits to a byte */
    __m256i high = _mm256_srli_epi32(fours[0], 16);
    high = _mm256_or_si256(high, _mm256_slli_epi32(high, 8));
    high = _mm256_and_si256(high, _mm256_set1_epi32(0x00ff00ff));
    high = moved(_mm256_or_si256(high, _mm256_slli_epi32(high, 4)), 0, 15);
    UNROLL for (int k = 0; k < 2; k++) {
        scales[k] = _mm256_or_si256(moved(fours[1], k * -4, 15), moved(high, 4 - 2 * k, 0x30));
        scales[k] = _mm256_sub_epi8(scales[k], _mm256_set1_epi8(32));
    }
    UNROLL for (int j = 0; j < 8; j++) s->group[j] = words_of(scales[j % 2], j / 2, j / 2);
}

ALWAYS_INLINE void load_tq2_0_scales(const char *const rows[LANES], size_t at, struct scales *s) {
    UNROLL for (int j = 0; j < 8; j++) s->group[j] = _mm256_set1_epi16(1);
    s->d = half_floats(rows, at + offsetof(struct block_tq2_0, d));
}

ALWAYS_INLINE void load_scales(enum elem type, const char *const rows[LANES], size_t at,
                               struct scales *s) {
    switch (type) {
    case ELEM_Q2_K: load_q2_k_scales(rows, at, s); break;
    case ELEM_Q3_K: load_q3_k_scales(rows, at, s); break;
    case ELEM_Q4_K:
    case ELEM_Q5_K: load_q4_k_scales(rows, at, s); break;
    case ELEM_Q6_K: load_q6_k_scales(rows, at, s); break;
    case ELEM_IQ4_XS: load_iq4_xs_scales(rows, at, s); break;
    default: load_tq2_0_scales(rows, at, s); break;
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
