/* vec_avx2.h - the vector words of float_kernels.h in AVX2, FMA and F16C: 8 lanes.
 * `_some` handles the first n lanes (n < VF_LANES) and reads or writes no byte
 * beyond them; lanes past n read as zero. */
#ifndef HEARTH_KERNELS_VEC_AVX2_H
#define HEARTH_KERNELS_VEC_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m256 vf;

/* Register tile of linear layers: rows of w times rows of x. */
enum { VF_LANES = 8, VF_TILE_ROWS = 2, VF_TILE_TOKENS = 4 };
/* Register tiles of attention: scores at a time, vectors of four outputs at a time. */
enum { VF_SCORE_SUMS = 8, VF_MIX_VECTORS = 2 };

static inline __m256i vf_mask(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vf vf_zero(void) {
    return _mm256_setzero_ps();
}
static inline vf vf_set1(float a) {
    return _mm256_set1_ps(a);
}
static inline vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
/* The same value in a register: compilers like to load it again for every use. */
static inline vf vf_held(vf a) {
    __asm__("" : "+x"(a));
    return a;
}
static inline vf vf_load_some(const float *p, size_t n) {
    return _mm256_maskload_ps(p, vf_mask(n));
}
static inline void vf_store(float *p, vf a) {
    _mm256_storeu_ps(p, a);
}
static inline void vf_store_some(float *p, vf a, size_t n) {
    _mm256_maskstore_ps(p, vf_mask(n), a);
}
static inline vf vf_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vf vf_load_f16_some(const uint16_t *p, size_t n) {
    uint16_t padded[8] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vf_load_f16(padded);
}
static inline vf vf_load_bf16(const uint16_t *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline vf vf_load_bf16_some(const uint16_t *p, size_t n) {
    uint16_t padded[8] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vf_load_bf16(padded);
}
static inline vf vf_load_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
static inline vf vf_set1_f16(uint16_t h) {
    return _mm256_set1_ps(_cvtsh_ss(h));
}
static inline void vf_store_f16(uint16_t *p, vf a) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
static inline void vf_store_f16_some(uint16_t *p, vf a, size_t n) {
    uint16_t padded[8];
    vf_store_f16(padded, a);
    memcpy(p, padded, n * sizeof *p);
}
static inline vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
static inline vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* max and min give b when either is NaN. */
static inline vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
static inline vf vf_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a 2^n, n integral and |n| <= 252: in two steps, since 2^n itself may overflow
 * or underflow where the product does not. */
static inline vf vf_times_power(vf a, vf n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half), bias = _mm256_set1_epi32(127);
    __m256 p = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    __m256 q = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(a, p), q);
}
static inline float vf_sum(vf a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
/* Lane j = the sum of the lanes of a[j], for VF_LANES vectors, each added up in the same
 * order. A step adds the halves of two vectors into one: half of each is in its place
 * already, so only the other halves cross over. */
static inline vf vf_sums(const vf *a) {
    __m256 r[4], s[2];
    for (int j = 0; j < 4; j++)
        r[j] = _mm256_add_ps(_mm256_blend_ps(a[j], a[j + 4], 0xf0),
                             _mm256_permute2f128_ps(a[j], a[j + 4], 0x21));
    for (int j = 0; j < 2; j++)
        s[j] = _mm256_add_ps(_mm256_blend_ps(r[2 * j], r[2 * j + 1], 0xcc),
                             _mm256_shuffle_ps(r[2 * j], r[2 * j + 1], 0x4e));
    return _mm256_add_ps(_mm256_shuffle_ps(s[0], s[1], 0x88), _mm256_shuffle_ps(s[0], s[1], 0xdd));
}
/* a[r] lane c <-> a[c] lane r */
static inline void vf_transpose(vf a[8]) {
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) { /* a[i]: columns i and i + 4 of rows 0 .. 3 */
        t[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
    }
    memcpy(a, t, sizeof t);
}
/* The lanes with index >= n become zero. */
static inline vf vf_first(vf a, size_t n) {
    return _mm256_and_ps(a, _mm256_castsi256_ps(vf_mask(n)));
}

#endif
