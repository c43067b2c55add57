/* dotprod_tile.h - a tile of rows times tokens with SDOT, for neon_q8.h and neon_super.h.
 *
 * Four rows are the lanes of a vector: SDOT multiplies four neighbours of each of them
 * with the same four of a token. */
#ifndef HEARTH_KERNELS_DOTPROD_TILE_H
#define HEARTH_KERNELS_DOTPROD_TILE_H

#include <arm_neon.h>

#include "kernels/linear_tile.h"

/* A tile's sums are ROW_SETS x TOKEN_SETS vectors of LANE_ROWS x LANE_TOKENS outputs. */
enum { PANEL_ROWS = 8, TILE_TOKENS = 4, LANE_ROWS = 4, LANE_TOKENS = 1 };
enum { ROW_SETS = PANEL_ROWS / LANE_ROWS, TOKEN_SETS = TILE_TOKENS / LANE_TOKENS };

ALWAYS_INLINE int32x4_t pairs_of_words(int32x4_t a, int32x4_t b, int second) {
    return second ? vtrn2q_s32(a, b) : vtrn1q_s32(a, b);
}

ALWAYS_INLINE int8x16_t pairs_of_halves(int32x4_t a, int32x4_t b, int second) {
    int64x2_t c = vreinterpretq_s64_s32(a), d = vreinterpretq_s64_s32(b);
    return vreinterpretq_s8_s64(second ? vtrn2q_s64(c, d) : vtrn1q_s64(c, d));
}

/* 16 values of each row to four neighbours of every row. */
ALWAYS_INLINE void interleave_rows(int8x16_t v[LANE_ROWS]) {
    int32x4_t r[4], pairs[4];
    UNROLL for (int i = 0; i < 4; i++) r[i] = vreinterpretq_s32_s8(v[i]);
    UNROLL for (int i = 0; i < 4; i++) pairs[i] =
        pairs_of_words(r[i / 2 * 2], r[i / 2 * 2 + 1], i % 2);
    UNROLL for (int i = 0; i < 4; i++) v[i] =
        pairs_of_halves(pairs[i % 2], pairs[i % 2 + 2], i / 2);
}

ALWAYS_INLINE void interleave_tokens(int tokens, int8x16_t x[TILE_TOKENS]) {
    (void)tokens;
    (void)x;
}

/* A number of each row, as the lanes of a tile's vectors need it. */
ALWAYS_INLINE void spread_rows(const float own[PANEL_ROWS], float32x4_t out[ROW_SETS]) {
    UNROLL for (int s = 0; s < ROW_SETS; s++) out[s] = vld1q_f32(own + 4 * s);
}

ALWAYS_INLINE void spread_row_scales(const int32_t own[PANEL_ROWS], int32x4_t out[ROW_SETS]) {
    UNROLL for (int s = 0; s < ROW_SETS; s++) out[s] = vld1q_s32(own + 4 * s);
}

ALWAYS_INLINE void spread_tokens(int tokens, const float own[TILE_TOKENS],
                                 float32x4_t out[TOKEN_SETS]) {
    UNROLL for (int t = 0; t < tokens; t++) out[t] = vdupq_n_f32(own[t]);
}

ALWAYS_INLINE int32x4_t multiply_quads(int32x4_t dot, const int8x16_t w[4], int8x16_t x) {
    dot = vdotq_laneq_s32(dot, w[0], x, 0);
    dot = vdotq_laneq_s32(dot, w[1], x, 1);
    dot = vdotq_laneq_s32(dot, w[2], x, 2);
    return vdotq_laneq_s32(dot, w[3], x, 3);
}

/* dots += 16 values of the panel's rows times those of `tokens` tokens. */
ALWAYS_INLINE void multiply(int tokens, const int8x16_t w[PANEL_ROWS],
                            const int8x16_t x[TILE_TOKENS], int32x4_t dots[ROW_SETS][TOKEN_SETS]) {
    UNROLL for (int s = 0; s < ROW_SETS; s++) {
        UNROLL for (int t = 0; t < tokens; t++) dots[s][t] =
            multiply_quads(dots[s][t], w + 4 * s, x[t]);
    }
}

/* The rows' sums of each token. */
ALWAYS_INLINE void sums_by_token(const float32x4_t sums[ROW_SETS][TOKEN_SETS],
                                 float32x4_t out[TILE_TOKENS][2]) {
    UNROLL for (int t = 0; t < TILE_TOKENS; t++) {
        out[t][0] = sums[0][t];
        out[t][1] = sums[1][t];
    }
}

#endif
