/* Rows of weights as bfloat16, in AVX-512 with BF16 and VBMI.
 *
 * The matrix unit needs 16 cycles for 16 x 32 weights times 16 tokens, so that 32
 * weights of a row have T / 16 of its cycles: 32 at T = 512, and less than that if the
 * vector units cannot work all the time beside it. Through floats in memory they would
 * cost 12 (Q4_0) to 125; hence two direct ways (cycles of a processor whose vector units
 * are half as wide, Zen 4):
 *
 *   levels  6 to 12, types of up to 5 bits: the values that the codes of a block can mean
 *           are computed and rounded once, then looked up by VPERMW, 32 at a time
 *   bytes   6 to 14, codebooks 20: bytes to floats, times the scale, rounded in pairs */
#include "kernels/amx_widen.h"

#include <immintrin.h>

#include "kernels/amx_bytes.h"
#include "kernels/amx_super.h"

ALWAYS_INLINE __m512 half_of(uint16_t h) {
    return _mm512_set1_ps(_cvtsh_ss(h));
}

/* ---- levels ---- */

ALWAYS_INLINE __m512 codes_from(int first) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_cvtepi32_ps(_mm512_add_epi32(lanes, _mm512_set1_epi32(first)));
}

ALWAYS_INLINE __m512 iq4_floats(void) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_setr_epi8(IQ4_LEVELS)));
}

ALWAYS_INLINE __m512 fp4_floats(void) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_setr_epi8(FP4_LEVELS)));
}

/* The lowest four bits of each word choose one of 16 values. */
ALWAYS_INLINE __m512i look_up_16(__m512 values, __m512i codes) {
    __m512i twice = _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(values));
    return _mm512_permutexvar_epi16(codes, twice);
}

/* Low nibbles of 16 bytes as words, then their high ones; bits above are left. */
ALWAYS_INLINE __m512i nibble_words(const uint8_t q[16]) {
    const __m512i shifts = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
    __m512i words = _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(load128(q)));
    return _mm512_srlv_epi16(words, shifts);
}

static void widen_q4_0(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q4_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 values = _mm512_mul_ps(codes_from(-8), half_of(b[i].d));
        store_run(out, i, look_up_16(values, nibble_words(b[i].q)));
    }
}

static void widen_q4_1(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q4_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 values = _mm512_mul_ps(codes_from(0), half_of(b[i].d));
        values = _mm512_add_ps(values, half_of(b[i].m));
        store_run(out, i, look_up_16(values, nibble_words(b[i].q)));
    }
}

static void widen_iq4_nl(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq4_nl *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 values = _mm512_mul_ps(iq4_floats(), half_of(b[i].d));
        store_run(out, i, look_up_16(values, nibble_words(b[i].q)));
    }
}

static void widen_mxfp4(const void *blocks, size_t n, uint16_t *out) {
    const struct block_mxfp4 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 values = _mm512_mul_ps(fp4_floats(), _mm512_set1_ps(e8m0_half(b[i].exponent)));
        store_run(out, i, look_up_16(values, nibble_words(b[i].q)));
    }
}

static void widen_iq4_xs(const void *blocks, size_t n, uint16_t *out) {
    const struct block_iq4_xs *b = blocks;
    float d = _cvtsh_ss(b->d);
    (void)n;
    for (size_t s = 0; s < 8; s++) {
        __m512 scale = _mm512_set1_ps(d * (float)iq4_xs_scale(b, (int)s));
        __m512 values = _mm512_mul_ps(iq4_floats(), scale);
        store_run(out, s, look_up_16(values, nibble_words(b->q + 16 * s)));
    }
}

/* Groups of 16 values have a scale each: 2 x 16 levels, chosen by bit 4. */
static void widen_nvfp4(const void *blocks, size_t n, uint16_t *out) {
    const struct block_nvfp4 *b = blocks;
    const __m512i shifts = _mm512_setr_epi64(0, 0, 0x0004000400040004, 0x0004000400040004, 0, 0,
                                             0x0004000400040004, 0x0004000400040004);
    const __m512i second = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(16), 1);
    for (size_t i = 0; i < n / 32; i++) {
        const uint8_t *d = b[i / 2].d + i % 2 * 2, *q = b[i / 2].q + i % 2 * 16;
        __m512 first = _mm512_mul_ps(fp4_floats(), _mm512_set1_ps(ue4m3_half(d[0])));
        __m512 other = _mm512_mul_ps(fp4_floats(), _mm512_set1_ps(ue4m3_half(d[1])));
        __m256i bytes = _mm256_permute4x64_epi64(_mm256_castsi128_si256(load128(q)), 0x50);
        __m512i codes = _mm512_srlv_epi16(_mm512_cvtepu8_epi16(bytes), shifts);
        codes = or_masked(second, codes, _mm512_set1_epi16(15));
        store_run(out, i, _mm512_permutexvar_epi16(codes, to_bf16(first, other)));
    }
}

/* Of Q4_K and Q5_K: at[s] is d times the scale of sub-block s, at[8 + s] dmin times
 * its minimum. */
struct k_factors {
    float at[16];
};

ALWAYS_INLINE struct k_factors k_factors(const uint8_t packed[12], uint16_t d, uint16_t dmin) {
    struct k_factors f;
    __m512 all = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(scale_bytes(q4_k_scales(packed))));
    __m512 both = _mm512_mask_mov_ps(half_of(d), 0xff00, half_of(dmin));
    _mm512_storeu_ps(f.at, _mm512_mul_ps(all, both));
    return f;
}

ALWAYS_INLINE __m512 k_values(const struct k_factors *f, size_t s, int first) {
    __m512 product = _mm512_mul_ps(codes_from(first), _mm512_set1_ps(f->at[s]));
    return _mm512_sub_ps(product, _mm512_set1_ps(f->at[8 + s]));
}

/* Nibble s % 2 of the bytes of sub-block s as words. */
ALWAYS_INLINE __m512i k_nibbles(const uint8_t q[128], size_t s) {
    __m512i words = _mm512_cvtepu8_epi16(load256(q + s / 2 * 32));
    return s % 2 ? _mm512_srli_epi16(words, 4) : words;
}

static void widen_q4_k(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q4_k *b = blocks;
    struct k_factors f = k_factors(b->scales, b->d, b->dmin);
    (void)n;
    UNROLL for (size_t s = 0; s < 8; s++)
        store_run(out, s, look_up_16(k_values(&f, s, 0), k_nibbles(b->q, s)));
}

/* Codes of five bits from words whose lowest four bits count and a mask of the fifth. */
ALWAYS_INLINE __m512i with_fifth(__m512i words, __mmask32 fifth) {
    __m512i codes = _mm512_and_si512(words, _mm512_set1_epi16(15));
    return _mm512_mask_add_epi16(codes, fifth, codes, _mm512_set1_epi16(16));
}

static void widen_q5_k(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q5_k *b = blocks;
    struct k_factors f = k_factors(b->scales, b->d, b->dmin);
    __m256i high = load256(b->high);
    (void)n;
    UNROLL for (size_t s = 0; s < 8; s++) {
        __mmask32 fifth = _mm256_test_epi8_mask(high, _mm256_set1_epi8((char)(1 << s)));
        __m512i values = to_bf16(k_values(&f, s, 0), k_values(&f, s, 16));
        store_run(out, s, _mm512_permutexvar_epi16(with_fifth(k_nibbles(b->q, s), fifth), values));
    }
}

static void widen_q5_0(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q5_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 d = half_of(b[i].d);
        __m512i values =
            to_bf16(_mm512_mul_ps(codes_from(-16), d), _mm512_mul_ps(codes_from(0), d));
        __m512i codes = with_fifth(nibble_words(b[i].q), b[i].high);
        store_run(out, i, _mm512_permutexvar_epi16(codes, values));
    }
}

static void widen_q5_1(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q5_1 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 d = half_of(b[i].d), m = half_of(b[i].m);
        __m512 low = _mm512_add_ps(_mm512_mul_ps(codes_from(0), d), m);
        __m512 high = _mm512_add_ps(_mm512_mul_ps(codes_from(16), d), m);
        __m512i codes = with_fifth(nibble_words(b[i].q), b[i].high);
        store_run(out, i, _mm512_permutexvar_epi16(codes, to_bf16(low, high)));
    }
}

static void widen_q1_0(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q1_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 d = half_of(b[i / 4].d);
        __m512i plus = to_bf16(d, d), minus = _mm512_xor_si512(plus, _mm512_set1_epi16(-0x8000));
        uint32_t bits;
        memcpy(&bits, b[i / 4].q + i % 4 * 4, sizeof bits);
        store_run(out, i, _mm512_mask_mov_epi16(minus, bits, plus));
    }
}

/* Four codes a byte, each byte in a lane of four words. */
static void widen_q2_0(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q2_0 *b = blocks;
    const __m512i at = _mm512_set1_epi64(0x2006200420022000); /* bits 32 .. are zeros */
    for (size_t i = 0; i < n / 32; i++) {
        const uint8_t *q = b[i / 2].q + i % 2 * 8;
        __m512i bytes = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)q));
        __m512i codes = _mm512_multishift_epi64_epi8(at, bytes);
        codes = _mm512_and_si512(codes, _mm512_set1_epi16(3));
        __m512 values = _mm512_mul_ps(codes_from(-1), half_of(b[i / 2].d));
        store_run(out, i, look_up_16(values, codes));
    }
}

/* Trits of 32 bytes as codes 0 .. 2: digit k of a byte where `power` is 3^k (blocks.h). */
ALWAYS_INLINE __m512i trits(__m512i bytes, __m512i power) {
    __m512i rest = _mm512_and_si512(_mm512_mullo_epi16(bytes, power), _mm512_set1_epi16(255));
    return _mm512_srli_epi16(_mm512_mullo_epi16(rest, _mm512_set1_epi16(3)), 8);
}

ALWAYS_INLINE __m512i two_words(short low, short high) {
    return _mm512_inserti64x4(_mm512_set1_epi16(low), _mm256_set1_epi16(high), 1);
}

static void widen_tq1_0(const void *blocks, size_t n, uint16_t *out) {
    const struct block_tq1_0 *b = blocks;
    const __m256i powers = _mm256_setr_epi64x(0x0001000100010001, 0x0003000300030003,
                                              0x0009000900090009, 0x001b001b001b001b);
    int high;
    (void)n;
    memcpy(&high, b->high, sizeof high);
    __m512 values = _mm512_mul_ps(codes_from(-1), half_of(b->d));
    __m512i first = _mm512_cvtepu8_epi16(load256(b->q));
    __m256i bytes = _mm256_broadcastsi128_si256(load128(b->q + 32));
    __m512i second = _mm512_cvtepu8_epi16(bytes);
    bytes = _mm256_inserti128_si256(bytes, _mm_set1_epi32(high), 1);
    __m512i third = _mm512_cvtepu8_epi16(bytes);
    static const short power_of_3[5] = {1, 3, 9, 27, 81};
    UNROLL for (size_t k = 0; k < 5; k++)
        store_run(out, k, look_up_16(values, trits(first, _mm512_set1_epi16(power_of_3[k]))));
    store_run(out, 5, look_up_16(values, trits(second, two_words(1, 3))));
    store_run(out, 6, look_up_16(values, trits(second, two_words(9, 27))));
    __m512i last = _mm512_inserti64x4(_mm512_set1_epi16(81), powers, 1);
    store_run(out, 7, look_up_16(values, trits(third, last)));
}

/* ---- bytes ---- */

static void widen_q8_0(const void *blocks, size_t n, uint16_t *out) {
    const struct block_q8_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++) {
        __m512 d = half_of(b[i].d);
        store_run(out, i,
                  to_bf16(_mm512_mul_ps(bytes_to_floats(b[i].q), d),
                          _mm512_mul_ps(bytes_to_floats(b[i].q + 16), d)));
    }
}

/* What is to be taken from a code to make it the value, where nothing else is. */
ALWAYS_INLINE int code_of_zero(enum elem type) {
    switch (type) {
    case ELEM_Q3_K: return 4;
    case ELEM_Q6_K: return 32;
    case ELEM_TQ2_0: return 1;
    default: return 0;
    }
}

ALWAYS_INLINE __m512 times_words(__m256i words, float d) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(words)), _mm512_set1_ps(d));
}

ALWAYS_INLINE void widen_super(enum elem type, const void *block, uint16_t *out) {
    struct weights w;
    struct scaled_bytes b;
    const __m512i zero = _mm512_set1_epi8((char)code_of_zero(type));
    load_weights(type, block, &w);
    UNROLL for (int j = 0; j < 4; j++)
        _mm512_store_si512(b.q + 64 * j, _mm512_sub_epi8(w.q[j], zero));
    _mm512_store_ps(b.scale, times_words(w.scale, half(type, block, 0)));
    if (has_dmin(type)) _mm512_storeu_ps(b.minimum, times_words(w.minima, half(type, block, 1)));
    write_scaled_bytes(&b, has_dmin(type), out);
}

static void widen_q2_k(const void *blocks, size_t n, uint16_t *out) {
    (void)n;
    widen_super(ELEM_Q2_K, blocks, out);
}

static void widen_q3_k(const void *blocks, size_t n, uint16_t *out) {
    (void)n;
    widen_super(ELEM_Q3_K, blocks, out);
}

static void widen_q6_k(const void *blocks, size_t n, uint16_t *out) {
    (void)n;
    widen_super(ELEM_Q6_K, blocks, out);
}

static void widen_tq2_0(const void *blocks, size_t n, uint16_t *out) {
    (void)n;
    widen_super(ELEM_TQ2_0, blocks, out);
}

/* ---- floats ---- */

/* Mask of the values of a run that exist, of `n` from its start. */
ALWAYS_INLINE __mmask32 run_mask(size_t n) {
    return n < WIDEN_RUN ? (__mmask32)((1u << n) - 1) : 0xffffffffu;
}

static void widen_f32(const void *blocks, size_t n, uint16_t *out) {
    const float *x = blocks;
    for (size_t i = 0; i < n; i += WIDEN_RUN) {
        __mmask32 mask = run_mask(n - i);
        __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, x + i);
        __m512 high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + i + 16);
        store_run(out, i / WIDEN_RUN, to_bf16(low, high));
    }
}

static void widen_f16(const void *blocks, size_t n, uint16_t *out) {
    const uint16_t *x = blocks;
    for (size_t i = 0; i < n; i += WIDEN_RUN) {
        __m512i words = _mm512_maskz_loadu_epi16(run_mask(n - i), x + i);
        __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(words));
        __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(words, 1));
        store_run(out, i / WIDEN_RUN, to_bf16(low, high));
    }
}

static void widen_bf16(const void *blocks, size_t n, uint16_t *out) {
    const uint16_t *x = blocks;
    for (size_t i = 0; i < n; i += WIDEN_RUN)
        store_run(out, i / WIDEN_RUN, _mm512_maskz_loadu_epi16(run_mask(n - i), x + i));
}

const widen_row amx_widen[ELEM_TYPES] = {
    [ELEM_F32] = widen_f32,
    [ELEM_F16] = widen_f16,
    [ELEM_BF16] = widen_bf16,
    [ELEM_Q1_0] = widen_q1_0,
    [ELEM_Q2_0] = widen_q2_0,
    [ELEM_Q4_0] = widen_q4_0,
    [ELEM_Q4_1] = widen_q4_1,
    [ELEM_Q5_0] = widen_q5_0,
    [ELEM_Q5_1] = widen_q5_1,
    [ELEM_Q8_0] = widen_q8_0,
    [ELEM_MXFP4] = widen_mxfp4,
    [ELEM_NVFP4] = widen_nvfp4,
    [ELEM_TQ1_0] = widen_tq1_0,
    [ELEM_TQ2_0] = widen_tq2_0,
    [ELEM_Q2_K] = widen_q2_k,
    [ELEM_Q3_K] = widen_q3_k,
    [ELEM_Q4_K] = widen_q4_k,
    [ELEM_Q5_K] = widen_q5_k,
    [ELEM_Q6_K] = widen_q6_k,
    [ELEM_IQ4_NL] = widen_iq4_nl,
    [ELEM_IQ4_XS] = widen_iq4_xs,
    [ELEM_IQ2_XXS] = amx_widen_iq2_xxs,
    [ELEM_IQ2_XS] = amx_widen_iq2_xs,
    [ELEM_IQ2_S] = amx_widen_iq2_s,
    [ELEM_IQ3_XXS] = amx_widen_iq3_xxs,
    [ELEM_IQ3_S] = amx_widen_iq3_s,
    [ELEM_IQ1_S] = amx_widen_iq1_s,
    [ELEM_IQ1_M] = amx_widen_iq1_m,
};
