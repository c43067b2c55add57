/* avx2_lanes.h - loads and sums that the quantised kernels of AVX2 and AVX-512 share. */
#ifndef HEARTH_KERNELS_AVX2_LANES_H
#define HEARTH_KERNELS_AVX2_LANES_H

#include <immintrin.h>

#include "kernels/blocks.h"
#include "kernels/kernels.h"
#include "kernels/linear_tile.h"

ALWAYS_INLINE __m128i load128(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

ALWAYS_INLINE __m256i load256(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Sums of the activations per 32 values. */
ALWAYS_INLINE __m128i sums_of_32(const struct act_q8k *x) {
    __m256i sums = _mm256_madd_epi16(load256(x->sums), _mm256_set1_epi16(1));
    return _mm_packs_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

#endif
