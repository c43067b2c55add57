/* neon_panel.h - a panel of unpacked rows that serves many tokens, in NEON.
 *
 * It follows dotprod_tile.h or i8mm_tile.h, which give PANEL_ROWS, how rows and tokens
 * are interleaved for the level's multiplication, and a tile of PANEL_ROWS x TILE_TOKENS
 * outputs. The sums of 16 products or more are exact integers in both, and floats are
 * added to an output in one order, so that the levels give the same bits. */
#ifndef HEARTH_KERNELS_NEON_PANEL_H
#define HEARTH_KERNELS_NEON_PANEL_H

#include <string.h>

#include "kernels/linear_tile.h"

enum { FEW_ROWS = 4, PANEL_TOKENS = 128 };

/* Sums of a tile, integers within a block, floats over blocks. */
struct tile_dots {
    int32x4_t at[ROW_SETS][TOKEN_SETS];
};
struct tile_sums {
    float32x4_t at[ROW_SETS][TOKEN_SETS];
};

ALWAYS_INLINE void clear(struct tile_dots *dots) {
    UNROLL for (int s = 0; s < ROW_SETS; s++) {
        UNROLL for (int t = 0; t < TOKEN_SETS; t++) dots->at[s][t] = vdupq_n_s32(0);
    }
}

/* 16 values of each row to where a tile wants them. */
ALWAYS_INLINE void interleave_panel(int8x16_t v[PANEL_ROWS]) {
    UNROLL for (int r = 0; r < PANEL_ROWS; r += LANE_ROWS) interleave_rows(v + r);
}

/* Pointers to the tokens of a tile; the last of the n that are left stands for missing
 * ones. */
ALWAYS_INLINE void token_pointers(const char *x, size_t stride, size_t n,
                                  const char *at[TILE_TOKENS]) {
    for (size_t t = 0; t < TILE_TOKENS; t++)
        at[t] = x + (t < n ? t : n - 1) * stride;
}

/* 16 values that lie `offset` bytes into the tokens. */
ALWAYS_INLINE void load_tokens(int tokens, const char *const at[TILE_TOKENS], size_t offset,
                               int8x16_t x[TILE_TOKENS]) {
    UNROLL for (int t = 0; t < tokens; t++) x[t] =
        vld1q_s8((const int8_t *)(const void *)(at[t] + offset));
    interleave_tokens(tokens, x);
}

/* sums += dots * d * scale: a scale of each row and of each token. */
ALWAYS_INLINE void add_dots(int tokens, const struct tile_dots *dots, const float d[PANEL_ROWS],
                            const float scale[TILE_TOKENS], struct tile_sums *sums) {
    float32x4_t of_rows[ROW_SETS], of_tokens[TOKEN_SETS];
    spread_rows(d, of_rows);
    spread_tokens(tokens, scale, of_tokens);
    UNROLL for (int s = 0; s < ROW_SETS; s++) {
        UNROLL for (int t = 0; t < tokens / LANE_TOKENS; t++) sums->at[s][t] = vfmaq_f32(
            sums->at[s][t], vcvtq_f32_s32(dots->at[s][t]), vmulq_f32(of_rows[s], of_tokens[t]));
    }
}

ALWAYS_INLINE void store_four(float *y, float32x4_t v, size_t n) {
    float four[4];
    if (n >= 4) {
        vst1q_f32(y, v);
        return;
    }
    vst1q_f32(four, v);
    memcpy(y, four, n * sizeof *y);
}

/* The first n_rows x n_tokens outputs of a tile. */
ALWAYS_INLINE void store_tile(float *y, size_t stride, const struct tile_sums *sums, size_t n_rows,
                              size_t n_tokens) {
    float32x4_t rows[TILE_TOKENS][2];
    sums_by_token(sums->at, rows);
    for (size_t t = 0; t < at_most(n_tokens, TILE_TOKENS); t++) {
        store_four(y + t * stride, rows[t][0], n_rows);
        if (n_rows > 4) store_four(y + t * stride + 4, rows[t][1], n_rows - 4);
    }
}

#endif
