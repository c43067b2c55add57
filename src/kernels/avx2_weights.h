/* avx2_weights.h - an unpacked block of 256 values, in AVX2. */
#ifndef HEARTH_KERNELS_AVX2_WEIGHTS_H
#define HEARTH_KERNELS_AVX2_WEIGHTS_H

#include <immintrin.h>

#include "kernels/avx2_lanes.h"

struct weights {
    __m256i q[8];    /* 32 values each, unsigned or magnitudes */
    __m256i sign[8]; /* of magnitudes: bytes whose signs are the values' */
    __m256i scale;   /* 16 bits per 16 values */
    __m256i minima;  /* 16 bits per 16 values; to be subtracted times the group's sum */
    __m128 d;        /* lane 0: the scale, lane 1: that of the minima where it differs */
};

ALWAYS_INLINE __m128 half_float(uint16_t d) {
    return _mm_cvtph_ps(_mm_cvtsi32_si128(d));
}

/* Two halves that follow each other. */
ALWAYS_INLINE __m128 two_halves(const void *p) {
    int both;
    memcpy(&both, p, sizeof both);
    return _mm_cvtph_ps(_mm_cvtsi32_si128(both));
}

/* Bits of v moved by `up` (down, if negative) and masked. */
ALWAYS_INLINE __m256i moved(__m256i v, int up, int mask) {
    __m256i bits = up >= 0 ? _mm256_slli_epi16(v, up) : _mm256_srli_epi16(v, -up);
    return _mm256_and_si256(bits, _mm256_set1_epi8((char)mask));
}

/* The two-bit layout of block_tq2_0. */
ALWAYS_INLINE void load_two_bits(const uint8_t codes[64], __m256i q[8]) {
    UNROLL for (int h = 0; h < 2; h++) {
        __m256i bytes = load256(codes + 32 * h);
        UNROLL for (int j = 0; j < 4; j++) q[4 * h + j] = moved(bytes, -2 * j, 3);
    }
}

/* 8 words, each for two groups. */
ALWAYS_INLINE __m256i for_two_groups(__m128i words) {
    return _mm256_set_m128i(_mm_unpackhi_epi16(words, words), _mm_unpacklo_epi16(words, words));
}

#endif
