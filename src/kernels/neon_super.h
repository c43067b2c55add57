/* neon_super.h - linear layers of 256-value blocks against ACT_Q8_K in NEON; the body of
 * a file of each level, after dotprod_tile.h or i8mm_tile.h.
 *
 * The dot product of a block, scales of its groups included, is exact in integers; only
 * the order of the float sum over blocks is fixed: sum = fma(dot, d_w d_x, sum), then for
 * types with has_dmin sum = fma(-minima, dmin d_x, sum). Two ways of computing keep to
 * this: few tokens take rows straight from the file's blocks with SDOT, one by one; more
 * share a panel, which holds one block of its rows at a time.
 *
 * The sums of 16 activations, which minima are multiplied with, take 12 bits: they are
 * split into seven low bits and the rest, so that minima are multiplied like values. */
#ifndef HEARTH_KERNELS_NEON_SUPER_H
#define HEARTH_KERNELS_NEON_SUPER_H

#include "kernels/neon_iq_blocks.h"
#include "kernels/neon_panel.h"
#include "kernels/neon_super_blocks.h"

enum { SUM_LOW_BITS = 7 };

ALWAYS_INLINE void load_weights(enum elem type, const void *block, struct weights *w) {
    switch (type) {
    case ELEM_Q2_K: load_q2_k(block, w); break;
    case ELEM_Q3_K: load_q3_k(block, w); break;
    case ELEM_Q4_K: load_q4_k(block, w); break;
    case ELEM_Q5_K: load_q5_k(block, w); break;
    case ELEM_Q6_K: load_q6_k(block, w); break;
    case ELEM_IQ4_XS: load_iq4_xs(block, w); break;
    case ELEM_IQ2_XXS: load_iq2_xxs(block, w); break;
    case ELEM_IQ2_XS: load_iq2_xs(block, w); break;
    case ELEM_IQ2_S: load_iq2_s(block, w); break;
    case ELEM_IQ3_XXS: load_iq3_xxs(block, w); break;
    case ELEM_IQ3_S: load_iq3_s(block, w); break;
    case ELEM_IQ1_S: load_iq1_s(block, w); break;
    case ELEM_IQ1_M: load_iq1_m(block, w); break;
    case ELEM_TQ1_0: load_tq1_0(block, w); break;
    default: load_tq2_0(block, w); break;
    }
}

/* Types whose minima have a scale of their own. */
ALWAYS_INLINE int has_dmin(enum elem type) {
    return type == ELEM_Q2_K || type == ELEM_Q4_K || type == ELEM_Q5_K;
}

/* How much too large the values of load_weights are. */
ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q3_K: return 4;
    case ELEM_Q6_K: return 32;
    case ELEM_TQ2_0: return 1;
    default: return 0;
    }
}

/* Values that share a scale; 256: it is 1. */
ALWAYS_INLINE int group_values(enum elem type) {
    switch (type) {
    case ELEM_TQ1_0:
    case ELEM_TQ2_0: return 256;
    case ELEM_Q2_K:
    case ELEM_Q3_K:
    case ELEM_Q6_K:
    case ELEM_IQ2_XS:
    case ELEM_IQ2_S:
    case ELEM_IQ1_M: return 16;
    default: return 32;
    }
}

ALWAYS_INLINE const struct act_q8k *act_at(const char *x) {
    return (const struct act_q8k *)(const void *)x;
}

/* The sums of 16 activations each: low bits, then the rest. */
ALWAYS_INLINE void split_sums(const struct act_q8k *x, int8x16_t out[2]) {
    int16x8_t first = vld1q_s16(x->sums), second = vld1q_s16(x->sums + 8);
    int8x16_t low = vuzp1q_s8(vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second));
    out[0] = vandq_s8(low, vdupq_n_s8((1 << SUM_LOW_BITS) - 1));
    out[1] = vshrn_high_n_s16(vshrn_n_s16(first, SUM_LOW_BITS), second, SUM_LOW_BITS);
}

/* The number of tokens from which a panel pays: SDOT multiplies a panel no faster than
 * rows of values that are quickly unpacked. */
ALWAYS_INLINE size_t panel_from(enum elem type) {
    switch (type) {
    case ELEM_Q2_K:
    case ELEM_Q4_K:
    case ELEM_IQ4_XS:
    case ELEM_TQ2_0: return LANE_TOKENS == 1 ? 3 : 2;
    default: return 2;
    }
}

/* ---- few tokens ---- */

/* Four partial dot products of a block; the values' offset is still in them. */
ALWAYS_INLINE int32x4_t partial_dots(enum elem type, const struct weights *w,
                                     const struct act_q8k *x) {
    const int groups = group_values(type) / 16;
    int32x4_t dot = vdupq_n_s32(0), part = dot, scales[4];
    if (groups < 16) {
        int16x8_t low = vmovl_s8(vget_low_s8(w->scale)), high = vmovl_high_s8(w->scale);
        scales[0] = vmovl_s16(vget_low_s16(low));
        scales[1] = vmovl_high_s16(low);
        scales[2] = vmovl_s16(vget_low_s16(high));
        scales[3] = vmovl_high_s16(high);
    }
    UNROLL for (int g = 0; g < 16; g++) {
        if (g % groups == 0) part = vdupq_n_s32(0);
        part = vdotq_s32(part, w->q[g], vld1q_s8(x->q + 16 * g));
        if (groups < 16 && g % groups == groups - 1)
            dot = vmlaq_n_s32(dot, part, scales[g / 4][g % 4]);
    }
    return groups < 16 ? dot : part;
}

/* Four partial products of a number per group with the sums of the activations. */
ALWAYS_INLINE int32x4_t partial_minima(int8x16_t minima, const int8x16_t sums[2]) {
    int32x4_t low = vdotq_s32(vdupq_n_s32(0), minima, sums[0]);
    int32x4_t high = vdotq_s32(vdupq_n_s32(0), minima, sums[1]);
    return vaddq_s32(low, vshlq_n_s32(high, SUM_LOW_BITS));
}

/* Of four rows' block. */
struct few_dots {
    int32x4_t dots[FEW_ROWS], minima[FEW_ROWS];
    float d[FEW_ROWS], less[FEW_ROWS]; /* less = -dmin */
};

ALWAYS_INLINE void add_row(enum elem type, const void *block, const struct act_q8k *x,
                           const int8x16_t sums[2], size_t r, struct few_dots *out) {
    struct weights w;
    load_weights(type, block, &w);
    out->dots[r] = partial_dots(type, &w, x);
    out->d[r] = w.d;
    if (has_dmin(type)) {
        out->minima[r] = partial_minima(w.minima, sums);
        out->less[r] = -w.dmin;
    } else if (offset(type)) {
        int8x16_t scale = group_values(type) < 256 ? w.scale : vdupq_n_s8(1);
        out->dots[r] =
            vmlsq_s32(out->dots[r], partial_minima(scale, sums), vdupq_n_s32(offset(type)));
    }
}

/* `n_rows` (at most FEW_ROWS) outputs of one token. */
ALWAYS_INLINE void few_rows(enum elem type, struct tile a, size_t n_rows) {
    const struct act_q8k *x = act_at(a.x);
    const char *rows[FEW_ROWS];
    float32x4_t sum = vdupq_n_f32(0);
    row_pointers(&a, n_rows, FEW_ROWS, rows);
    for (size_t i = 0; i < a.n / 256; i++, x++) {
        struct few_dots few;
        int8x16_t sums[2];
        split_sums(x, sums);
        for (size_t r = 0; r < FEW_ROWS; r++)
            add_row(type, rows[r] + i * block_bytes(type), x, sums, r, &few);
        float32x4_t dot = vcvtq_f32_s32(lane_sums(few.dots));
        sum = vfmaq_f32(sum, dot, vmulq_n_f32(vld1q_f32(few.d), x->scale));
        if (!has_dmin(type)) continue;
        float32x4_t minima = vcvtq_f32_s32(lane_sums(few.minima));
        sum = vfmaq_f32(sum, minima, vmulq_n_f32(vld1q_f32(few.less), x->scale));
    }
    store_four(a.y, sum, n_rows);
}

/* ---- many tokens ---- */

/* One block of the rows. */
struct panel {
    int8x16_t q[16][PANEL_ROWS];
    int8x16_t minima[PANEL_ROWS];
    int32_t scale[16][PANEL_ROWS];
    float d[PANEL_ROWS], less[PANEL_ROWS];
};

ALWAYS_INLINE void put_scales(struct panel *p, size_t r, int8x16_t scales) {
    UNROLL for (int g = 0; g < 16; g++) p->scale[g][r] = scales[g];
}

/* Block i of the rows. */
ALWAYS_INLINE void fill_panel(enum elem type, struct panel *p, const char *const rows[PANEL_ROWS],
                              size_t i) {
    const int8x16_t over = vdupq_n_s8((int8_t)offset(type));
    for (size_t r = 0; r < PANEL_ROWS; r++) {
        struct weights w;
        load_weights(type, rows[r] + i * block_bytes(type), &w);
        UNROLL for (int g = 0; g < 16; g++) p->q[g][r] = vsubq_s8(w.q[g], over);
        if (group_values(type) < 256) put_scales(p, r, w.scale);
        p->d[r] = w.d;
        if (!has_dmin(type)) continue;
        p->minima[r] = w.minima;
        p->less[r] = -w.dmin;
    }
    for (int g = 0; g < 16; g++)
        interleave_panel(p->q[g]);
    if (has_dmin(type)) interleave_panel(p->minima);
}

ALWAYS_INLINE void multiply_values(enum elem type, const struct panel *p, int tokens,
                                   const char *const at[TILE_TOKENS], struct tile_dots *dots) {
    const size_t groups = (size_t)group_values(type) / 16;
    clear(dots);
    for (size_t first = 0; first < 16; first += groups) {
        struct tile_dots part;
        int32x4_t scale[ROW_SETS];
        clear(&part);
        for (size_t g = first; g < first + groups; g++) {
            int8x16_t x[TILE_TOKENS];
            load_tokens(tokens, at, offsetof(struct act_q8k, q) + 16 * g, x);
            multiply(tokens, p->q[g], x, part.at);
        }
        if (groups == 16) {
            *dots = part;
            break;
        }
        spread_row_scales(p->scale[first], scale);
        UNROLL for (int s = 0; s < ROW_SETS; s++) {
            UNROLL for (int t = 0; t < tokens / LANE_TOKENS; t++) dots->at[s][t] =
                vmlaq_s32(dots->at[s][t], part.at[s][t], scale[s]);
        }
    }
}

ALWAYS_INLINE void multiply_minima(const struct panel *p, int tokens,
                                   const char *const at[TILE_TOKENS], struct tile_dots *minima) {
    int8x16_t low[TILE_TOKENS], high[TILE_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) {
        int8x16_t both[2];
        split_sums(act_at(at[t]), both);
        low[t] = both[0];
        high[t] = both[1];
    }
    interleave_tokens(tokens, low);
    interleave_tokens(tokens, high);
    clear(minima);
    multiply(tokens, p->minima, high, minima->at);
    UNROLL for (int s = 0; s < ROW_SETS; s++) {
        UNROLL for (int t = 0; t < tokens / LANE_TOKENS; t++) minima->at[s][t] =
            vshlq_n_s32(minima->at[s][t], SUM_LOW_BITS);
    }
    multiply(tokens, p->minima, low, minima->at);
}

/* Adds the panel's block times those of a tile's tokens. */
ALWAYS_INLINE void panel_tokens(enum elem type, const struct panel *p, int tokens,
                                const char *const at[TILE_TOKENS], struct tile_sums *sums) {
    struct tile_dots dots;
    float scale[TILE_TOKENS];
    UNROLL for (int t = 0; t < tokens; t++) scale[t] = act_at(at[t])->scale;
    multiply_values(type, p, tokens, at, &dots);
    add_dots(tokens, &dots, p->d, scale, sums);
    if (!has_dmin(type)) return;
    multiply_minima(p, tokens, at, &dots);
    add_dots(tokens, &dots, p->less, scale, sums);
}

/* n_rows <= PANEL_ROWS, n_tokens <= PANEL_TOKENS outputs. */
ALWAYS_INLINE void many_tokens(enum elem type, struct tile a, size_t n_rows, size_t n_tokens) {
    const char *rows[PANEL_ROWS], *at[TILE_TOKENS];
    struct tile_sums sums[PANEL_TOKENS / TILE_TOKENS];
    struct panel panel;
    row_pointers(&a, n_rows, PANEL_ROWS, rows);
    memset(sums, 0, sizeof sums);
    for (size_t i = 0; i < a.n / 256; i++) {
        const char *x = a.x + i * sizeof(struct act_q8k);
        fill_panel(type, &panel, rows, i);
        for (size_t t = 0; t < n_tokens; t += TILE_TOKENS) {
            token_pointers(x + t * a.x_stride, a.x_stride, n_tokens - t, at);
            if (n_tokens - t > 2)
                panel_tokens(type, &panel, 4, at, &sums[t / TILE_TOKENS]);
            else
                panel_tokens(type, &panel, 2, at, &sums[t / TILE_TOKENS]);
        }
    }
    for (size_t t = 0; t < n_tokens; t += TILE_TOKENS)
        store_tile(a.y + t * a.y_stride, a.y_stride, &sums[t / TILE_TOKENS], n_rows, n_tokens - t);
}

LINEAR_FROM_PANELS(linear_q2_k, ELEM_Q2_K)
LINEAR_FROM_PANELS(linear_q3_k, ELEM_Q3_K)
LINEAR_FROM_PANELS(linear_q4_k, ELEM_Q4_K)
LINEAR_FROM_PANELS(linear_q5_k, ELEM_Q5_K)
LINEAR_FROM_PANELS(linear_q6_k, ELEM_Q6_K)
LINEAR_FROM_PANELS(linear_iq4_xs, ELEM_IQ4_XS)
LINEAR_FROM_PANELS(linear_iq2_xxs, ELEM_IQ2_XXS)
LINEAR_FROM_PANELS(linear_iq2_xs, ELEM_IQ2_XS)
LINEAR_FROM_PANELS(linear_iq2_s, ELEM_IQ2_S)
LINEAR_FROM_PANELS(linear_iq3_xxs, ELEM_IQ3_XXS)
LINEAR_FROM_PANELS(linear_iq3_s, ELEM_IQ3_S)
LINEAR_FROM_PANELS(linear_iq1_s, ELEM_IQ1_S)
LINEAR_FROM_PANELS(linear_iq1_m, ELEM_IQ1_M)
LINEAR_FROM_PANELS(linear_tq1_0, ELEM_TQ1_0)
LINEAR_FROM_PANELS(linear_tq2_0, ELEM_TQ2_0)

ALWAYS_INLINE void fill_super(struct kernels *k) {
    iq_points_fill();
    k->linear[ELEM_Q2_K] = linear_q2_k;
    k->linear[ELEM_Q3_K] = linear_q3_k;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q5_K] = linear_q5_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
    k->linear[ELEM_IQ4_XS] = linear_iq4_xs;
    k->linear[ELEM_IQ2_XXS] = linear_iq2_xxs;
    k->linear[ELEM_IQ2_XS] = linear_iq2_xs;
    k->linear[ELEM_IQ2_S] = linear_iq2_s;
    k->linear[ELEM_IQ3_XXS] = linear_iq3_xxs;
    k->linear[ELEM_IQ3_S] = linear_iq3_s;
    k->linear[ELEM_IQ1_S] = linear_iq1_s;
    k->linear[ELEM_IQ1_M] = linear_iq1_m;
    k->linear[ELEM_TQ1_0] = linear_tq1_0;
    k->linear[ELEM_TQ2_0] = linear_tq2_0;
}

#endif
