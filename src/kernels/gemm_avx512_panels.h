/* gemm_avx512_panels.h - panels of 12 rows in AVX-512: three whole vectors hold one word of
 * each row four times, so that no store overlaps another. */
#ifndef HEARTH_KERNELS_GEMM_AVX512_PANELS_H
#define HEARTH_KERNELS_GEMM_AVX512_PANELS_H

#include "kernels/linear_tile.h"
#include "kernels/vec_avx512.h"

enum { PANEL12_ROWS = 12 };

/* 4 x 4 quarters: quarter q of out[j] = quarter j of v[q]. */
ALWAYS_INLINE void turn_quarters(const vf v[4], vf out[4]) {
    vf low = _mm512_shuffle_f32x4(v[0], v[1], 0x44), high = _mm512_shuffle_f32x4(v[0], v[1], 0xee);
    vf low2 = _mm512_shuffle_f32x4(v[2], v[3], 0x44);
    vf high2 = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
    out[0] = _mm512_shuffle_f32x4(low, low2, 0x88);
    out[1] = _mm512_shuffle_f32x4(low, low2, 0xdd);
    out[2] = _mm512_shuffle_f32x4(high, high2, 0x88);
    out[3] = _mm512_shuffle_f32x4(high, high2, 0xdd);
}

/* In each quarter 4 x 4 words: word r of quarter q of out[j] = word j of quarter q of v[r]. */
ALWAYS_INLINE void turn_words(const vf v[4], vf out[4]) {
    vf low = _mm512_unpacklo_ps(v[0], v[1]), high = _mm512_unpackhi_ps(v[0], v[1]);
    vf low2 = _mm512_unpacklo_ps(v[2], v[3]), high2 = _mm512_unpackhi_ps(v[2], v[3]);
    out[0] = _mm512_shuffle_ps(low, low2, 0x44);
    out[1] = _mm512_shuffle_ps(low, low2, 0xee);
    out[2] = _mm512_shuffle_ps(high, high2, 0x44);
    out[3] = _mm512_shuffle_ps(high, high2, 0xee);
}

/* 16 words of each of 12 rows, one word of all rows after the other. Of rows 4 g .. 4 g + 3,
 * word 4 q + j is quarter q of part[g][j]; an output vector is four such quarters. */
ALWAYS_INLINE void panel12_store(const vf v[PANEL12_ROWS], float *out) {
    vf part[3][4], turned[4];
    UNROLL for (int g = 0; g < 3; g++) turn_words(v + (size_t)g * 4, part[g]);
    UNROLL for (int third = 0; third < 3; third++) {
        vf piece[4];
        UNROLL for (int i = 0; i < 4; i++) piece[i] =
            part[(third * 4 + i) % 3][(third * 4 + i) / 3];
        turn_quarters(piece, turned);
        UNROLL for (int q = 0; q < 4; q++) vf_store(out + (q * 3 + third) * VF_LANES, turned[q]);
    }
}

#endif
