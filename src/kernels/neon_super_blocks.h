/* neon_super_blocks.h - K super-blocks, IQ4_XS and TQ2_0 unpacked in NEON, for
 * neon_super.h.
 *
 * Upper bits are put above lower ones by SLI, which shifts them and keeps the bits below;
 * what is above them is masked away afterwards. */
#ifndef HEARTH_KERNELS_NEON_SUPER_BLOCKS_H
#define HEARTH_KERNELS_NEON_SUPER_BLOCKS_H

#include "kernels/iq_tables.h"
#include "kernels/neon_weights.h"

/* ---- scales ---- */

/* q4_k_scales() of the 12 bytes, which lie before 4 others. */
ALWAYS_INLINE void load_q4_k_scales(const uint8_t packed[12], struct weights *w) {
    const int32x4_t odd_down = vreinterpretq_s32_u64(vdupq_n_u64(UINT64_C(0xfffffffc00000000)));
    uint8x16_t bytes = vld1q_u8(packed);
    uint32x4_t words = vreinterpretq_u32_u8(bytes);
    uint32x4_t low = vshlq_u32(vdupq_n_u32(words[2]), odd_down); /* lanes 1, 3: >> 4 */
    uint8x16_t late =
        vorrq_u8(masked(vreinterpretq_u8_u32(low), 0x0f), masked(vshrq_n_u8(bytes, 2), 0x30));
    uint8x16_t all = vreinterpretq_u8_u32(
        vzip1q_u32(vreinterpretq_u32_u8(masked(bytes, 0x3f)), vreinterpretq_u32_u8(late)));
    w->scale = as_signed(vzip1q_u8(all, all));
    w->minima = as_signed(vzip2q_u8(all, all));
}

/* q3_k_scales() of a block, of which the scales are all but the last two bytes. */
ALWAYS_INLINE int8x16_t load_q3_k_scales(const struct block_q3_k *b) {
    static const int32_t low_down[4] = {0, 0, -4, -4}, top_up[4] = {4, 2, 0, -2};
    uint8x16_t bytes = vld1q_u8((const uint8_t *)(b + 1) - 16);
    uint32x4_t words = vreinterpretq_u32_u8(vextq_u8(bytes, bytes, 2));
    uint32x4_t first = vcombine_u32(vget_low_u32(words), vget_low_u32(words));
    uint32x4_t low = vshlq_u32(first, vld1q_s32(low_down));
    uint32x4_t top = vshlq_u32(vdupq_n_u32(words[2]), vld1q_s32(top_up));
    uint8x16_t all =
        vorrq_u8(masked(vreinterpretq_u8_u32(low), 0x0f), masked(vreinterpretq_u8_u32(top), 0x30));
    return vsubq_s8(as_signed(all), vdupq_n_s8(32));
}

ALWAYS_INLINE int8x16_t load_iq4_xs_scales(const struct block_iq4_xs *b) {
    static const int16_t down[8] = {0, -2, -4, -6, -8, -10, -12, -14};
    uint32_t packed;
    memcpy(&packed, b->scales_low, sizeof packed);
    uint8x16_t low = nibbles_in_order(vreinterpret_u8_u32(vdup_n_u32(packed)));
    uint8x8_t high = vmovn_u16(vshlq_u16(vdupq_n_u16(b->scales_high), vld1q_s16(down)));
    uint8x16_t all = vsliq_n_u8(low, vcombine_u8(high, high), 4);
    return for_two_groups(vsubq_u8(masked(all, 63), vdupq_n_u8(32)));
}

/* ---- blocks ---- */

/* The two-bit layout of block_tq2_0; what is above the two bits is left there. */
ALWAYS_INLINE void load_two_bits(const uint8_t codes[64], uint8x16_t q[16]) {
    UNROLL for (int g = 0; g < 16; g++) q[g] =
        moved(vld1q_u8(codes + g / 8 * 32 + g % 2 * 16), -(g % 8 / 2 * 2));
}

ALWAYS_INLINE void load_q2_k(const struct block_q2_k *b, struct weights *w) {
    uint8x16_t q[16], packed = vld1q_u8(b->scales);
    load_two_bits(b->q, q);
    UNROLL for (int g = 0; g < 16; g++) w->q[g] = as_signed(masked(q[g], 3));
    w->scale = as_signed(low_nibbles(packed));
    w->minima = as_signed(high_nibbles(packed));
    w->d = half_float(b->d);
    w->dmin = half_float(b->dmin);
}

ALWAYS_INLINE void load_q3_k(const struct block_q3_k *b, struct weights *w) {
    uint8x16_t q[16];
    load_two_bits(b->q, q);
    UNROLL for (int g = 0; g < 16; g++) {
        uint8x16_t high = moved(vld1q_u8(b->high + g % 2 * 16), -(g / 2));
        w->q[g] = as_signed(masked(vsliq_n_u8(q[g], high, 2), 7));
    }
    w->scale = load_q3_k_scales(b);
    w->d = half_float(b->d);
}

ALWAYS_INLINE void load_q4_k(const struct block_q4_k *b, struct weights *w) {
    UNROLL for (int g = 0; g < 16; g++) {
        uint8x16_t bytes = vld1q_u8(b->q + g / 4 * 32 + g % 2 * 16);
        w->q[g] = as_signed(g % 4 < 2 ? low_nibbles(bytes) : high_nibbles(bytes));
    }
    load_q4_k_scales(b->scales, w);
    w->d = half_float(b->d);
    w->dmin = half_float(b->dmin);
}

ALWAYS_INLINE void load_q5_k(const struct block_q5_k *b, struct weights *w) {
    UNROLL for (int g = 0; g < 16; g++) {
        uint8x16_t low = moved(vld1q_u8(b->q + g / 4 * 32 + g % 2 * 16), -(g % 4 / 2 * 4));
        uint8x16_t high = moved(vld1q_u8(b->high + g % 2 * 16), -(g / 2));
        w->q[g] = as_signed(masked(vsliq_n_u8(low, high, 4), 31));
    }
    load_q4_k_scales(b->scales, w);
    w->d = half_float(b->d);
    w->dmin = half_float(b->dmin);
}

ALWAYS_INLINE void load_q6_k(const struct block_q6_k *b, struct weights *w) {
    UNROLL for (int g = 0; g < 16; g++) {
        int k = g % 8 / 2;
        uint8x16_t low = vld1q_u8(b->q + g / 8 * 64 + k % 2 * 32 + g % 2 * 16);
        uint8x16_t high = vld1q_u8(b->high + g / 8 * 32 + g % 2 * 16);
        low = vsliq_n_u8(moved(low, -(k / 2 * 4)), moved(high, -2 * k), 4);
        w->q[g] = as_signed(masked(low, 63));
    }
    w->scale = vld1q_s8(b->scales);
    w->d = half_float(b->d);
}

ALWAYS_INLINE void load_iq4_xs(const struct block_iq4_xs *b, struct weights *w) {
    const int8x16_t table = vld1q_s8(iq4_levels);
    UNROLL for (int j = 0; j < 8; j++) {
        uint8x16_t bytes = vld1q_u8(b->q + 16 * j);
        w->q[2 * j] = vqtbl1q_s8(table, low_nibbles(bytes));
        w->q[2 * j + 1] = vqtbl1q_s8(table, high_nibbles(bytes));
    }
    w->scale = load_iq4_xs_scales(b);
    w->d = half_float(b->d);
}

ALWAYS_INLINE void load_tq2_0(const struct block_tq2_0 *b, struct weights *w) {
    uint8x16_t q[16];
    load_two_bits(b->q, q);
    UNROLL for (int g = 0; g < 16; g++) w->q[g] = as_signed(masked(q[g], 3));
    w->d = half_float(b->d);
}

#endif
