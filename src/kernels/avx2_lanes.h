/* avx2_lanes.h - loads and sums that the quantised kernels of AVX2 and AVX-512 share. */
#ifndef HEARTH_KERNELS_AVX2_LANES_H
#define HEARTH_KERNELS_AVX2_LANES_H

#include <immintrin.h>

#include "kernels/blocks.h"
#include "kernels/linear_tile.h"

ALWAYS_INLINE __m128i load128(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

ALWAYS_INLINE __m256i load256(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

ALWAYS_INLINE __m128i scale_bytes(union k_scales scales) {
    const uint32_t *w = scales.words;
    return _mm_setr_epi32((int)w[0], (int)w[1], (int)w[2], (int)w[3]);
}

ALWAYS_INLINE float horizontal_sum(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

#endif
