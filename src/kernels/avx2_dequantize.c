/* Blocks to floats in AVX2, for the types that models keep their embeddings in. Each
 * product is rounded as the scalar form rounds it, so that the values are the same. */
#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/blocks.h"
#include "kernels/levels.h"
#include "kernels/linear_tile.h"

/* 8 signed bytes to floats. */
ALWAYS_INLINE __m256 bytes_to_floats(__m128i bytes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

/* out[i] = d q[i] - m for 16 signed bytes. */
ALWAYS_INLINE void scale_16(__m128i q, __m256 d, __m256 m, float *out) {
    __m256 low = bytes_to_floats(q), high = bytes_to_floats(_mm_unpackhi_epi64(q, q));
    _mm256_storeu_ps(out, _mm256_sub_ps(_mm256_mul_ps(low, d), m));
    _mm256_storeu_ps(out + 8, _mm256_sub_ps(_mm256_mul_ps(high, d), m));
}

ALWAYS_INLINE __m128i low_nibbles(__m128i bytes) {
    return _mm_and_si128(bytes, _mm_set1_epi8(15));
}

ALWAYS_INLINE __m128i high_nibbles(__m128i bytes) {
    return low_nibbles(_mm_srli_epi16(bytes, 4));
}

static void dequantize_q8_0(const void *blocks, float *out, size_t n) {
    const struct block_q8_0 *b = blocks;
    for (size_t i = 0; i < n / 32; i++, out += 32) {
        __m256 d = _mm256_set1_ps(_cvtsh_ss(b[i].d)), zero = _mm256_setzero_ps();
        scale_16(load128(b[i].q), d, zero, out);
        scale_16(load128(b[i].q + 16), d, zero, out + 16);
    }
}

static void dequantize_q4_0(const void *blocks, float *out, size_t n) {
    const struct block_q4_0 *b = blocks;
    const __m128i eight = _mm_set1_epi8(8);
    for (size_t i = 0; i < n / 32; i++, out += 32) {
        __m256 d = _mm256_set1_ps(_cvtsh_ss(b[i].d)), zero = _mm256_setzero_ps();
        __m128i bytes = load128(b[i].q);
        scale_16(_mm_sub_epi8(low_nibbles(bytes), eight), d, zero, out);
        scale_16(_mm_sub_epi8(high_nibbles(bytes), eight), d, zero, out + 16);
    }
}

static void dequantize_q4_k(const void *blocks, float *out, size_t n) {
    const struct block_q4_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++) {
        union k_scales scales = q4_k_scales(b[i].scales);
        float d = _cvtsh_ss(b[i].d), dmin = _cvtsh_ss(b[i].dmin);
        for (size_t j = 0; j < 8; j++, out += 32) {
            __m256 scale = _mm256_set1_ps(d * scales.at[j]),
                   m = _mm256_set1_ps(dmin * scales.at[8 + j]);
            for (size_t h = 0; h < 2; h++) {
                __m128i bytes = load128(b[i].q + j / 2 * 32 + 16 * h);
                scale_16(j % 2 ? high_nibbles(bytes) : low_nibbles(bytes), scale, m, out + 16 * h);
            }
        }
    }
}

/* Values 128 h + 32 j + 16 part .. + 15, less 32. */
ALWAYS_INLINE __m128i q6_k_values(const struct block_q6_k *b, size_t h, size_t j, size_t part) {
    __m128i bytes = load128(b->q + 64 * h + j % 2 * 32 + 16 * part);
    __m128i low = j < 2 ? low_nibbles(bytes) : high_nibbles(bytes);
    __m128i high =
        _mm_srl_epi16(load128(b->high + 32 * h + 16 * part), _mm_cvtsi32_si128(2 * (int)j));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}

static void dequantize_q6_k(const void *blocks, float *out, size_t n) {
    const struct block_q6_k *b = blocks;
    for (size_t i = 0; i < n / 256; i++) {
        float d = _cvtsh_ss(b[i].d);
        for (size_t k = 0; k < 16; k++, out += 16) {
            __m256 scale = _mm256_set1_ps(d * (float)b[i].scales[k]);
            scale_16(q6_k_values(b + i, k / 8, k / 2 % 4, k % 2), scale, _mm256_setzero_ps(), out);
        }
    }
}

void avx2_fill_dequantize(struct kernels *k) {
    k->dequantize[ELEM_Q8_0] = dequantize_q8_0;
    k->dequantize[ELEM_Q4_0] = dequantize_q4_0;
    k->dequantize[ELEM_Q4_K] = dequantize_q4_k;
    k->dequantize[ELEM_Q6_K] = dequantize_q6_k;
}
