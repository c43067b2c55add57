/* Linear layers of 32-value blocks against ACT_Q8 in AVX2.
 *
 * VPMADDUBSW multiplies unsigned weights with signed activations and sums two
 * products to 16 bits, without saturating here: types with few bits are made unsigned
 * by adding OFFSET(type), which is taken back from the 16-bit sums; the others give
 * magnitudes, with their signs moved to the activations. Integer sums of a block are
 * exact. */
#include <immintrin.h>

#include "kernels/act_scale.h"
#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

struct weights {
    __m256i q;    /* 32 values, unsigned or magnitudes */
    __m256i sign; /* the values with their signs, where q has magnitudes */
    __m256 d, m;  /* m only for *_1 types */
};

struct acts {
    __m256i q, off; /* 32 values; OFFSET times the sums of pairs */
    __m256 d, s;    /* scale; an eighth of the block's sum */
};

ALWAYS_INLINE int offset(enum elem type) {
    return type == ELEM_Q4_0 ? 8 : type == ELEM_Q5_0 ? 16 : 0;
}

ALWAYS_INLINE int has_minimum(enum elem type) {
    return type == ELEM_Q4_1 || type == ELEM_Q5_1;
}

ALWAYS_INLINE int has_signs(enum elem type) {
    return !offset(type) && !has_minimum(type);
}

ALWAYS_INLINE __m128i load128(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

ALWAYS_INLINE __m256i load256(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Low nibbles of 16 bytes, then their high nibbles. */
ALWAYS_INLINE __m256i load_nibbles(const void *p) {
    __m128i bytes = load128(p);
    __m256i both = _mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* 16 in each byte whose bit of `high` is set. */
ALWAYS_INLINE __m256i fifth_bits(uint32_t high) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i each = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    __m256i bits = _mm256_shuffle_epi8(_mm256_set1_epi32((int)high), spread);
    __m256i own = _mm256_and_si256(bits, each);
    return _mm256_and_si256(_mm256_cmpeq_epi8(own, each), _mm256_set1_epi8(16));
}

ALWAYS_INLINE __m256 half(uint16_t d) {
    return _mm256_cvtph_ps(_mm_set1_epi16((short)d));
}

ALWAYS_INLINE struct weights signed_weights(__m256i values, __m256 d) {
    return (struct weights){.q = _mm256_abs_epi8(values), .sign = values, .d = d};
}

ALWAYS_INLINE __m256i look_up(__m256i codes, __m128i values) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), codes);
}

ALWAYS_INLINE struct weights load_nvfp4(const struct block_nvfp4 *b, size_t part) {
    const __m256i twice = _mm256_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3);
    const __m256i shifts = _mm256_setr_epi64x(0, 4, 0, 4);
    __m256i bytes = _mm256_castsi128_si256(load128(b->q + 16 * part));
    __m256i codes = _mm256_srlv_epi64(_mm256_permutevar8x32_epi32(bytes, twice), shifts);
    codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
    __m128 low = _mm_set1_ps(ue4m3_half(b->d[2 * part]));
    __m128 high = _mm_set1_ps(ue4m3_half(b->d[2 * part + 1]));
    return signed_weights(look_up(codes, _mm_setr_epi8(FP4_LEVELS)), _mm256_set_m128(high, low));
}

ALWAYS_INLINE struct weights load_weights(enum elem type, const char *row, size_t i) {
    struct weights w = {0};
    const void *block = row + i * block_bytes(type);
    switch (type) {
    case ELEM_Q4_0: {
        const struct block_q4_0 *b = block;
        w.q = load_nibbles(b->q);
        w.d = half(b->d);
        break;
    }
    case ELEM_Q4_1: {
        const struct block_q4_1 *b = block;
        w.q = load_nibbles(b->q);
        w.d = half(b->d);
        w.m = half(b->m);
        break;
    }
    case ELEM_Q5_0: {
        const struct block_q5_0 *b = block;
        w.q = _mm256_or_si256(load_nibbles(b->q), fifth_bits(b->high));
        w.d = half(b->d);
        break;
    }
    case ELEM_Q5_1: {
        const struct block_q5_1 *b = block;
        w.q = _mm256_or_si256(load_nibbles(b->q), fifth_bits(b->high));
        w.d = half(b->d);
        w.m = half(b->m);
        break;
    }
    case ELEM_Q8_0: {
        const struct block_q8_0 *b = block;
        w = signed_weights(load256(b->q), half(b->d));
        break;
    }
    case ELEM_IQ4_NL: {
        const struct block_iq4_nl *b = block;
        w = signed_weights(look_up(load_nibbles(b->q), _mm_setr_epi8(IQ4_LEVELS)), half(b->d));
        break;
    }
    case ELEM_MXFP4: {
        const struct block_mxfp4 *b = block;
        w = signed_weights(look_up(load_nibbles(b->q), _mm_setr_epi8(FP4_LEVELS)),
                           _mm256_set1_ps(e8m0_half(b->exponent)));
        break;
    }
    default: w = load_nvfp4((const struct block_nvfp4 *)(const void *)row + i / 2, i % 2); break;
    }
    return w;
}

ALWAYS_INLINE struct acts load_acts(enum elem type, const char *row, size_t i) {
    const struct act_q8 *a = (const struct act_q8 *)(const void *)row + i;
    struct acts x = {.q = load256(a->q), .d = _mm256_set1_ps(a->scale)};
    if (offset(type)) x.off = _mm256_maddubs_epi16(_mm256_set1_epi8((char)offset(type)), x.q);
    if (has_minimum(type)) x.s = _mm256_set1_ps(0.125f * a->sum);
    return x;
}

ALWAYS_INLINE __m256 add_block(enum elem type, const struct weights *w, const struct acts *x,
                               __m256 sum) {
    __m256i q = has_signs(type) ? _mm256_sign_epi8(x->q, w->sign) : x->q;
    __m256i pairs = _mm256_maddubs_epi16(w->q, q);
    if (offset(type)) pairs = _mm256_sub_epi16(pairs, x->off);
    __m256 dot = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    sum = _mm256_fmadd_ps(dot, _mm256_mul_ps(w->d, x->d), sum);
    return has_minimum(type) ? _mm256_fmadd_ps(w->m, x->s, sum) : sum;
}

ALWAYS_INLINE float horizontal_sum(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

enum { MOST_ROWS = 4, MOST_TOKENS = 4 };

ALWAYS_INLINE void q8_tile(enum elem type, int rows, int tokens, struct tile a) {
    __m256 sums[MOST_ROWS][MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < a.n / 32; i++) {
        struct acts x[MOST_TOKENS];
        UNROLL for (int t = 0; t < tokens; t++) x[t] =
            load_acts(type, a.x + (size_t)t * a.x_stride, i);
        UNROLL for (int r = 0; r < rows; r++) {
            if (tokens == 1)
                tile_prefetch(&a, rows, ((size_t)rows * i + (size_t)r) * block_bytes(type));
            struct weights w = load_weights(type, a.w + (size_t)r * a.w_stride, i);
            UNROLL for (int t = 0; t < tokens; t++) sums[r][t] =
                add_block(type, &w, &x[t], sums[r][t]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            horizontal_sum(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_q4_0, q8_tile, ELEM_Q4_0, 2, 4, 4)
LINEAR_FROM_TILE(linear_q4_1, q8_tile, ELEM_Q4_1, 2, 4, 4)
LINEAR_FROM_TILE(linear_q5_0, q8_tile, ELEM_Q5_0, 2, 4, 4)
LINEAR_FROM_TILE(linear_q5_1, q8_tile, ELEM_Q5_1, 2, 4, 4)
LINEAR_FROM_TILE(linear_q8_0, q8_tile, ELEM_Q8_0, 2, 4, 4)
LINEAR_FROM_TILE(linear_iq4_nl, q8_tile, ELEM_IQ4_NL, 2, 4, 4)
LINEAR_FROM_TILE(linear_mxfp4, q8_tile, ELEM_MXFP4, 2, 4, 4)
LINEAR_FROM_TILE(linear_nvfp4, q8_tile, ELEM_NVFP4, 2, 4, 4)

/* Largest magnitude of 8 lanes; as integers, NaN is larger than infinity. */
ALWAYS_INLINE __m256i magnitude(const float *x) {
    return _mm256_and_si256(load256(x), _mm256_set1_epi32(0x7fffffff));
}

ALWAYS_INLINE float largest(__m256i bits) {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    m = _mm_max_epi32(m, _mm_unpackhi_epi64(m, m));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

/* 16 values to bytes; returns their sum. */
ALWAYS_INLINE int quantize_16(const float *x, __m256 inverse, int8_t *q) {
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
    __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), inverse));
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1);
    _mm_storeu_si128((__m128i *)(void *)q, _mm_packs_epi16(low, high));
    __m128i s = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));
    s = _mm_add_epi32(s, _mm_unpackhi_epi64(s, s));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 1)));
}

static void quantize_q8(const float *x, void *out, size_t n) {
    struct act_q8 *a = out;
    for (size_t i = 0; i < n / 32; i++, x += 32) {
        __m256i top = _mm256_max_epi32(_mm256_max_epi32(magnitude(x), magnitude(x + 8)),
                                       _mm256_max_epi32(magnitude(x + 16), magnitude(x + 24)));
        float inverse;
        if (!act_scale(largest(top), &a[i].scale, &inverse)) {
            a[i] = (struct act_q8){.scale = a[i].scale, .sum = a[i].scale};
            continue;
        }
        int sum = quantize_16(x, _mm256_set1_ps(inverse), a[i].q);
        sum += quantize_16(x + 16, _mm256_set1_ps(inverse), a[i].q + 16);
        a[i].sum = a[i].scale * (float)sum;
    }
}

static void quantize_q8k(const float *x, void *out, size_t n) {
    struct act_q8k *a = out;
    for (size_t i = 0; i < n / 256; i++, x += 256) {
        __m256i top = magnitude(x);
        for (size_t j = 8; j < 256; j += 8)
            top = _mm256_max_epi32(top, magnitude(x + j));
        float inverse;
        if (!act_scale(largest(top), &a[i].scale, &inverse)) {
            a[i] = (struct act_q8k){.scale = a[i].scale};
            continue;
        }
        for (size_t j = 0; j < 16; j++)
            a[i].sums[j] =
                (int16_t)quantize_16(x + 16 * j, _mm256_set1_ps(inverse), a[i].q + 16 * j);
    }
}

void avx2_fill_q8(struct kernels *k) {
    k->quantize_act[ACT_Q8] = quantize_q8;
    k->quantize_act[ACT_Q8_K] = quantize_q8k;
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
    k->linear[ELEM_NVFP4] = linear_nvfp4;
}
