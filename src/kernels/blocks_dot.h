/* blocks_dot.h - blocks of the quantised types as files store them, and the small
 * decoders that every level's dot products share.
 *
 * Layouts are those of the ggml formats (ggml-common.h); a uint16_t `d`, `m`, `dmin`
 * is an IEEE half. Nibbles of a 32-value block are split in halves: byte j holds
 * value j in its low and value j + 16 in its high four bits. */
#ifndef HEARTH_KERNELS_BLOCKS_DOT_H
#define HEARTH_KERNELS_BLOCKS_DOT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/elem.h"

struct block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};
struct block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
};
struct block_q5_0 {
    uint16_t d;
    uint8_t qh[4]; /* bit j: the fifth bit of value j */
    uint8_t qs[16];
};
struct block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
};
struct block_q8_0 {
    uint16_t d;
    int8_t qs[32];
};
struct block_iq4_nl {
    uint16_t d;
    uint8_t qs[16]; /* indices into iq4_values */
};
struct block_mxfp4 {
    uint8_t e;      /* E8M0 */
    uint8_t qs[16]; /* E2M1 */
};
struct block_nvfp4 {
    uint8_t d[4];   /* UE4M3 per 16 values */
    uint8_t qs[32]; /* E2M1; 8 bytes per 16 values, halves of 8 */
};
struct block_q2_K {
    uint8_t scales[16]; /* low nibble: scale, high: minimum, per 16 values */
    uint8_t qs[64];     /* value 128 h + 32 j + l: bits 2 j of byte 32 h + l */
    uint16_t d, dmin;
};
struct block_q3_K {
    uint8_t hmask[32];  /* value 128 h + 32 j + l: bit 4 h + j of byte l */
    uint8_t qs[64];     /* as in q2_K */
    uint8_t scales[12]; /* 16 of 6 bits, see q3_K_scales */
    uint16_t d;
};
struct block_q4_K {
    uint16_t d, dmin;
    uint8_t scales[12]; /* 8 scales and 8 minima of 6 bits, see q4_K_scales */
    uint8_t qs[128];    /* value 64 c + l: low nibble of byte 32 c + l; + 32: high */
};
struct block_q5_K {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32]; /* value 32 s + l: bit s of byte l */
    uint8_t qs[128];
};
struct block_q6_K {
    uint8_t ql[128]; /* value 128 h + l: low nibble of byte 64 h + l, l < 64; + 64: high */
    uint8_t qh[64];  /* value 128 h + 32 j + l: bits 2 j of byte 32 h + l */
    int8_t scales[16];
    uint16_t d;
};
struct block_iq4_xs {
    uint16_t d, scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128]; /* 16 bytes per 32 values, as iq4_nl */
};
struct block_tq2_0 {
    uint8_t qs[64]; /* as in q2_K; 0, 1, 2 stand for -1, 0, 1 */
    uint16_t d;
};

_Static_assert(sizeof(struct block_q4_0) == 18 && sizeof(struct block_q4_1) == 20, "layout");
_Static_assert(sizeof(struct block_q5_0) == 22 && sizeof(struct block_q5_1) == 24, "layout");
_Static_assert(sizeof(struct block_q8_0) == 34 && sizeof(struct block_iq4_nl) == 18, "layout");
_Static_assert(sizeof(struct block_mxfp4) == 17 && sizeof(struct block_nvfp4) == 36, "layout");
_Static_assert(sizeof(struct block_q2_K) == 84 && sizeof(struct block_q3_K) == 110, "layout");
_Static_assert(sizeof(struct block_q4_K) == 144 && sizeof(struct block_q5_K) == 176, "layout");
_Static_assert(sizeof(struct block_q6_K) == 210 && sizeof(struct block_iq4_xs) == 136, "layout");
_Static_assert(sizeof(struct block_tq2_0) == 66, "layout");

/* Folds to a constant where the type is one. */
static inline size_t block_bytes(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return sizeof(struct block_q4_0);
    case ELEM_Q4_1: return sizeof(struct block_q4_1);
    case ELEM_Q5_0: return sizeof(struct block_q5_0);
    case ELEM_Q5_1: return sizeof(struct block_q5_1);
    case ELEM_Q8_0: return sizeof(struct block_q8_0);
    case ELEM_IQ4_NL: return sizeof(struct block_iq4_nl);
    case ELEM_MXFP4: return sizeof(struct block_mxfp4);
    case ELEM_NVFP4: return sizeof(struct block_nvfp4) / 2; /* per 32 values */
    case ELEM_Q2_K: return sizeof(struct block_q2_K);
    case ELEM_Q3_K: return sizeof(struct block_q3_K);
    case ELEM_Q4_K: return sizeof(struct block_q4_K);
    case ELEM_Q5_K: return sizeof(struct block_q5_K);
    case ELEM_Q6_K: return sizeof(struct block_q6_K);
    case ELEM_IQ4_XS: return sizeof(struct block_iq4_xs);
    default: return sizeof(struct block_tq2_0);
    }
}

/* The 16 values of iq4_nl and iq4_xs, and twice those of E2M1 (OCP Microscaling
 * Formats specification 1.0). */
#define IQ4_VALUES -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
#define E2M1_VALUES_TWICE 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12

/* Half of 2^(e - 127): E2M1 values are stored doubled. */
static inline float e8m0_half(uint8_t e) {
    uint32_t bits = e < 2 ? UINT32_C(0x00200000) << e : (uint32_t)(e - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Half of an unsigned E4M3 number; its NaN code 0x7f counts as zero. */
static inline float ue4m3_half(uint8_t e) {
    uint32_t exponent = e >> 3 & 15u, fraction = e & 7u;
    if (e == 0x7f) return 0;
    if (exponent == 0) return (float)fraction * 0x1.0p-10f;
    uint32_t bits = (exponent + 119) << 23 | fraction << 20; /* 127 - 7 - 1 */
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The scales of q4_K and q5_K, one byte each: the first four have their 6 bits in
 * the first (minima: second) group of four bytes; the last four have 4 bits in the
 * third group's low (high) nibbles and 2 in the top bits of the first (second). */
static inline void q4_K_scales(const uint8_t packed[12], uint32_t scales[2], uint32_t minima[2]) {
    uint32_t g[3];
    memcpy(g, packed, sizeof g);
    scales[0] = g[0] & 0x3f3f3f3fu;
    scales[1] = (g[2] & 0x0f0f0f0fu) | (g[0] >> 2 & 0x30303030u);
    minima[0] = g[1] & 0x3f3f3f3fu;
    minima[1] = (g[2] >> 4 & 0x0f0f0f0fu) | (g[1] >> 2 & 0x30303030u);
}

/* The 16 scales of q3_K, one byte each, 32 too large: low 4 bits in the nibbles of
 * the first 8 bytes, high 2 bits in the last 4 bytes. */
static inline void q3_K_scales(const uint8_t packed[12], uint32_t scales[4]) {
    uint32_t g[3];
    memcpy(g, packed, sizeof g);
    scales[0] = (g[0] & 0x0f0f0f0fu) | (g[2] << 4 & 0x30303030u);
    scales[1] = (g[1] & 0x0f0f0f0fu) | (g[2] << 2 & 0x30303030u);
    scales[2] = (g[0] >> 4 & 0x0f0f0f0fu) | (g[2] & 0x30303030u);
    scales[3] = (g[1] >> 4 & 0x0f0f0f0fu) | (g[2] >> 2 & 0x30303030u);
}

/* Scale of 32 values of iq4_xs. */
static inline int iq4_xs_scale(const struct block_iq4_xs *b, int group) {
    int low = b->scales_l[group / 2] >> 4 * (group % 2) & 15;
    return (low | (b->scales_h >> 2 * group & 3) << 4) - 32;
}

/* Scale and its inverse of an activation block whose largest magnitude is `most`,
 * so that |q| <= 127. False: the block quantises to zeros, its scale being zero
 * (nothing of it matters) or NaN (it holds an infinity or NaN, and so must every
 * output it takes part in). */
static inline int act_scale(float most, float *scale, float *inverse) {
    *inverse = 0;
    *scale = most < INFINITY ? 0 : NAN;
    if (!(most < INFINITY) || most < 0x1.0p-100f) return 0;
    *scale = most / 127.0f;
    *inverse = 127.0f / most;
    return 1;
}

#endif
