/* The oracle of linear layers whose weights are points of a codebook, trits or bits.
 * Formulas and layouts: blocks.h; codebooks: iq_tables.h. */
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/levels.h"
#include "kernels/scalar_dot.h"

static void no_minima(struct wide256 *out, float d) {
    out->d = d;
    out->dmin = 0;
    memset(out->m, 0, sizeof out->m);
}

static int8_t signed_by(int level, unsigned signs, int i) {
    return (int8_t)(signs >> i & 1 ? -level : level);
}

static void widen_iq2_point(unsigned code, unsigned signs, int8_t q[8]) {
    for (int i = 0; i < 8; i++)
        q[i] = signed_by(iq2_levels[code >> 2 * i & 3], signs, i);
}

static void widen_iq3_point(const int8_t levels[8], unsigned code, unsigned signs, int8_t q[4]) {
    for (int i = 0; i < 4; i++)
        q[i] = signed_by(levels[code >> 3 * i & 7], signs, i);
}

/* d (0.5 + s) / 4 = d / 8 (1 + 2 s) */
static void widen_iq2_xxs(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq2_xxs *b = (const struct block_iq2_xxs *)blocks + i;
    no_minima(out, f16_to_f32(b->d) / 8);
    for (int g = 0; g < 32; g++) {
        uint32_t bits = b->sub[g / 4].signs_scale;
        out->scale[g / 2] = (int16_t)(2 * (bits >> 28) + 1);
        widen_iq2_point(iq2_xxs_codes[b->sub[g / 4].index[g % 4]],
                        iq_signs(bits >> g % 4 * 7 & 127), out->q + 8 * g);
    }
}

static void widen_nibble_scales(const uint8_t scales[8], struct wide256 *out) {
    for (int j = 0; j < 16; j++)
        out->scale[j] = (int16_t)(2 * (scales[j / 2] >> j % 2 * 4 & 15) + 1);
}

static void widen_iq2_xs(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq2_xs *b = (const struct block_iq2_xs *)blocks + i;
    no_minima(out, f16_to_f32(b->d) / 8);
    widen_nibble_scales(b->scales, out);
    for (int g = 0; g < 32; g++)
        widen_iq2_point(iq2_xs_codes[b->q[g] & 511], iq_signs(b->q[g] >> 9), out->q + 8 * g);
}

static void widen_iq2_s(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq2_s *b = (const struct block_iq2_s *)blocks + i;
    no_minima(out, f16_to_f32(b->d) / 8);
    widen_nibble_scales(b->scales, out);
    for (int g = 0; g < 32; g++) {
        int index = b->low[g] | (b->high[g / 4] >> g % 4 * 2 & 3) << 8;
        widen_iq2_point(iq2_s_codes[index], b->signs[g], out->q + 8 * g);
    }
}

/* d (0.5 + s) / 2 = d / 4 (1 + 2 s) */
static void widen_iq3_xxs(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq3_xxs *b = (const struct block_iq3_xxs *)blocks + i;
    no_minima(out, f16_to_f32(b->d) / 4);
    for (int g = 0; g < 64; g++) {
        uint32_t bits = b->signs_scale[g / 8];
        out->scale[g / 4] = (int16_t)(2 * (bits >> 28) + 1);
        widen_iq3_point(iq3_xxs_levels, iq3_xxs_codes[b->index[g]],
                        iq_signs(bits >> g % 8 / 2 * 7 & 127) >> g % 2 * 4, out->q + 4 * g);
    }
}

static void widen_iq3_s(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq3_s *b = (const struct block_iq3_s *)blocks + i;
    no_minima(out, f16_to_f32(b->d));
    for (int g = 0; g < 64; g++) {
        int index = b->low[g] | (b->high[g / 8] >> g % 8 & 1) << 8;
        out->scale[g / 4] = (int16_t)(2 * (b->scales[g / 16] >> g % 16 / 8 * 4 & 15) + 1);
        widen_iq3_point(iq3_s_levels, iq3_s_codes[index], (unsigned)b->signs[g / 2] >> g % 2 * 4,
                        out->q + 4 * g);
    }
}

/* 8 (point +- 1/8), the eighth taken from the scale. */
static void widen_iq1_point(unsigned code, int less, int8_t q[8]) {
    for (int i = 0; i < 8; i++)
        q[i] = (int8_t)(8 * ((int)(code >> 2 * i & 3) - 1) + (less ? -1 : 1));
}

static void widen_iq1_s(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq1_s *b = (const struct block_iq1_s *)blocks + i;
    no_minima(out, f16_to_f32(b->d) / 8);
    for (int g = 0; g < 32; g++) {
        int high = b->high[g / 4];
        out->scale[g / 2] = (int16_t)(2 * (high >> 12 & 7) + 1);
        widen_iq1_point(iq1_codes[b->low[g] | (high >> g % 4 * 3 & 7) << 8], high & 0x8000,
                        out->q + 8 * g);
    }
}

static void widen_iq1_m(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_iq1_m *b = (const struct block_iq1_m *)blocks + i;
    no_minima(out, f16_to_f32(iq1_m_half(b)) / 8);
    for (int g = 0; g < 32; g++) {
        int high = b->high[g / 2] >> g % 2 * 4 & 15;
        out->scale[g / 2] = (int16_t)(2 * (b->scales[g / 8] >> g % 8 / 2 * 3 & 7) + 1);
        widen_iq1_point(iq1_codes[b->low[g] | (high & 7) << 8], high & 8, out->q + 8 * g);
    }
}

/* Trit k of a byte, less 1. */
static int8_t trit(uint8_t byte, int k) {
    static const uint8_t powers[] = {1, 3, 9, 27, 81};
    return (int8_t)((uint8_t)(byte * powers[k]) * 3 / 256 - 1);
}

static void widen_tq1_0(const void *blocks, size_t i, struct wide256 *out) {
    const struct block_tq1_0 *b = (const struct block_tq1_0 *)blocks + i;
    no_minima(out, f16_to_f32(b->d));
    for (int j = 0; j < 16; j++)
        out->scale[j] = 1;
    for (int j = 0; j < 160; j++)
        out->q[j] = trit(b->q[j % 32], j / 32);
    for (int j = 0; j < 80; j++)
        out->q[160 + j] = trit(b->q[32 + j % 16], j / 16);
    for (int j = 0; j < 16; j++)
        out->q[240 + j] = trit(b->high[j % 4], j / 4);
}

/* A quarter of a block: 32 of its 128 values. */
static void widen_q1_0(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q1_0 *b = (const struct block_q1_0 *)blocks + i / 4;
    out->scale[0] = out->scale[1] = f16_to_f32(b->d);
    out->m = 0;
    for (size_t j = 0; j < 32; j++)
        out->q[j] = b->q[i % 4 * 4 + j / 8] >> j % 8 & 1 ? 1 : -1;
}

/* Half a block: 32 of its 64 values. */
static void widen_q2_0(const void *blocks, size_t i, struct wide32 *out) {
    const struct block_q2_0 *b = (const struct block_q2_0 *)blocks + i / 2;
    out->scale[0] = out->scale[1] = f16_to_f32(b->d);
    out->m = 0;
    for (size_t j = 0; j < 32; j++)
        out->q[j] = (int8_t)((b->q[i % 2 * 8 + j / 4] >> j % 4 * 2 & 3) - 1);
}

DEFINE_LINEAR(iq2_xxs, 256, act_q8k)
DEFINE_LINEAR(iq2_xs, 256, act_q8k)
DEFINE_LINEAR(iq2_s, 256, act_q8k)
DEFINE_LINEAR(iq3_xxs, 256, act_q8k)
DEFINE_LINEAR(iq3_s, 256, act_q8k)
DEFINE_LINEAR(iq1_s, 256, act_q8k)
DEFINE_LINEAR(iq1_m, 256, act_q8k)
DEFINE_LINEAR(tq1_0, 256, act_q8k)
DEFINE_LINEAR(q1_0, 32, act_q8)
DEFINE_LINEAR(q2_0, 32, act_q8)

void scalar_fill_iq(struct kernels *k) {
    set_linear(k, ELEM_IQ2_XXS, ACT_Q8_K, linear_iq2_xxs);
    set_linear(k, ELEM_IQ2_XS, ACT_Q8_K, linear_iq2_xs);
    set_linear(k, ELEM_IQ2_S, ACT_Q8_K, linear_iq2_s);
    set_linear(k, ELEM_IQ3_XXS, ACT_Q8_K, linear_iq3_xxs);
    set_linear(k, ELEM_IQ3_S, ACT_Q8_K, linear_iq3_s);
    set_linear(k, ELEM_IQ1_S, ACT_Q8_K, linear_iq1_s);
    set_linear(k, ELEM_IQ1_M, ACT_Q8_K, linear_iq1_m);
    set_linear(k, ELEM_TQ1_0, ACT_Q8_K, linear_tq1_0);
    set_linear(k, ELEM_Q1_0, ACT_Q8, linear_q1_0);
    set_linear(k, ELEM_Q2_0, ACT_Q8, linear_q2_0);
}
