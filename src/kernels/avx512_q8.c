/* Linear layers of 32-value blocks against ACT_Q8 in AVX-512 VNNI.
 *
 * A step takes two blocks: lanes 0-7 hold sums of the first, 8-15 of the second; an
 * odd last block is paired with one of zeros. Weights are made unsigned by adding
 * OFFSET(type), which VPDPBUSD takes back as its starting value, so that a block's
 * integer sum is exact:  sum (w + o) x - sum o x. */
#include <immintrin.h>

#include "kernels/blocks_dot.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

struct weights {
    __m512i q;   /* 64 values, unsigned */
    __m512 d, m; /* of the block each lane belongs to; m only for *_1 types */
};

struct acts {
    __m512i q, start; /* 64 values; minus OFFSET times their sum, by lane */
    __m512 d, s;      /* scale; an eighth of the block's sum */
};

static const uint8_t zero_block[64];
static const struct act_q8 zero_act;

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

ALWAYS_INLINE __m128i load128(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

ALWAYS_INLINE __m512i load_halves(const void *low, const void *high) {
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)low));
    return _mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)high), 1);
}

/* Low nibbles of 16 bytes, then their high nibbles; the same for the other block. */
ALWAYS_INLINE __m512i load_nibbles(const void *low, const void *high) {
    const __m512i shifts = _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4);
    __m512i v = _mm512_broadcast_i32x4(load128(low));
    v = _mm512_mask_broadcast_i32x4(v, 0xff00, load128(high));
    return _mm512_and_si512(_mm512_srlv_epi64(v, shifts), _mm512_set1_epi8(15));
}

ALWAYS_INLINE __m512i add_fifth_bits(__m512i q, const uint8_t low[4], const uint8_t high[4]) {
    uint32_t bits[2];
    memcpy(&bits[0], low, 4);
    memcpy(&bits[1], high, 4);
    __mmask64 mask = _cvtu64_mask64(bits[0] | (uint64_t)bits[1] << 32);
    return _mm512_mask_add_epi8(q, mask, q, _mm512_set1_epi8(16));
}

ALWAYS_INLINE __m512 two_floats(float low, float high) {
    return _mm512_mask_broadcastss_ps(_mm512_set1_ps(low), 0xff00, _mm_set_ss(high));
}

ALWAYS_INLINE __m512 two_halves(uint16_t low, uint16_t high) {
    __m256i h = _mm256_set1_epi16((short)low);
    return _mm512_cvtph_ps(_mm256_mask_set1_epi16(h, 0xff00, (short)high));
}

/* Values + 128 of the 4-bit codes. */
ALWAYS_INLINE __m512i look_up(__m512i codes, __m128i values) {
    __m128i table = _mm_xor_si128(values, _mm_set1_epi8(-128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes);
}

ALWAYS_INLINE __m128i iq4_table(void) {
    return _mm_setr_epi8(IQ4_VALUES);
}

ALWAYS_INLINE __m128i e2m1_table(void) {
    return _mm_setr_epi8(E2M1_VALUES_TWICE);
}

/* A UE4M3 code at the top of a float's fraction and exponent is 2^-119 of half its
 * value (127 - 7 - 1), subnormals included; code 0x7f counts as zero. */
ALWAYS_INLINE __m512 nvfp4_scales(const uint8_t d[4]) {
    uint32_t codes;
    memcpy(&codes, d, 4);
    __m128i e = _mm_cvtepu8_epi32(_mm_cvtsi32_si128((int)codes));
    __mmask8 number = _mm_cmpneq_epi32_mask(e, _mm_set1_epi32(0x7f));
    e = _mm_slli_epi32(_mm_maskz_and_epi32(number, e, _mm_set1_epi32(0x7f)), 20);
    __m128 scales = _mm_mul_ps(_mm_castsi128_ps(e), _mm_set1_ps(0x1.0p119f));
    const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(scales));
}

ALWAYS_INLINE struct weights load_nvfp4(const struct block_nvfp4 *b) {
    const __m512i twice = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i shifts = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)b->qs);
    __m512i codes = _mm512_permutexvar_epi64(twice, _mm512_castsi256_si512(bytes));
    codes = _mm512_and_si512(_mm512_srlv_epi64(codes, shifts), _mm512_set1_epi8(15));
    return (struct weights){.q = look_up(codes, e2m1_table()), .d = nvfp4_scales(b->d)};
}

/* Blocks i and i + 1 of a row, zeros instead of the second where `last`. */
ALWAYS_INLINE struct weights load_weights(enum elem type, const char *row, size_t i, int last) {
    struct weights w = {0};
#define PAIR(name)                                                                                 \
    const struct block_##name *a = (const struct block_##name *)(const void *)row + i,             \
                              *b = last ? (const struct block_##name *)(const void *)zero_block    \
                                        : a + 1
    switch (type) {
    case ELEM_Q4_0: {
        PAIR(q4_0);
        w.q = load_nibbles(a->qs, b->qs);
        w.d = two_halves(a->d, b->d);
        break;
    }
    case ELEM_Q4_1: {
        PAIR(q4_1);
        w.q = load_nibbles(a->qs, b->qs);
        w.d = two_halves(a->d, b->d);
        w.m = two_halves(a->m, b->m);
        break;
    }
    case ELEM_Q5_0: {
        PAIR(q5_0);
        w.q = add_fifth_bits(load_nibbles(a->qs, b->qs), a->qh, b->qh);
        w.d = two_halves(a->d, b->d);
        break;
    }
    case ELEM_Q5_1: {
        PAIR(q5_1);
        w.q = add_fifth_bits(load_nibbles(a->qs, b->qs), a->qh, b->qh);
        w.d = two_halves(a->d, b->d);
        w.m = two_halves(a->m, b->m);
        break;
    }
    case ELEM_Q8_0: {
        PAIR(q8_0);
        w.q = _mm512_xor_si512(load_halves(a->qs, b->qs), _mm512_set1_epi8(-128));
        w.d = two_halves(a->d, b->d);
        break;
    }
    case ELEM_IQ4_NL: {
        PAIR(iq4_nl);
        w.q = look_up(load_nibbles(a->qs, b->qs), iq4_table());
        w.d = two_halves(a->d, b->d);
        break;
    }
    case ELEM_MXFP4: {
        PAIR(mxfp4);
        w.q = look_up(load_nibbles(a->qs, b->qs), e2m1_table());
        w.d = two_floats(e8m0_half(a->e), e8m0_half(b->e));
        break;
    }
    default: w = load_nvfp4((const struct block_nvfp4 *)(const void *)row + i / 2); break;
    }
#undef PAIR
    return w;
}

ALWAYS_INLINE struct acts load_acts(enum elem type, const char *row, size_t i, int last) {
    const struct act_q8 *a = (const struct act_q8 *)(const void *)row + i;
    const struct act_q8 *b = last ? &zero_act : a + 1;
    struct acts x = {.q = load_halves(a->q, b->q), .d = two_floats(a->scale, b->scale)};
    x.start = _mm512_setzero_si512();
    if (offset(type)) {
        __m512i offsets = _mm512_set1_epi8((char)offset(type));
        __m512i sum = _mm512_dpbusd_epi32(x.start, offsets, x.q);
        x.start = _mm512_sub_epi32(x.start, sum);
    }
    if (has_minimum(type)) x.s = _mm512_mul_ps(two_floats(a->sum, b->sum), _mm512_set1_ps(0.125f));
    return x;
}

enum { MOST_ROWS = 4, MOST_TOKENS = 4 };

ALWAYS_INLINE void step(enum elem type, int rows, int tokens, const struct tile *a, size_t i,
                        int last, __m512 sums[MOST_ROWS][MOST_TOKENS]) {
    struct acts x[MOST_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) x[t] =
        load_acts(type, a->x + (size_t)t * a->x_stride, i, last);
    UNROLL for (int r = 0; r < rows; r++) {
        if (tokens == 1)
            tile_prefetch(a, rows, ((size_t)rows * i + (size_t)r * 2) * block_bytes(type));
        struct weights w = load_weights(type, a->w + (size_t)r * a->w_stride, i, last);
        UNROLL for (int t = 0; t < tokens; t++) {
            __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(x[t].start, w.q, x[t].q));
            sums[r][t] = _mm512_fmadd_ps(dot, _mm512_mul_ps(w.d, x[t].d), sums[r][t]);
            if (has_minimum(type)) sums[r][t] = _mm512_fmadd_ps(w.m, x[t].s, sums[r][t]);
        }
    }
}

ALWAYS_INLINE void q8_tile(enum elem type, int rows, int tokens, struct tile a) {
    __m512 sums[MOST_ROWS][MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = _mm512_setzero_ps();
    }
    size_t n_blocks = a.n / 32, even = n_blocks - n_blocks % 2;
    for (size_t i = 0; i < even; i += 2)
        step(type, rows, tokens, &a, i, 0, sums);
    if (even < n_blocks) step(type, rows, tokens, &a, even, 1, sums);
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            _mm512_reduce_add_ps(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_q4_0, q8_tile, ELEM_Q4_0, 4, 4, 4)
LINEAR_FROM_TILE(linear_q4_1, q8_tile, ELEM_Q4_1, 4, 4, 4)
LINEAR_FROM_TILE(linear_q5_0, q8_tile, ELEM_Q5_0, 4, 4, 4)
LINEAR_FROM_TILE(linear_q5_1, q8_tile, ELEM_Q5_1, 4, 4, 4)
LINEAR_FROM_TILE(linear_q8_0, q8_tile, ELEM_Q8_0, 4, 4, 4)
LINEAR_FROM_TILE(linear_iq4_nl, q8_tile, ELEM_IQ4_NL, 4, 4, 4)
LINEAR_FROM_TILE(linear_mxfp4, q8_tile, ELEM_MXFP4, 4, 4, 4)
LINEAR_FROM_TILE(linear_nvfp4, q8_tile, ELEM_NVFP4, 4, 4, 4)

/* The largest magnitude; as integers, NaN is larger than infinity. */
ALWAYS_INLINE __m512i magnitude(__m512 x) {
    return _mm512_castps_si512(_mm512_abs_ps(x));
}

static void quantize_q8(const float *x, void *out, size_t n) {
    struct act_q8 *a = out;
    for (size_t i = 0; i < n / 32; i++, x += 32) {
        __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
        uint32_t bits = _mm512_reduce_max_epu32(_mm512_max_epu32(magnitude(low), magnitude(high)));
        float most, inverse;
        memcpy(&most, &bits, sizeof most);
        if (!act_scale(most, &a[i].scale, &inverse)) {
            a[i] = (struct act_q8){.scale = a[i].scale, .sum = a[i].scale};
            continue;
        }
        __m512i p = _mm512_cvtps_epi32(_mm512_mul_ps(low, _mm512_set1_ps(inverse)));
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(high, _mm512_set1_ps(inverse)));
        _mm_storeu_si128((__m128i *)(void *)a[i].q, _mm512_cvtepi32_epi8(p));
        _mm_storeu_si128((__m128i *)(void *)(a[i].q + 16), _mm512_cvtepi32_epi8(q));
        a[i].sum = a[i].scale * (float)_mm512_reduce_add_epi32(_mm512_add_epi32(p, q));
    }
}

static void quantize_q8k(const float *x, void *out, size_t n) {
    struct act_q8k *a = out;
    for (size_t i = 0; i < n / 256; i++, x += 256) {
        __m512i top = _mm512_setzero_si512();
        for (size_t j = 0; j < 16; j++)
            top = _mm512_max_epu32(top, magnitude(_mm512_loadu_ps(x + 16 * j)));
        uint32_t bits = _mm512_reduce_max_epu32(top);
        float most, inverse;
        memcpy(&most, &bits, sizeof most);
        if (!act_scale(most, &a[i].scale, &inverse)) {
            a[i] = (struct act_q8k){.scale = a[i].scale};
            continue;
        }
        for (size_t j = 0; j < 16; j++) {
            __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(x + 16 * j), _mm512_set1_ps(inverse));
            __m512i q = _mm512_cvtps_epi32(scaled);
            _mm_storeu_si128((__m128i *)(void *)(a[i].q + 16 * j), _mm512_cvtepi32_epi8(q));
            a[i].sums[j] = (int16_t)_mm512_reduce_add_epi32(q);
        }
    }
}

void avx512_fill_q8(struct kernels *k) {
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
