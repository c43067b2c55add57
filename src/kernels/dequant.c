/* Dequantisation of the block formats whose codes are numbers: legacy, 4-bit float,
 * ternary and K types. Layouts and formulas: blocks.h. The order of the products is
 * part of the definition, so results are equal bit for bit everywhere. */
#include "kernels/dequant.h"

#include "kernels/blocks.h"
#include "kernels/iq_tables.h"

static void dequantize_q4_0(const void *blocks, float *out, size_t n) {
    const struct block_q4_0 *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)((b->q[i] & 15) - 8) * d;
            out[i + 16] = (float)((b->q[i] >> 4) - 8) * d;
        }
    }
}

static void dequantize_q4_1(const void *blocks, float *out, size_t n) {
    const struct block_q4_1 *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)(b->q[i] & 15) * d + m;
            out[i + 16] = (float)(b->q[i] >> 4) * d + m;
        }
    }
}

static inline int fifth(uint32_t high, int i) {
    return (int)(high >> i & 1) << 4;
}

static void dequantize_q5_0(const void *blocks, float *out, size_t n) {
    const struct block_q5_0 *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++) {
        float d = f16_to_f32(b->d);
        uint32_t high = b->high;
        for (int i = 0; i < 16; i++) {
            out[i] = (float)(((b->q[i] & 15) | fifth(high, i)) - 16) * d;
            out[i + 16] = (float)((b->q[i] >> 4 | fifth(high, i + 16)) - 16) * d;
        }
    }
}

static void dequantize_q5_1(const void *blocks, float *out, size_t n) {
    const struct block_q5_1 *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        uint32_t high = b->high;
        for (int i = 0; i < 16; i++) {
            out[i] = (float)((b->q[i] & 15) | fifth(high, i)) * d + m;
            out[i + 16] = (float)(b->q[i] >> 4 | fifth(high, i + 16)) * d + m;
        }
    }
}

static void dequantize_q8_0(const void *blocks, float *out, size_t n) {
    const struct block_q8_0 *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 32; i++)
            out[i] = (float)b->q[i] * d;
    }
}

static void dequantize_q1_0(const void *blocks, float *out, size_t n) {
    const struct block_q1_0 *b = blocks;
    for (const float *end = out + n; out < end; out += 128, b++) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 128; i++)
            out[i] = b->q[i / 8] >> i % 8 & 1 ? d : -d;
    }
}

static void dequantize_q2_0(const void *blocks, float *out, size_t n) {
    const struct block_q2_0 *b = blocks;
    for (const float *end = out + n; out < end; out += 64, b++) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < 64; i++)
            out[i] = (float)((b->q[i / 4] >> 2 * (i % 4) & 3) - 1) * d;
    }
}

static void dequantize_mxfp4(const void *blocks, float *out, size_t n) {
    const struct block_mxfp4 *b = blocks;
    for (const float *end = out + n; out < end; out += 32, b++) {
        float d = e8m0_half(b->exponent);
        for (int i = 0; i < 16; i++) {
            out[i] = (float)fp4_levels[b->q[i] & 15] * d;
            out[i + 16] = (float)fp4_levels[b->q[i] >> 4] * d;
        }
    }
}

static void dequantize_nvfp4(const void *blocks, float *out, size_t n) {
    const struct block_nvfp4 *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        for (int g = 0; g < 4; g++, out += 16) {
            float d = ue4m3_half(b->d[g]);
            for (int i = 0; i < 8; i++) {
                out[i] = (float)fp4_levels[b->q[8 * g + i] & 15] * d;
                out[i + 8] = (float)fp4_levels[b->q[8 * g + i] >> 4] * d;
            }
        }
    }
}

static const uint8_t power_of_3[5] = {1, 3, 9, 27, 81};

/* Trits of n_bytes bytes: first the first trit of each byte, then the second, ... */
static float *trits(const uint8_t *q, int n_bytes, int n_trits, float d, float *out) {
    for (int k = 0; k < n_trits; k++)
        for (int i = 0; i < n_bytes; i++) {
            uint8_t rest = (uint8_t)(q[i] * power_of_3[k]);
            *out++ = (float)((rest * 3 >> 8) - 1) * d;
        }
    return out;
}

static void dequantize_tq1_0(const void *blocks, float *out, size_t n) {
    const struct block_tq1_0 *b = blocks;
    for (const float *end = out + n; out < end; b++) {
        float d = f16_to_f32(b->d);
        out = trits(b->q, 32, 5, d, out);
        out = trits(b->q + 32, 16, 5, d, out);
        out = trits(b->high, 4, 4, d, out);
    }
}

static void dequantize_tq2_0(const void *blocks, float *out, size_t n) {
    const struct block_tq2_0 *b = blocks;
    for (const float *end = out + n; out < end; out += SUPER, b++) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < SUPER; i++)
            out[i] = (float)(two_bits(b->q, i) - 1) * d;
    }
}

static void dequantize_q2_k(const void *blocks, float *out, size_t n) {
    const struct block_q2_k *b = blocks;
    for (const float *end = out + n; out < end; out += SUPER, b++) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)(b->scales[s] & 15), min = dmin * (float)(b->scales[s] >> 4);
            const uint8_t *q = b->q + s / 8 * 32 + s % 2 * 16;
            int shift = s % 8 / 2 * 2;
            for (int i = 0; i < 16; i++)
                out[16 * s + i] = scale * (float)(q[i] >> shift & 3) - min;
        }
    }
}

static void dequantize_q3_k(const void *blocks, float *out, size_t n) {
    const struct block_q3_k *b = blocks;
    for (const float *end = out + n; out < end; out += SUPER, b++) {
        float d = f16_to_f32(b->d);
        union k_scales scales = q3_k_scales(b->scales);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)(scales.at[s] - 32);
            const uint8_t *q = b->q + s / 8 * 32 + s % 2 * 16, *high = b->high + s % 2 * 16;
            int shift = s % 8 / 2 * 2;
            for (int i = 0; i < 16; i++) {
                int code = (q[i] >> shift & 3) | (high[i] >> s / 2 & 1) << 2;
                out[16 * s + i] = scale * (float)(code - 4);
            }
        }
    }
}

static void dequantize_q4_k(const void *blocks, float *out, size_t n) {
    const struct block_q4_k *b = blocks;
    for (const float *end = out + n; out < end; out += SUPER, b++) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        union k_scales scales = q4_k_scales(b->scales);
        for (int s = 0; s < 8; s++) {
            float ds = d * (float)scales.at[s], ms = dmin * (float)scales.at[8 + s];
            const uint8_t *q = b->q + s / 2 * 32;
            for (int i = 0; i < 32; i++)
                out[32 * s + i] = ds * (float)(q[i] >> s % 2 * 4 & 15) - ms;
        }
    }
}

static void dequantize_q5_k(const void *blocks, float *out, size_t n) {
    const struct block_q5_k *b = blocks;
    for (const float *end = out + n; out < end; out += SUPER, b++) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        union k_scales scales = q4_k_scales(b->scales);
        for (int s = 0; s < 8; s++) {
            float ds = d * (float)scales.at[s], ms = dmin * (float)scales.at[8 + s];
            const uint8_t *q = b->q + s / 2 * 32;
            for (int i = 0; i < 32; i++) {
                int code = (q[i] >> s % 2 * 4 & 15) | (b->high[i] >> s & 1) << 4;
                out[32 * s + i] = ds * (float)code - ms;
            }
        }
    }
}

static void dequantize_q6_k(const void *blocks, float *out, size_t n) {
    const struct block_q6_k *b = blocks;
    for (const float *end = out + n; out < end; out += SUPER, b++) {
        float d = f16_to_f32(b->d);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)b->scales[s];
            int half = s / 8, k = s % 8 / 2, start = s % 2 * 16;
            const uint8_t *q = b->q + 64 * half + 32 * (k % 2) + start;
            const uint8_t *high = b->high + 32 * half + start;
            for (int i = 0; i < 16; i++) {
                int code = (q[i] >> k / 2 * 4 & 15) | (high[i] >> 2 * k & 3) << 4;
                out[16 * s + i] = scale * (float)(code - 32);
            }
        }
    }
}

void dequantize_fill(struct kernels *k) {
    k->dequantize[ELEM_Q4_0] = dequantize_q4_0;
    k->dequantize[ELEM_Q4_1] = dequantize_q4_1;
    k->dequantize[ELEM_Q5_0] = dequantize_q5_0;
    k->dequantize[ELEM_Q5_1] = dequantize_q5_1;
    k->dequantize[ELEM_Q8_0] = dequantize_q8_0;
    k->dequantize[ELEM_Q1_0] = dequantize_q1_0;
    k->dequantize[ELEM_Q2_0] = dequantize_q2_0;
    k->dequantize[ELEM_MXFP4] = dequantize_mxfp4;
    k->dequantize[ELEM_NVFP4] = dequantize_nvfp4;
    k->dequantize[ELEM_TQ1_0] = dequantize_tq1_0;
    k->dequantize[ELEM_TQ2_0] = dequantize_tq2_0;
    k->dequantize[ELEM_Q2_K] = dequantize_q2_k;
    k->dequantize[ELEM_Q3_K] = dequantize_q3_k;
    k->dequantize[ELEM_Q4_K] = dequantize_q4_k;
    k->dequantize[ELEM_Q5_K] = dequantize_q5_k;
    k->dequantize[ELEM_Q6_K] = dequantize_q6_k;
    dequantize_fill_codebooks(k);
}
