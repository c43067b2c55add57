/* avx2_weights.h - unpacked blocks of 256 values, in AVX2. */
#ifndef HEARTH_KERNELS_AVX2_WEIGHTS_H
#define HEARTH_KERNELS_AVX2_WEIGHTS_H

#include <immintrin.h>

#include "kernels/avx2_lanes.h"
#include "kernels/avx2_panel.h"

/* Values of a row's block or of a part of it. */
struct weights {
    __m256i q[8];    /* 32 values each, unsigned or magnitudes */
    __m256i sign[8]; /* of magnitudes: bytes whose signs are the values' */
};

/* Scales of the blocks of 8 rows: lane r belongs to row r. */
struct scales {
    __m256i group[8];  /* words: those of groups 2 j and 2 j + 1 of 16 values; scales of 32
                        * values are there twice */
    __m256i minima[8]; /* words: those of groups 2 j and 2 j + 1 of 16 or of 32 values, to be
                        * subtracted times the group's sum */
    __m256 d, dmin;    /* dmin: that of the minima where it differs */
};

ALWAYS_INLINE uint16_t half_at(const void *p) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return half;
}

/* The halves `at` bytes into 8 rows. */
ALWAYS_INLINE __m256 half_floats(const char *const rows[LANES], size_t at) {
    short h[LANES];
    UNROLL for (int r = 0; r < LANES; r++) h[r] = (short)half_at(rows[r] + at);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

/* The lower and the upper halves of 32-bit lanes. */
ALWAYS_INLINE void two_halves(__m256i both, __m256 *low, __m256 *high) {
    __m256i words = _mm256_packus_epi32(_mm256_and_si256(both, _mm256_set1_epi32(0xffff)),
                                        _mm256_srli_epi32(both, 16));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    *low = _mm256_cvtph_ps(_mm256_castsi256_si128(words));
    *high = _mm256_cvtph_ps(_mm256_extracti128_si256(words, 1));
}

/* 16 bytes `at` bytes into 8 rows: lane r of out[k] has four of them from byte 4 k on. */
ALWAYS_INLINE void load_fours(const char *const rows[LANES], size_t at, __m256i out[4]) {
    __m256i v[4], t[4];
    UNROLL for (int i = 0; i < 4; i++) v[i] =
        _mm256_set_m128i(load128(rows[i + 4] + at), load128(rows[i] + at));
    t[0] = _mm256_unpacklo_epi32(v[0], v[1]);
    t[1] = _mm256_unpacklo_epi32(v[2], v[3]);
    t[2] = _mm256_unpackhi_epi32(v[0], v[1]);
    t[3] = _mm256_unpackhi_epi32(v[2], v[3]);
    UNROLL for (int i = 0; i < 4; i += 2) {
        out[i] = _mm256_unpacklo_epi64(t[i], t[i + 1]);
        out[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 1]);
    }
}

/* Bits of v moved by `up` (down, if negative) and masked. */
ALWAYS_INLINE __m256i moved(__m256i v, int up, int mask) {
    __m256i bits = up >= 0 ? _mm256_slli_epi16(v, up) : _mm256_srli_epi16(v, -up);
    return _mm256_and_si256(bits, _mm256_set1_epi8((char)mask));
}

/* 128 values of the two-bit layout of block_tq2_0. */
ALWAYS_INLINE void load_two_bits(const uint8_t codes[32], __m256i q[4]) {
    __m256i bytes = load256(codes);
    UNROLL for (int j = 0; j < 4; j++) q[j] = moved(bytes, -2 * j, 3);
}

/* The low and the high words of 32-bit lanes, twice each. */
ALWAYS_INLINE void twice_each(__m256i v, __m256i out[2]) {
    out[0] = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(v, 0xa0), 0xa0);
    out[1] = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(v, 0xf5), 0xf5);
}

/* 8 words, each for two groups. */
ALWAYS_INLINE __m256i for_two_groups(__m128i words) {
    return _mm256_set_m128i(_mm_unpackhi_epi16(words, words), _mm_unpacklo_epi16(words, words));
}

#endif
