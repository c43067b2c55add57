/* neon_q8.h - linear layers of blocks with one scale against ACT_Q8 in NEON; the body of
 * a file of each level, after dotprod_tile.h or i8mm_tile.h.
 *
 * The sum of the products of a group is exact in integers; the float sum over groups has
 * one order: sum = fma(dot, d_w d_x, sum), then for types with a minimum
 * sum = fma(m, sum_x, sum). Two ways of computing keep to this: few tokens take four rows
 * straight from the file's blocks with SDOT, one by one; more share a panel. */
#ifndef HEARTH_KERNELS_NEON_Q8_H
#define HEARTH_KERNELS_NEON_Q8_H

#include "kernels/neon_panel.h"
#include "kernels/neon_q8_blocks.h"

/* The number of tokens from which a panel pays: SDOT multiplies a panel no faster than
 * rows of values that are quickly unpacked. */
ALWAYS_INLINE size_t panel_from(enum elem type) {
    return LANE_TOKENS == 1 && (type == ELEM_Q4_0 || type == ELEM_Q8_0) ? 3 : 2;
}

/* ---- few tokens ---- */

/* The sums of group g (of all 32 values, where that is the group) of four rows. */
ALWAYS_INLINE int32x4_t group_dots(enum elem type, int8x16_t w[FEW_ROWS][2], const struct act_q8 *x,
                                   int g) {
    int32x4_t dots[FEW_ROWS];
    UNROLL for (int r = 0; r < FEW_ROWS; r++) {
        dots[r] = vdotq_s32(vdupq_n_s32(0), w[r][g], vld1q_s8(x->q + 16 * g));
        if (group_values(type) == 32) dots[r] = vdotq_s32(dots[r], w[r][1], vld1q_s8(x->q + 16));
    }
    int32x4_t dot = lane_sums(dots);
    if (offset(type)) dot = vmlsq_s32(dot, vdupq_n_s32(x->sum), vdupq_n_s32(offset(type)));
    return dot;
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const struct act_q8 *x = (const struct act_q8 *)(const void *)a.x;
    const char *rows[FEW_ROWS];
    float32x4_t sum = vdupq_n_f32(0);
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    for (size_t i = 0; i < a.n / 32; i++, x++) {
        int8x16_t w[FEW_ROWS][2];
        UNROLL for (int r = 0; r < FEW_ROWS; r++) load_values(type, rows[r], i, w[r]);
        UNROLL for (int g = 0; g < 32 / group_values(type); g++) {
            float32x4_t d = load_scales(type, rows, i, (size_t)g);
            int32x4_t dot = group_dots(type, w, x, g);
            sum = vfmaq_f32(sum, vcvtq_f32_s32(dot), vmulq_n_f32(d, x->scale));
        }
        if (has_minimum(type)) sum = vfmaq_n_f32(sum, load_minima(type, rows, i), act_q8_sum(x));
    }
    store_four(a.y, sum, n_rows);
}

/* ---- many tokens ---- */

enum { PANEL_BLOCKS = 8 }; /* of 32 values */

struct panel {
    int8x16_t q[PANEL_BLOCKS][2][PANEL_ROWS];
    float d[PANEL_BLOCKS][2][PANEL_ROWS]; /* of both groups of 16 values, or only the first */
    float m[PANEL_BLOCKS][PANEL_ROWS];
};

/* Values 32 i .. 32 i + 31 of the rows, to place `to`. */
ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, size_t to,
                              const char *const rows[PANEL_ROWS], size_t i) {
    const int8x16_t over = vdupq_n_s8((int8_t)offset(type));
    UNROLL for (int r = 0; r < PANEL_ROWS; r++) {
        int8x16_t q[2];
        load_values(type, rows[r], i, q);
        p->q[to][0][r] = vsubq_s8(q[0], over);
        p->q[to][1][r] = vsubq_s8(q[1], over);
    }
    UNROLL for (int r = 0; r < PANEL_ROWS; r += 4) {
        UNROLL for (int g = 0; g < 32 / group_values(type); g++)
            vst1q_f32(p->d[to][g] + r, load_scales(type, rows + r, i, (size_t)g));
        if (has_minimum(type)) vst1q_f32(p->m[to] + r, load_minima(type, rows + r, i));
    }
    interleave_panel(p->q[to][0]);
    interleave_panel(p->q[to][1]);
}

/* sums += m * sum_x */
ALWAYS_INLINE void add_minima(int tokens, const float m[PANEL_ROWS], const float sum_x[TILE_TOKENS],
                              struct tile_sums *sums) {
    float32x4_t of_rows[ROW_SETS], of_tokens[TOKEN_SETS];
    spread_rows(m, of_rows);
    spread_tokens(tokens, sum_x, of_tokens);
    UNROLL for (int s = 0; s < ROW_SETS; s++) {
        UNROLL for (int t = 0; t < tokens / LANE_TOKENS; t++) sums->at[s][t] =
            vfmaq_f32(sums->at[s][t], of_rows[s], of_tokens[t]);
    }
}

/* Adds `count` blocks of the panel times those of a tile's tokens. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, size_t count, int tokens,
                                const char *const at[TILE_TOKENS], struct tile_sums *out) {
    struct tile_sums sums = *out;
    for (size_t i = 0; i < count; i++) {
        float scale[TILE_TOKENS], sum_x[TILE_TOKENS];
        struct tile_dots dots;
        UNROLL for (int t = 0; t < tokens; t++) {
            const struct act_q8 *x = (const struct act_q8 *)(const void *)at[t] + i;
            scale[t] = x->scale;
            if (has_minimum(type)) sum_x[t] = act_q8_sum(x);
        }
        clear(&dots);
        UNROLL for (size_t g = 0; g < 2; g++) {
            int8x16_t x[TILE_TOKENS];
            load_tokens(tokens, at, i * sizeof(struct act_q8) + offsetof(struct act_q8, q) + 16 * g,
                        x);
            multiply(tokens, p->q[i][g], x, dots.at);
            if (group_values(type) == 32 && g == 0) continue;
            add_dots(tokens, &dots, p->d[i][group_values(type) == 32 ? 0 : g], scale, &sums);
            clear(&dots);
        }
        if (has_minimum(type)) add_minima(tokens, p->m[i], sum_x, &sums);
    }
    *out = sums;
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS], *at[TILE_TOKENS];
    struct tile_sums sums[PANEL_TOKENS / TILE_TOKENS];
    struct panel panel;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    memset(sums, 0, sizeof sums);
    for (size_t first = 0; first < a.n / 32; first += PANEL_BLOCKS) {
        const size_t count = at_most(a.n / 32 - first, PANEL_BLOCKS);
        const char *x = a.x + first * sizeof(struct act_q8);
        for (size_t i = 0; i < count; i++)
            fill_panel(type, &panel, i, rows, first + i);
        for (size_t t = 0; t < n_tokens; t += TILE_TOKENS) {
            token_pointers(x + t * a.x_stride, a.x_stride, n_tokens - t, at);
            if (n_tokens - t > 2)
                panel_tokens(type, &panel, count, 4, at, &sums[t / TILE_TOKENS]);
            else
                panel_tokens(type, &panel, count, 2, at, &sums[t / TILE_TOKENS]);
        }
    }
    for (size_t t = 0; t < n_tokens; t += TILE_TOKENS)
        store_tile(a.y + t * a.y_stride, a.y_stride, &sums[t / TILE_TOKENS], n_rows, n_tokens - t);
}

LINEAR_FROM_PANELS(linear_q4_0, ELEM_Q4_0)
LINEAR_FROM_PANELS(linear_q4_1, ELEM_Q4_1)
LINEAR_FROM_PANELS(linear_q5_0, ELEM_Q5_0)
LINEAR_FROM_PANELS(linear_q5_1, ELEM_Q5_1)
LINEAR_FROM_PANELS(linear_q8_0, ELEM_Q8_0)
LINEAR_FROM_PANELS(linear_iq4_nl, ELEM_IQ4_NL)
LINEAR_FROM_PANELS(linear_mxfp4, ELEM_MXFP4)
LINEAR_FROM_PANELS(linear_nvfp4, ELEM_NVFP4)
LINEAR_FROM_PANELS(linear_q1_0, ELEM_Q1_0)
LINEAR_FROM_PANELS(linear_q2_0, ELEM_Q2_0)

ALWAYS_INLINE void fill_q8(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q4_1] = linear_q4_1;
    k->linear[ELEM_Q5_0] = linear_q5_0;
    k->linear[ELEM_Q5_1] = linear_q5_1;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
    k->linear[ELEM_NVFP4] = linear_nvfp4;
    k->linear[ELEM_Q1_0] = linear_q1_0;
    k->linear[ELEM_Q2_0] = linear_q2_0;
}

#endif
