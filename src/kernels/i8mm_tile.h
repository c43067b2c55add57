/* i8mm_tile.h - a tile of rows times tokens with SMMLA, for neon_q8.h and neon_super.h.
 *
 * SMMLA multiplies eight neighbours of two rows with those of two tokens; the lanes are
 * (row 0, token 0), (row 0, token 1), (row 1, token 0), (row 1, token 1). */
#ifndef HEARTH_KERNELS_I8MM_TILE_H
#define HEARTH_KERNELS_I8MM_TILE_H

#include <arm_neon.h>

#include "kernels/linear_tile.h"

/* A tile's sums are ROW_SETS x TOKEN_SETS vectors of LANE_ROWS x LANE_TOKENS outputs. */
enum { PANEL_ROWS = 8, TILE_TOKENS = 4, LANE_ROWS = 2, LANE_TOKENS = 2 };
enum { ROW_SETS = PANEL_ROWS / LANE_ROWS, TOKEN_SETS = TILE_TOKENS / LANE_TOKENS };

/* 16 values of two rows, or tokens, to eight neighbours of both. */
ALWAYS_INLINE void interleave_rows(int8x16_t v[LANE_ROWS]) {
    int64x2_t a = vreinterpretq_s64_s8(v[0]), b = vreinterpretq_s64_s8(v[1]);
    v[0] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
    v[1] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
}

ALWAYS_INLINE void interleave_tokens(int tokens, int8x16_t x[TILE_TOKENS]) {
    UNROLL for (int t = 0; t < tokens; t += 2) interleave_rows(x + t);
}

/* A number of each row, as the lanes of a tile's vectors need it. */
ALWAYS_INLINE void spread_rows(const float own[PANEL_ROWS], float32x4_t out[ROW_SETS]) {
    UNROLL for (int s = 0; s < ROW_SETS; s += 2) {
        float32x4_t four = vld1q_f32(own + 2 * s);
        out[s] = vzip1q_f32(four, four);
        out[s + 1] = vzip2q_f32(four, four);
    }
}

ALWAYS_INLINE void spread_row_scales(const int32_t own[PANEL_ROWS], int32x4_t out[ROW_SETS]) {
    UNROLL for (int s = 0; s < ROW_SETS; s += 2) {
        int32x4_t four = vld1q_s32(own + 2 * s);
        out[s] = vzip1q_s32(four, four);
        out[s + 1] = vzip2q_s32(four, four);
    }
}

ALWAYS_INLINE void spread_tokens(int tokens, const float own[TILE_TOKENS],
                                 float32x4_t out[TOKEN_SETS]) {
    UNROLL for (int t = 0; t < tokens; t += 2) {
        float32x2_t two = vset_lane_f32(own[t + 1], vdup_n_f32(own[t]), 1);
        out[t / 2] = vcombine_f32(two, two);
    }
}

/* dots += 16 values of the panel's rows times those of `tokens` tokens. */
ALWAYS_INLINE void multiply(int tokens, const int8x16_t w[PANEL_ROWS],
                            const int8x16_t x[TILE_TOKENS], int32x4_t dots[ROW_SETS][TOKEN_SETS]) {
    UNROLL for (int half = 0; half < 2; half++) {
        UNROLL for (int s = 0; s < ROW_SETS; s++) {
            UNROLL for (int t = 0; t < tokens / 2; t++) dots[s][t] =
                vmmlaq_s32(dots[s][t], w[2 * s + half], x[2 * t + half]);
        }
    }
}

/* The rows' sums of each token. */
ALWAYS_INLINE void sums_by_token(const float32x4_t sums[ROW_SETS][TOKEN_SETS],
                                 float32x4_t out[TILE_TOKENS][2]) {
    UNROLL for (int t = 0; t < TILE_TOKENS; t += 2) {
        UNROLL for (int h = 0; h < 2; h++) {
            float32x4_t a = sums[2 * h][t / 2], b = sums[2 * h + 1][t / 2];
            out[t][h] = vuzp1q_f32(a, b);
            out[t + 1][h] = vuzp2q_f32(a, b);
        }
    }
}

#endif
