/* Linear layers of 256-value blocks against ACT_Q8_K in AVX2.
 *
 * A block is taken as 8 vectors of 32 values. Products of two neighbours are summed
 * to 16 bits (VPMADDUBSW, which cannot saturate here: weights are at most 63, or
 * magnitudes with their signs moved to the activations), then scaled and summed to 32
 * bits (VPMADDWD). What a type subtracts per group of 16 values is taken from the sums
 * of the activations. Integer sums of a block are exact. */
#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

struct weights {
    __m256i q[8];     /* 32 values each, unsigned or magnitudes */
    __m256i sign[8];  /* iq4_xs only: the values with their signs */
    __m256i scale[8]; /* by pairs of values */
    __m256i minima;   /* by groups of 16; to be subtracted times the group's sum */
    __m256 d, dmin;
};

/* Types whose minima have a scale of their own; others' share d. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

ALWAYS_INLINE int has_signs(enum elem type) {
    return type == ELEM_IQ4_XS;
}

ALWAYS_INLINE __m256 half(uint16_t d) {
    return _mm256_cvtph_ps(_mm_set1_epi16((short)d));
}

/* Bits of v moved by `up` (down, if negative) and masked. */
ALWAYS_INLINE __m256i moved(__m256i v, int up, int mask) {
    __m256i bits = up >= 0 ? _mm256_slli_epi16(v, up) : _mm256_srli_epi16(v, -up);
    return _mm256_and_si256(bits, _mm256_set1_epi8((char)mask));
}

/* Spreads 16 scales, one per 16 values: a half vector each. */
ALWAYS_INLINE void spread_16(__m256i scales, __m256i out[8]) {
    const __m256i first = _mm256_set_m128i(_mm_set1_epi16(0x0302), _mm_set1_epi16(0x0100));
    __m256i halves[2] = {_mm256_permute4x64_epi64(scales, 0x44),
                         _mm256_permute4x64_epi64(scales, 0xee)};
    UNROLL for (int j = 0; j < 8; j++) out[j] = _mm256_shuffle_epi8(
        halves[j / 4], _mm256_add_epi8(first, _mm256_set1_epi8((char)(4 * (j % 4)))));
}

/* Spreads 8 scales, one per 32 values: a vector each. */
ALWAYS_INLINE void spread_8(__m128i scales, __m256i out[8]) {
    __m256i both = _mm256_broadcastsi128_si256(scales);
    UNROLL for (int j = 0; j < 8; j++) out[j] =
        _mm256_shuffle_epi8(both, _mm256_set1_epi16((short)(0x0100 + 0x0202 * j)));
}

ALWAYS_INLINE void load_q4_k_scales(const uint8_t packed[12], struct weights *w) {
    __m128i scales = scale_bytes(q4_k_scales(packed));
    spread_8(_mm_cvtepu8_epi16(scales), w->scale);
    w->minima = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(scales, scales));
}

ALWAYS_INLINE void load_q4_k(const struct block_q4_k *b, struct weights *w) {
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i bytes = load256(b->q + 32 * j);
        w->q[2 * j] = moved(bytes, 0, 15);
        w->q[2 * j + 1] = moved(bytes, -4, 15);
    }
    load_q4_k_scales(b->scales, w);
    w->d = half(b->d);
    w->dmin = half(b->dmin);
}

ALWAYS_INLINE void load_q5_k(const struct block_q5_k *b, struct weights *w) {
    __m256i high = load256(b->high);
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i bytes = load256(b->q + 32 * j);
        w->q[2 * j] = _mm256_or_si256(moved(bytes, 0, 15), moved(high, 4 - 2 * j, 16));
        w->q[2 * j + 1] = _mm256_or_si256(moved(bytes, -4, 15), moved(high, 3 - 2 * j, 16));
    }
    load_q4_k_scales(b->scales, w);
    w->d = half(b->d);
    w->dmin = half(b->dmin);
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
    __m256i scales =
        _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)b->scales));
    spread_16(scales, w->scale);
    w->minima = _mm256_slli_epi16(scales, 5); /* values are 32 too large */
    w->d = half(b->d);
}

ALWAYS_INLINE void load_two_bits(const uint8_t codes[64], __m256i q[8]) {
    UNROLL for (int h = 0; h < 2; h++) {
        __m256i bytes = load256(codes + 32 * h);
        UNROLL for (int j = 0; j < 4; j++) q[4 * h + j] = moved(bytes, -2 * j, 3);
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
    __m256i high = load256(b->high);
    load_two_bits(b->q, w->q);
    UNROLL for (int j = 0; j < 8; j++) w->q[j] = _mm256_or_si256(w->q[j], moved(high, 2 - j, 4));
    spread_16(scales, w->scale);
    w->minima = _mm256_slli_epi16(scales, 2); /* values are 4 too large */
    w->d = half(b->d);
}

ALWAYS_INLINE void load_iq4_xs(const struct block_iq4_xs *b, struct weights *w) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(IQ4_LEVELS));
    UNROLL for (int j = 0; j < 8; j++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(b->q + 16 * j));
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
    spread_8(_mm_packs_epi32(_mm256_castsi256_si128(l), _mm256_extracti128_si256(l, 1)), w->scale);
    w->minima = _mm256_setzero_si256();
    w->d = half(b->d);
}

ALWAYS_INLINE void load_tq2_0(const struct block_tq2_0 *b, struct weights *w) {
    load_two_bits(b->q, w->q);
    UNROLL for (int j = 0; j < 8; j++) w->scale[j] = _mm256_set1_epi16(1);
    w->minima = _mm256_set1_epi16(1);
    w->d = half(b->d);
}

ALWAYS_INLINE void load_weights(enum elem type, const char *row, size_t i, struct weights *w) {
    const void *block = row + i * block_bytes(type);
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

ALWAYS_INLINE __m256 add_block(enum elem type, const struct weights *w, const struct act_q8k *x,
                               __m256 sum) {
    __m256i dot = _mm256_setzero_si256();
    UNROLL for (int j = 0; j < 8; j++) {
        __m256i q = load256(x->q + 32 * j);
        if (has_signs(type)) q = _mm256_sign_epi8(q, w->sign[j]);
        __m256i pairs = _mm256_maddubs_epi16(w->q[j], q);
        dot = _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, w->scale[j]));
    }
    __m256 scale = _mm256_set1_ps(x->scale);
    __m256i minima = _mm256_madd_epi16(w->minima, load256(x->sums));
    if (!has_dmin(type)) dot = _mm256_sub_epi32(dot, minima);
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(w->d, scale), sum);
    if (has_dmin(type))
        sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(minima), _mm256_mul_ps(w->dmin, scale), sum);
    return sum;
}

enum { MOST_ROWS = 1, MOST_TOKENS = 4 };

ALWAYS_INLINE void q8k_tile(enum elem type, int rows, int tokens, struct tile a) {
    __m256 sums[MOST_ROWS][MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < a.n / 256; i++) {
        UNROLL for (int r = 0; r < rows; r++) {
            struct weights w;
            load_weights(type, a.w + (size_t)r * a.w_stride, i, &w);
            UNROLL for (int t = 0; t < tokens; t++) {
                const char *row = a.x + (size_t)t * a.x_stride;
                sums[r][t] =
                    add_block(type, &w, (const struct act_q8k *)(const void *)row + i, sums[r][t]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            horizontal_sum(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_q2_k, q8k_tile, ELEM_Q2_K, 1, 4, 1)
LINEAR_FROM_TILE(linear_q3_k, q8k_tile, ELEM_Q3_K, 1, 4, 1)
LINEAR_FROM_TILE(linear_q4_k, q8k_tile, ELEM_Q4_K, 1, 4, 1)
LINEAR_FROM_TILE(linear_q5_k, q8k_tile, ELEM_Q5_K, 1, 4, 1)
LINEAR_FROM_TILE(linear_q6_k, q8k_tile, ELEM_Q6_K, 1, 4, 1)
LINEAR_FROM_TILE(linear_iq4_xs, q8k_tile, ELEM_IQ4_XS, 1, 4, 1)
LINEAR_FROM_TILE(linear_tq2_0, q8k_tile, ELEM_TQ2_0, 1, 4, 1)

void avx2_fill_q8k(struct kernels *k) {
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}
