/* neon_q8_blocks.h - blocks with one scale unpacked in NEON, 32 values at a time. */
#ifndef HEARTH_KERNELS_NEON_Q8_BLOCKS_H
#define HEARTH_KERNELS_NEON_Q8_BLOCKS_H

#include "kernels/iq_tables.h"
#include "kernels/neon_weights.h"

/* What load_values adds to the values; to be taken back times the sum of the
 * activations, or from every value where it is kept for many tokens. */
ALWAYS_INLINE int offset(enum elem type) {
    switch (type) {
    case ELEM_Q4_0: return 8;
    case ELEM_Q5_0: return 16;
    case ELEM_Q1_0:
    case ELEM_Q2_0: return 1;
    default: return 0;
    }
}

ALWAYS_INLINE int has_minimum(enum elem type) {
    return type == ELEM_Q4_1 || type == ELEM_Q5_1;
}

/* Values that share a scale, of 32. */
ALWAYS_INLINE int group_values(enum elem type) {
    return type == ELEM_NVFP4 ? 16 : 32;
}

/* Vectors of 32 values in a block. */
ALWAYS_INLINE size_t block_parts(enum elem type) {
    switch (type) {
    case ELEM_Q1_0: return 4;
    case ELEM_Q2_0: return 2;
    default: return 1; /* NVFP4 too: see block_bytes() */
    }
}

/* Where values 32 i .. 32 i + 31 of a row begin. */
ALWAYS_INLINE const char *block_at(enum elem type, const char *row, size_t i) {
    return row + i / block_parts(type) * block_bytes(type);
}

/* ---- values ---- */

ALWAYS_INLINE void load_nibbles(const uint8_t codes[16], int8x16_t q[2]) {
    uint8x16_t bytes = vld1q_u8(codes);
    q[0] = as_signed(low_nibbles(bytes));
    q[1] = as_signed(high_nibbles(bytes));
}

ALWAYS_INLINE void look_up_nibbles(const uint8_t codes[16], const int8_t levels[16],
                                   int8x16_t q[2]) {
    int8x16_t table = vld1q_s8(levels);
    uint8x16_t bytes = vld1q_u8(codes);
    q[0] = vqtbl1q_s8(table, low_nibbles(bytes));
    q[1] = vqtbl1q_s8(table, high_nibbles(bytes));
}

ALWAYS_INLINE uint8x16_t four_bytes(const void *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_u8_u32(vdupq_n_u32(four));
}

/* Set bits of 32 as `value`. */
ALWAYS_INLINE void load_bits(const void *bits, uint8_t value, int8x16_t q[2]) {
    uint8x16_t bytes = four_bytes(bits);
    q[0] = as_signed(masked(bit_masks(bytes, 0), value));
    q[1] = as_signed(masked(bit_masks(bytes, 2), value));
}

ALWAYS_INLINE void load_fives(const uint8_t codes[16], const void *high, int8x16_t q[2]) {
    int8x16_t low[2];
    load_nibbles(codes, low);
    load_bits(high, 16, q);
    q[0] = vorrq_s8(q[0], low[0]);
    q[1] = vorrq_s8(q[1], low[1]);
}

/* 32 codes of two bits in 8 bytes, neighbours in a byte. */
ALWAYS_INLINE void load_twos(const uint8_t codes[8], int8x16_t q[2]) {
    const int8x16_t down = vreinterpretq_s8_u32(vdupq_n_u32(0xfafcfe00)); /* 0, -2, -4, -6 */
    uint8x8_t eight = vld1_u8(codes);
    uint8x16_t twice = vcombine_u8(eight, eight);
    twice = vzip1q_u8(twice, twice);
    q[0] = as_signed(masked(vshlq_u8(vzip1q_u8(twice, twice), down), 3));
    q[1] = as_signed(masked(vshlq_u8(vzip2q_u8(twice, twice), down), 3));
}

/* Half a block: the groups of 16 values lie one after the other. */
ALWAYS_INLINE void load_nvfp4(const struct block_nvfp4 *b, size_t part, int8x16_t q[2]) {
    int8x16_t v[2];
    look_up_nibbles(b->q + 16 * part, fp4_levels, v);
    q[0] = vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(v[0]), vreinterpretq_s64_s8(v[1])));
    q[1] = vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(v[0]), vreinterpretq_s64_s8(v[1])));
}

/* Values 32 i .. 32 i + 31 of a row, offset(type) too large. */
ALWAYS_INLINE void load_values(enum elem type, const char *row, size_t i, int8x16_t q[2]) {
    const void *block = block_at(type, row, i);
    switch (type) {
    case ELEM_Q4_0: load_nibbles(((const struct block_q4_0 *)block)->q, q); break;
    case ELEM_Q4_1: load_nibbles(((const struct block_q4_1 *)block)->q, q); break;
    case ELEM_Q5_0: {
        const struct block_q5_0 *b = block;
        load_fives(b->q, &b->high, q);
        break;
    }
    case ELEM_Q5_1: {
        const struct block_q5_1 *b = block;
        load_fives(b->q, &b->high, q);
        break;
    }
    case ELEM_Q8_0: {
        const struct block_q8_0 *b = block;
        q[0] = vld1q_s8(b->q);
        q[1] = vld1q_s8(b->q + 16);
        break;
    }
    case ELEM_IQ4_NL:
        look_up_nibbles(((const struct block_iq4_nl *)block)->q, iq4_levels, q);
        break;
    case ELEM_MXFP4: look_up_nibbles(((const struct block_mxfp4 *)block)->q, fp4_levels, q); break;
    case ELEM_Q1_0: load_bits(((const struct block_q1_0 *)block)->q + i % 4 * 4, 2, q); break;
    case ELEM_Q2_0: load_twos(((const struct block_q2_0 *)block)->q + i % 2 * 8, q); break;
    default: load_nvfp4((const void *)(row + i / 2 * sizeof(struct block_nvfp4)), i % 2, q); break;
    }
}

/* ---- scales of four rows ---- */

ALWAYS_INLINE uint16_t half_at(const char *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

/* Halves `at` bytes into the blocks. */
ALWAYS_INLINE float32x4_t load_halves(const char *const blocks[4], size_t at) {
    uint16x4_t h = vdup_n_u16(half_at(blocks[0] + at));
    h = vset_lane_u16(half_at(blocks[1] + at), h, 1);
    h = vset_lane_u16(half_at(blocks[2] + at), h, 2);
    h = vset_lane_u16(half_at(blocks[3] + at), h, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

/* Bytes `at` bytes into the blocks. */
ALWAYS_INLINE uint32x4_t load_codes(const char *const blocks[4], size_t at) {
    uint32x4_t v = vdupq_n_u32((uint8_t)blocks[0][at]);
    v = vsetq_lane_u32((uint8_t)blocks[1][at], v, 1);
    v = vsetq_lane_u32((uint8_t)blocks[2][at], v, 2);
    return vsetq_lane_u32((uint8_t)blocks[3][at], v, 3);
}

/* e8m0_half() */
ALWAYS_INLINE float32x4_t e8m0_halves(uint32x4_t e) {
    uint32x4_t small = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
    uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    uint32x4_t bits = vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), small, normal);
    return vreinterpretq_f32_u32(bits);
}

/* ue4m3_half(). A code at the top of a float's fraction and exponent is 2^-119 of half
 * its value (127 - 7 - 1), subnormals included. */
ALWAYS_INLINE float32x4_t ue4m3_halves(uint32x4_t code) {
    uint32x4_t none = vceqq_u32(code, vdupq_n_u32(0x7f));
    uint32x4_t bits = vbicq_u32(vandq_u32(code, vdupq_n_u32(0x7f)), none);
    return vmulq_n_f32(vreinterpretq_f32_u32(vshlq_n_u32(bits, 20)), 0x1p119f);
}

/* Of group g of group_values(type) values among values 32 i .. 32 i + 31. */
ALWAYS_INLINE float32x4_t load_scales(enum elem type, const char *const rows[4], size_t i,
                                      size_t g) {
    const char *blocks[4];
    if (type == ELEM_NVFP4) {
        size_t block = i / 2 * sizeof(struct block_nvfp4);
        return ue4m3_halves(load_codes(rows, block + i % 2 * 2 + g));
    }
    UNROLL for (int r = 0; r < 4; r++) blocks[r] = block_at(type, rows[r], i);
    return type == ELEM_MXFP4 ? e8m0_halves(load_codes(blocks, 0)) : load_halves(blocks, 0);
}

/* Of types with has_minimum(type). */
ALWAYS_INLINE float32x4_t load_minima(enum elem type, const char *const rows[4], size_t i) {
    const char *blocks[4];
    UNROLL for (int r = 0; r < 4; r++) blocks[r] = block_at(type, rows[r], i);
    return load_halves(blocks, 2);
}

#endif
