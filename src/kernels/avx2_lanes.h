/* avx2_lanes.h - loads that the quantised kernels of AVX2 and AVX-512 share. */
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

#endif
