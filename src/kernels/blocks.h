/* blocks.h - the packed blocks of every quantised element type, as in the file.
 *
 * The layouts are those of the ggml formats that GGUF files hold. All structs are
 * packed, so a block may sit at any address of a memory-mapped file; numbers of
 * more than one byte are little-endian, as is every machine Hearth runs on.
 *
 * Notation: v[i] is value i of the block; `half` a 16-bit IEEE float; bits are
 * numbered from the least significant one; nibble(q, i) of 16 bytes holding 32
 * codes is the low half of q[i] for i < 16, the high half of q[i - 16] after that.
 * A super-block has 256 values, in sub-blocks of 16 or 32 with a scale each. */
#ifndef HEARTH_KERNELS_BLOCKS_H
#define HEARTH_KERNELS_BLOCKS_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "kernels/elem.h"

#define BLOCK_PACKED __attribute__((packed))

enum { SUPER = 256 /* values of a super-block */ };

/* ---- one scale per block ------------------------------------------------- */

/* v[i] = d * (nibble(q, i) - 8) */
struct block_q4_0 {
    uint16_t d; /* half */
    uint8_t q[16];
} BLOCK_PACKED;

/* v[i] = d * nibble(q, i) + m */
struct block_q4_1 {
    uint16_t d, m; /* half */
    uint8_t q[16];
} BLOCK_PACKED;

/* v[i] = d * ((nibble(q, i) | bit i of high << 4) - 16) */
struct block_q5_0 {
    uint16_t d;    /* half */
    uint32_t high; /* fifth bits */
    uint8_t q[16];
} BLOCK_PACKED;

/* v[i] = d * (nibble(q, i) | bit i of high << 4) + m */
struct block_q5_1 {
    uint16_t d, m; /* half */
    uint32_t high; /* fifth bits */
    uint8_t q[16];
} BLOCK_PACKED;

/* v[i] = d * q[i] */
struct block_q8_0 {
    uint16_t d; /* half */
    int8_t q[32];
} BLOCK_PACKED;

/* v[i] = bit i % 8 of q[i / 8] ? d : -d, for 128 values */
struct block_q1_0 {
    uint16_t d; /* half */
    uint8_t q[16];
} BLOCK_PACKED;

/* v[i] = d * ((q[i / 4] >> 2 * (i % 4) & 3) - 1), for 64 values */
struct block_q2_0 {
    uint16_t d; /* half */
    uint8_t q[16];
} BLOCK_PACKED;

/* v[i] = d * iq4_levels[nibble(q, i)] */
struct block_iq4_nl {
    uint16_t d; /* half */
    uint8_t q[16];
} BLOCK_PACKED;

/* OCP Microscaling Formats (MX) 1.0: v[i] = 2^(exponent - 127) * E2M1(nibble(q, i)).
 * E2M1 has the magnitudes 0, 0.5, 1, 1.5, 2, 3, 4, 6 and its sign in bit 3. */
struct block_mxfp4 {
    uint8_t exponent; /* E8M0 */
    uint8_t q[16];
} BLOCK_PACKED;

/* Four groups of 16 values, group g with the scale d[g] (UE4M3: 4 exponent bits of
 * bias 7, 3 mantissa bits, no sign) and the bytes q[8 g .. 8 g + 7]: value j < 8 of
 * the group is the low nibble of byte j, value 8 + j the high one; E2M1 codes. */
struct block_nvfp4 {
    uint8_t d[4];
    uint8_t q[32];
} BLOCK_PACKED;

/* ---- ternary super-blocks: v[i] = d * (trit - 1) ---------------------------- */

/* A byte b holds five trits t0..t4 (t0 most significant) as ceil(256 n / 243) of
 * n = 81 t0 + 27 t1 + 9 t2 + 3 t3 + t4, so that t_k = (b * 3^k mod 256) * 3 >> 8.
 * Values 0..159: trit i / 32 of q[i % 32]; 160..239: trit (i - 160) / 16 of
 * q[32 + i % 16]; 240..255: trit (i - 240) / 4 of high[i % 4]. */
struct block_tq1_0 {
    uint8_t q[48];
    uint8_t high[4];
    uint16_t d; /* half */
} BLOCK_PACKED;

/* Value 128 h + 32 k + i is bits 2 k, 2 k + 1 of q[32 h + i]. */
struct block_tq2_0 {
    uint8_t q[64];
    uint16_t d; /* half */
} BLOCK_PACKED;

/* ---- K super-blocks ------------------------------------------------------- */

/* Codes of two bits are laid out as in block_tq2_0. Sub-blocks of 16:
 * v = d * (low nibble of scales[s]) * code - dmin * (high nibble of scales[s]) */
struct block_q2_k {
    uint8_t scales[16];
    uint8_t q[64];
    uint16_t d, dmin; /* half */
} BLOCK_PACKED;

/* Sub-blocks of 16: v = d * (scale - 32) * (code - 4). The code's low two bits are
 * laid out as in block_tq2_0, its third bit is bit i / 32 of high[i % 32]. The low
 * nibble of scale s is nibble s % 8 of scales[0..7], low halves first; its bits 4
 * and 5 are bits 2 (s / 4), 2 (s / 4) + 1 of scales[8 + s % 4]. */
struct block_q3_k {
    uint8_t high[32];
    uint8_t q[64];
    uint8_t scales[12];
    uint16_t d; /* half */
} BLOCK_PACKED;

/* Sub-blocks of 32: v = d * scale * code - dmin * min. Values 64 h .. 64 h + 31 are
 * the low nibbles of q[32 h ..], the next 32 the high ones. Scales and mins of six
 * bits: see q4_k_scales(). */
struct block_q4_k {
    uint16_t d, dmin; /* half */
    uint8_t scales[12];
    uint8_t q[128];
} BLOCK_PACKED;

/* As block_q4_k; the code's fifth bit is bit i / 32 of high[i % 32]. */
struct block_q5_k {
    uint16_t d, dmin; /* half */
    uint8_t scales[12];
    uint8_t high[32];
    uint8_t q[128];
} BLOCK_PACKED;

/* Sub-blocks of 16: v = d * scales[s] * (code - 32). In each half h of 128 values,
 * value 32 k + i has its low nibble in q[64 h + 32 (k % 2) + i], low half for
 * k < 2, and its bits 4, 5 in bits 2 k, 2 k + 1 of high[32 h + i]. */
struct block_q6_k {
    uint8_t q[128];
    uint8_t high[64];
    int8_t scales[16];
    uint16_t d; /* half */
} BLOCK_PACKED;

/* Sub-blocks of 32: v = d * (scale - 32) * iq4_levels[nibble(q + 16 s, i)]. Scale s
 * has its low nibble in scales_low[s / 2] (even s: low half) and bits 4, 5 in bits
 * 2 s, 2 s + 1 of scales_high. */
struct block_iq4_xs {
    uint16_t d; /* half */
    uint16_t scales_high;
    uint8_t scales_low[4];
    uint8_t q[128];
} BLOCK_PACKED;

/* ---- codebook super-blocks ------------------------------------------------- */

/* Groups of 8 values (IQ2, IQ1) or 4 (IQ3) are a point of a codebook (iq_tables.h),
 * times signs (bit i set: value i is negative), times a scale. Where only seven
 * sign bits are stored the eighth makes their number even (iq_signs()). */

/* Per 32 values eight bytes: four point indices of 8 bits, then 32 bits: seven sign
 * bits for each of the four groups, a scale of 4 bits: v = d * (0.5 + scale) / 4 *
 * point. */
struct block_iq2_xxs {
    uint16_t d; /* half */
    struct {
        uint8_t index[4];
        uint32_t signs_scale;
    } BLOCK_PACKED sub[8];
} BLOCK_PACKED;

/* Per group: 9 bits of index, 7 of signs. Sub-blocks of 16: scale s is a nibble of
 * scales[s / 2], low half first. */
struct block_iq2_xs {
    uint16_t d; /* half */
    uint16_t q[32];
    uint8_t scales[8];
} BLOCK_PACKED;

/* Per group g: index = low[g] | bits 2 (g % 4), 2 (g % 4) + 1 of high[g / 4] << 8,
 * eight sign bits; scales as in block_iq2_xs. */
struct block_iq2_s {
    uint16_t d; /* half */
    uint8_t low[32];
    uint8_t signs[32];
    uint8_t high[8];
    uint8_t scales[8];
} BLOCK_PACKED;

/* 64 indices of 8 bits; signs and scale per 32 values as in block_iq2_xxs:
 * v = d * (0.5 + scale) / 2 * point. */
struct block_iq3_xxs {
    uint16_t d; /* half */
    uint8_t index[64];
    uint32_t signs_scale[8];
} BLOCK_PACKED;

/* Index g = low[g] | bit g % 8 of high[g / 8] << 8; a sign bit per value; scale s of
 * 32 values is a nibble of scales[s / 2]: v = d * (1 + 2 scale) * point. */
struct block_iq3_s {
    uint16_t d; /* half */
    uint8_t low[64];
    uint8_t high[8];
    uint8_t signs[32];
    uint8_t scales[4];
} BLOCK_PACKED;

/* Per 32 values s: v = d * (2 scale + 1) * (point +- 1/8), points in {-1, 0, 1}^8.
 * high[s]: bits 3 k .. 3 k + 2 top the index of group k, bits 12..14 are the scale,
 * bit 15 set means - 1/8. */
struct block_iq1_s {
    uint16_t d; /* half */
    uint8_t low[32];
    uint16_t high[8];
} BLOCK_PACKED;

/* As block_iq1_s with a scale of 3 bits per 16 values and a shift per group: nibble
 * g of high has the top three index bits of group g and, in bit 3, its shift's sign.
 * Bits 3 k .. 3 k + 2 of scales[j] are the scale of sub-block 4 j + k; the top
 * nibbles of scales[0..3] are the half d, lowest nibble first. */
struct block_iq1_m {
    uint8_t low[32];
    uint8_t high[16];
    uint16_t scales[4];
} BLOCK_PACKED;

static_assert(sizeof(struct block_q4_0) == 18 && sizeof(struct block_q4_1) == 20, "legacy");
static_assert(sizeof(struct block_q5_0) == 22 && sizeof(struct block_q5_1) == 24, "legacy");
static_assert(sizeof(struct block_q8_0) == 34 && sizeof(struct block_iq4_nl) == 18, "legacy");
static_assert(sizeof(struct block_q1_0) == 18 && sizeof(struct block_q2_0) == 18, "legacy");
static_assert(sizeof(struct block_mxfp4) == 17 && sizeof(struct block_nvfp4) == 36, "fp4");
static_assert(sizeof(struct block_tq1_0) == 54 && sizeof(struct block_tq2_0) == 66, "ternary");
static_assert(sizeof(struct block_q2_k) == 84 && sizeof(struct block_q3_k) == 110, "k");
static_assert(sizeof(struct block_q4_k) == 144 && sizeof(struct block_q5_k) == 176, "k");
static_assert(sizeof(struct block_q6_k) == 210 && sizeof(struct block_iq4_xs) == 136, "k");
static_assert(sizeof(struct block_iq2_xxs) == 66 && sizeof(struct block_iq2_xs) == 74, "iq2");
static_assert(sizeof(struct block_iq2_s) == 82 && sizeof(struct block_iq3_xxs) == 98, "iq");
static_assert(sizeof(struct block_iq3_s) == 110 && sizeof(struct block_iq1_s) == 50, "iq");
static_assert(sizeof(struct block_iq1_m) == 56, "iq1");

/* Bytes of a block that linear layers know, as a constant where the type is one; of
 * NVFP4 the bytes of 32 values, half a block. */
static inline size_t block_bytes(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return sizeof(struct block_q4_0);
    case ELEM_Q4_1: return sizeof(struct block_q4_1);
    case ELEM_Q5_0: return sizeof(struct block_q5_0);
    case ELEM_Q5_1: return sizeof(struct block_q5_1);
    case ELEM_Q8_0: return sizeof(struct block_q8_0);
    case ELEM_IQ4_NL: return sizeof(struct block_iq4_nl);
    case ELEM_MXFP4: return sizeof(struct block_mxfp4);
    case ELEM_NVFP4: return sizeof(struct block_nvfp4) / 2;
    case ELEM_Q1_0: return sizeof(struct block_q1_0);
    case ELEM_Q2_0: return sizeof(struct block_q2_0);
    case ELEM_Q2_K: return sizeof(struct block_q2_k);
    case ELEM_Q3_K: return sizeof(struct block_q3_k);
    case ELEM_Q4_K: return sizeof(struct block_q4_k);
    case ELEM_Q5_K: return sizeof(struct block_q5_k);
    case ELEM_Q6_K: return sizeof(struct block_q6_k);
    case ELEM_IQ4_XS: return sizeof(struct block_iq4_xs);
    case ELEM_IQ2_XXS: return sizeof(struct block_iq2_xxs);
    case ELEM_IQ2_XS: return sizeof(struct block_iq2_xs);
    case ELEM_IQ2_S: return sizeof(struct block_iq2_s);
    case ELEM_IQ3_XXS: return sizeof(struct block_iq3_xxs);
    case ELEM_IQ3_S: return sizeof(struct block_iq3_s);
    case ELEM_IQ1_S: return sizeof(struct block_iq1_s);
    case ELEM_IQ1_M: return sizeof(struct block_iq1_m);
    case ELEM_TQ1_0: return sizeof(struct block_tq1_0);
    default: return sizeof(struct block_tq2_0);
    }
}

/* ---- fields that are spread over bytes ----------------------------------------- */

/* Code i of the two-bit layout of block_tq2_0. */
static inline int two_bits(const uint8_t q[64], int i) {
    return q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

/* 16 numbers of six bits, unpacked four at a time. */
union k_scales {
    uint32_t words[4];
    uint8_t at[16];
};

/* Of block_q4_k and block_q5_k: at[s] is the scale of sub-block s, at[8 + s] its min.
 * Sub-blocks 0..3 use the low six bits of packed[s] and packed[s + 4]; the later ones
 * have low nibbles in packed[s + 4] (scale low half, min high half) and their top two
 * bits in the top bits of packed[s - 4] and packed[s]. */
static inline union k_scales q4_k_scales(const uint8_t packed[12]) {
    uint32_t g[3];
    memcpy(g, packed, sizeof g);
    return (union k_scales){{
        g[0] & 0x3f3f3f3fu,
        (g[2] & 0x0f0f0f0fu) | (g[0] >> 2 & 0x30303030u),
        g[1] & 0x3f3f3f3fu,
        (g[2] >> 4 & 0x0f0f0f0fu) | (g[1] >> 2 & 0x30303030u),
    }};
}

/* Of block_q3_k: at[s] is the scale of sub-block s, still 32 too large. */
static inline union k_scales q3_k_scales(const uint8_t packed[12]) {
    uint32_t g[3];
    memcpy(g, packed, sizeof g);
    return (union k_scales){{
        (g[0] & 0x0f0f0f0fu) | (g[2] << 4 & 0x30303030u),
        (g[1] & 0x0f0f0f0fu) | (g[2] << 2 & 0x30303030u),
        (g[0] >> 4 & 0x0f0f0f0fu) | (g[2] & 0x30303030u),
        (g[1] >> 4 & 0x0f0f0f0fu) | (g[2] >> 2 & 0x30303030u),
    }};
}

/* Scale of sub-block s (0..7) of block_iq4_xs, -32..31. */
static inline int iq4_xs_scale(const struct block_iq4_xs *b, int s) {
    int low = b->scales_low[s / 2] >> 4 * (s % 2) & 15, top = b->scales_high >> 2 * s & 3;
    return (low | top << 4) - 32;
}

static inline uint16_t iq1_m_half(const struct block_iq1_m *b) {
    return (uint16_t)(b->scales[0] >> 12 | (b->scales[1] >> 8 & 0x00f0) |
                      (b->scales[2] >> 4 & 0x0f00) | (b->scales[3] & 0xf000));
}

/* Eight sign bits from seven: the top one makes their number even. */
static inline unsigned iq_signs(unsigned seven) {
    unsigned odd = seven ^ seven >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return seven | (odd & 1) << 7;
}

/* Half of 2^(e - 127), so that doubled E2M1 magnitudes stay integers. */
static inline float e8m0_half(uint8_t e) {
    union {
        uint32_t u;
        float f;
    } v = {.u = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23};
    return v.f;
}

/* Half of a UE4M3 value, for the same reason. 0x7f, the code of NaN, reads as 0. */
static inline float ue4m3_half(uint8_t code) {
    int exponent = code >> 3 & 15, mantissa = code & 7;
    if (code == 0x7f) return 0;
    if (exponent == 0) return (float)mantissa * 0x1p-10f;
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)(exponent - 8 + 127) << 23 | (uint32_t)mantissa << 20};
    return v.f;
}

#endif
