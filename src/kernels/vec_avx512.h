/* vec_avx512.h - the vector words of float_kernels.h in AVX-512: 16 lanes, masked
 * tails. `_some` handles the first n lanes (n < VF_LANES) and reads or writes no
 * byte beyond them; lanes past n read as zero. */
#ifndef HEARTH_KERNELS_VEC_AVX512_H
#define HEARTH_KERNELS_VEC_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vf;

/* Register tile of linear layers: rows of w times rows of x. */
enum { VF_LANES = 16, VF_TILE_ROWS = 4, VF_TILE_TOKENS = 4 };
/* Register tiles of attention: scores at a time, vectors of four outputs at a time. */
enum { VF_SCORE_SUMS = 16, VF_MIX_VECTORS = 4 };

static inline __mmask16 vf_mask(size_t n) {
    return (__mmask16)((1u << n) - 1u);
}

static inline vf vf_zero(void) {
    return _mm512_setzero_ps();
}
static inline vf vf_set1(float a) {
    return _mm512_set1_ps(a);
}
static inline vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
/* The same value in a register: compilers like to load it again for every use. */
static inline vf vf_held(vf a) {
    __asm__("" : "+v"(a));
    return a;
}
static inline vf vf_load_some(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(vf_mask(n), p);
}
static inline void vf_store(float *p, vf a) {
    _mm512_storeu_ps(p, a);
}
static inline void vf_store_some(float *p, vf a, size_t n) {
    _mm512_mask_storeu_ps(p, vf_mask(n), a);
}
static inline vf vf_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf vf_load_f16_some(const uint16_t *p, size_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vf_mask(n), p));
}
static inline vf vf_widen_bf16(__m256i b) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}
static inline vf vf_load_bf16(const uint16_t *p) {
    return vf_widen_bf16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf vf_load_bf16_some(const uint16_t *p, size_t n) {
    return vf_widen_bf16(_mm256_maskz_loadu_epi16(vf_mask(n), p));
}
static inline vf vf_load_i8(const int8_t *p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
static inline vf vf_set1_f16(uint16_t h) {
    return _mm512_set1_ps(_cvtsh_ss(h));
}
static inline void vf_store_f16(uint16_t *p, vf a) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
static inline void vf_store_f16_some(uint16_t *p, vf a, size_t n) {
    _mm256_mask_storeu_epi16(p, vf_mask(n), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
static inline vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
/* max and min give b when either is NaN. */
static inline vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
static inline vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
static inline vf vf_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a 2^n, n integral; NaN where n is. */
static inline vf vf_times_power(vf a, vf n) {
    return _mm512_scalef_ps(a, n);
}
static inline float vf_sum(vf a) {
    return _mm512_reduce_add_ps(a);
}
/* Lane j = the sum of the lanes of a[j], for VF_LANES vectors, each added up in the same
 * order. A step adds the halves of two vectors into one: half of each is in its place
 * already, so only the other halves cross over. */
static inline vf vf_sums(const vf *a) {
    __m512 r[8], s[4], t[2];
    for (int j = 0; j < 8; j++)
        r[j] = _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a[j], a[j + 8]),
                             _mm512_shuffle_f32x4(a[j], a[j + 8], 0x4e));
    for (int j = 0; j < 4; j++) {
        __m512 across = _mm512_mask_blend_ps(0xf0f0, r[j + 4], r[j]);
        s[j] = _mm512_add_ps(_mm512_mask_blend_ps(0xf0f0, r[j], r[j + 4]),
                             _mm512_shuffle_f32x4(across, across, 0xb1));
    }
    for (int j = 0; j < 2; j++)
        t[j] = _mm512_add_ps(_mm512_mask_blend_ps(0xcccc, s[2 * j], s[2 * j + 1]),
                             _mm512_shuffle_ps(s[2 * j], s[2 * j + 1], 0x4e));
    return _mm512_add_ps(_mm512_shuffle_ps(t[0], t[1], 0x88), _mm512_shuffle_ps(t[0], t[1], 0xdd));
}
/* a[r] lane c <-> a[c] lane r; bits are kept, whatever they mean. */
static inline void vf_transpose(vf a[16]) {
    __m512 t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        a[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        a[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        a[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        a[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) { /* a[i + 4 g]: columns i, i + 4, .. of rows 4 g .. */
        t[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        a[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        a[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}
/* The lanes with index >= n become zero. */
static inline vf vf_first(vf a, size_t n) {
    return _mm512_maskz_mov_ps(vf_mask(n), a);
}

#endif
