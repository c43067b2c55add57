/* Linear layers of quantised weights with the ARM dot product extension (SDOT). */
#include <arm_neon.h>

#include "kernels/blocks.h"
#include "kernels/iq_tables.h"
#include "kernels/kernels.h"
#include "kernels/linear_tile.h"

/* 32 weights as signed bytes, with their scale. */
struct weights {
    int8x16_t low, high;
    float d;
};

ALWAYS_INLINE float half(uint16_t d) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(d))), 0);
}

ALWAYS_INLINE int8x16_t low_nibbles(uint8x16_t bytes) {
    return vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
}

ALWAYS_INLINE int8x16_t high_nibbles(uint8x16_t bytes) {
    return vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
}

ALWAYS_INLINE struct weights look_up(uint8x16_t bytes, const int8_t values[16], float d) {
    int8x16_t table = vld1q_s8(values);
    return (struct weights){vqtbl1q_s8(table, vreinterpretq_u8_s8(low_nibbles(bytes))),
                            vqtbl1q_s8(table, vreinterpretq_u8_s8(high_nibbles(bytes))), d};
}

ALWAYS_INLINE struct weights load_weights(enum elem type, const void *block) {
    switch (type) {
    case ELEM_Q4_0: {
        const struct block_q4_0 *b = block;
        const int8x16_t eight = vdupq_n_s8(8);
        uint8x16_t bytes = vld1q_u8(b->q);
        return (struct weights){vsubq_s8(low_nibbles(bytes), eight),
                                vsubq_s8(high_nibbles(bytes), eight), half(b->d)};
    }
    case ELEM_Q8_0: {
        const struct block_q8_0 *b = block;
        return (struct weights){vld1q_s8(b->q), vld1q_s8(b->q + 16), half(b->d)};
    }
    case ELEM_IQ4_NL: {
        const struct block_iq4_nl *b = block;
        return look_up(vld1q_u8(b->q), iq4_levels, half(b->d));
    }
    default: {
        const struct block_mxfp4 *b = block;
        return look_up(vld1q_u8(b->q), fp4_levels, e8m0_half(b->exponent));
    }
    }
}

enum { MOST_ROWS = 4, MOST_TOKENS = 4 };

/* 32-value blocks against ACT_Q8: 4 lanes of sums over blocks. */
ALWAYS_INLINE void q8_tile(enum elem type, int rows, int tokens, struct tile a) {
    float32x4_t sums[MOST_ROWS][MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = vdupq_n_f32(0);
    }
    for (size_t i = 0; i < a.n / 32; i++) {
        UNROLL for (int r = 0; r < rows; r++) {
            struct weights w =
                load_weights(type, a.w + (size_t)r * a.w_stride + i * block_bytes(type));
            UNROLL for (int t = 0; t < tokens; t++) {
                const char *row = a.x + (size_t)t * a.x_stride;
                const struct act_q8 *x = (const struct act_q8 *)(const void *)row + i;
                int32x4_t dot = vdotq_s32(vdupq_n_s32(0), w.low, vld1q_s8(x->q));
                dot = vdotq_s32(dot, w.high, vld1q_s8(x->q + 16));
                sums[r][t] = vfmaq_n_f32(sums[r][t], vcvtq_f32_s32(dot), w.d * x->scale);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            vaddvq_f32(sums[r][t]);
    }
}

/* 256 weights as bytes by groups of 16, with their scales. */
struct wide_weights {
    int8x16_t q[16];
    int scale[16];
    int16x8_t minima; /* per 32 values; subtracted times the sum of the activations */
    float d, dmin;
};

ALWAYS_INLINE void load_q4_k(const struct block_q4_k *b, struct wide_weights *w) {
    union k_scales scales = q4_k_scales(b->scales);
    UNROLL for (int j = 0; j < 4; j++) {
        UNROLL for (int h = 0; h < 2; h++) {
            uint8x16_t bytes = vld1q_u8(b->q + 32 * j + 16 * h);
            w->q[4 * j + h] = low_nibbles(bytes);
            w->q[4 * j + 2 + h] = high_nibbles(bytes);
        }
    }
    for (int j = 0; j < 16; j++)
        w->scale[j] = scales.at[j / 2];
    w->minima = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(scales.at + 8)));
    w->d = half(b->d);
    w->dmin = half(b->dmin);
}

ALWAYS_INLINE void load_q6_k(const struct block_q6_k *b, struct wide_weights *w) {
    const int8x16_t over = vdupq_n_s8(32);
    UNROLL for (int k = 0; k < 16; k++) {
        int h = k / 8, j = k / 2 % 4, part = k % 2;
        uint8x16_t bytes = vld1q_u8(b->q + 64 * h + j % 2 * 32 + 16 * part);
        uint8x16_t high =
            vshlq_u8(vld1q_u8(b->high + 32 * h + 16 * part), vdupq_n_s8((int8_t)(-2 * j)));
        high = vshlq_n_u8(vandq_u8(high, vdupq_n_u8(3)), 4);
        int8x16_t low = j < 2 ? low_nibbles(bytes) : high_nibbles(bytes);
        w->q[k] = vsubq_s8(vorrq_s8(low, vreinterpretq_s8_u8(high)), over);
        w->scale[k] = b->scales[k];
    }
    w->minima = vdupq_n_s16(0);
    w->d = half(b->d);
    w->dmin = 0;
}

/* 256-value blocks against ACT_Q8_K. */
ALWAYS_INLINE float32x4_t add_wide(enum elem type, const struct wide_weights *w,
                                   const struct act_q8k *x, float32x4_t sum) {
    int32x4_t dot = vdupq_n_s32(0);
    UNROLL for (int k = 0; k < 16; k++) {
        int32x4_t part = vdotq_s32(vdupq_n_s32(0), w->q[k], vld1q_s8(x->q + 16 * k));
        dot = vmlaq_n_s32(dot, part, w->scale[k]);
    }
    sum = vfmaq_n_f32(sum, vcvtq_f32_s32(dot), w->d * x->scale);
    if (type == ELEM_Q6_K) return sum;
    int16x8_t pairs = vpaddq_s16(vld1q_s16(x->sums), vld1q_s16(x->sums + 8));
    int32x4_t minima = vmull_s16(vget_low_s16(w->minima), vget_low_s16(pairs));
    minima = vmlal_high_s16(minima, w->minima, pairs);
    return vfmsq_f32(sum, vcvtq_f32_s32(minima), vdupq_n_f32(w->dmin * x->scale));
}

ALWAYS_INLINE void q8k_tile(enum elem type, int rows, int tokens, struct tile a) {
    float32x4_t sums[MOST_ROWS][MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = vdupq_n_f32(0);
    }
    for (size_t i = 0; i < a.n / 256; i++) {
        UNROLL for (int r = 0; r < rows; r++) {
            struct wide_weights w;
            const void *block = a.w + (size_t)r * a.w_stride + i * block_bytes(type);
            if (type == ELEM_Q4_K)
                load_q4_k(block, &w);
            else
                load_q6_k(block, &w);
            UNROLL for (int t = 0; t < tokens; t++) {
                const char *row = a.x + (size_t)t * a.x_stride;
                sums[r][t] =
                    add_wide(type, &w, (const struct act_q8k *)(const void *)row + i, sums[r][t]);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            vaddvq_f32(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_q4_0, q8_tile, ELEM_Q4_0, 2, 4, 2)
LINEAR_FROM_TILE(linear_q8_0, q8_tile, ELEM_Q8_0, 2, 4, 2)
LINEAR_FROM_TILE(linear_iq4_nl, q8_tile, ELEM_IQ4_NL, 2, 4, 2)
LINEAR_FROM_TILE(linear_mxfp4, q8_tile, ELEM_MXFP4, 2, 4, 2)
LINEAR_FROM_TILE(linear_q4_k, q8k_tile, ELEM_Q4_K, 1, 4, 1)
LINEAR_FROM_TILE(linear_q6_k, q8k_tile, ELEM_Q6_K, 1, 4, 1)

void kernels_fill_dotprod(struct kernels *k) {
    k->linear[ELEM_Q4_0] = linear_q4_0;
    k->linear[ELEM_Q8_0] = linear_q8_0;
    k->linear[ELEM_IQ4_NL] = linear_iq4_nl;
    k->linear[ELEM_MXFP4] = linear_mxfp4;
    k->linear[ELEM_Q4_K] = linear_q4_k;
    k->linear[ELEM_Q6_K] = linear_q6_k;
}
