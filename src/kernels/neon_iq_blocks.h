/* neon_iq_blocks.h - codebook super-blocks and TQ1_0 unpacked in NEON, for neon_super.h.
 *
 * Points are looked up one by one. Signs are brought to one bit per value, in order,
 * whatever the type. */
#ifndef HEARTH_KERNELS_NEON_IQ_BLOCKS_H
#define HEARTH_KERNELS_NEON_IQ_BLOCKS_H

#include "kernels/iq_points.h"
#include "kernels/neon_weights.h"

/* ---- points ---- */

ALWAYS_INLINE int8x16_t two_eights(const uint64_t *points, size_t a, size_t b) {
    return vreinterpretq_s8_u64(vcombine_u64(vld1_u64(points + a), vld1_u64(points + b)));
}

ALWAYS_INLINE int8x16_t four_fours(const uint32_t *points, size_t a, size_t b, size_t c, size_t d) {
    uint32x4_t v = vdupq_n_u32(points[a]);
    v = vld1q_lane_u32(points + b, v, 1);
    v = vld1q_lane_u32(points + c, v, 2);
    return vreinterpretq_s8_u32(vld1q_lane_u32(points + d, v, 3));
}

/* `count` bits of a number from bit `at` on, above the eight low bits of an index. */
ALWAYS_INLINE size_t index_of(uint8_t low, uint64_t high, int at, int count) {
    return low | (high >> at & ((1u << count) - 1)) << 8;
}

/* Numbers of a block, at any address. */
ALWAYS_INLINE uint32x4_t load_words(const void *p) {
    return vreinterpretq_u32_u8(vld1q_u8(p));
}

ALWAYS_INLINE uint64_t eight_bytes(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- signs ---- */

/* 4 times 32 bits, seven bits of signs for each of four groups: to bytes, whose eighth
 * bits are to be replaced. */
ALWAYS_INLINE uint8x16_t spread_sevens(uint32x4_t bits) {
    uint32x4_t halves = vbslq_u32(vdupq_n_u32(0xffff0000), vshlq_n_u32(bits, 2), bits);
    uint16x8_t v = vreinterpretq_u16_u32(halves);
    return vreinterpretq_u8_u16(vbslq_u16(vdupq_n_u16(0xff00), vshlq_n_u16(v, 1), v));
}

/* iq_signs() of the low seven bits of bytes. */
ALWAYS_INLINE uint8x16_t with_eighth(uint8x16_t sevens) {
    return vsliq_n_u8(sevens, vcntq_u8(masked(sevens, 0x7f)), 7);
}

/* Gives 16 magnitudes the signs of two bytes from `place` on. */
ALWAYS_INLINE int8x16_t with_signs(int8x16_t magnitudes, uint8x16_t signs, int place) {
    int8x16_t less = as_signed(bit_masks(signs, place));
    return vsubq_s8(veorq_s8(magnitudes, less), less);
}

/* ---- scales ---- */

/* 2 s + 1 */
ALWAYS_INLINE uint8x16_t odd_scales(uint8x16_t s) {
    return vaddq_u8(vaddq_u8(s, s), vdupq_n_u8(1));
}

/* From the top four bits of 8 words. */
ALWAYS_INLINE int8x16_t top_scales(uint32x4_t first, uint32x4_t second) {
    uint16x8_t tops = vcombine_u16(vshrn_n_u32(first, 16), vshrn_n_u32(second, 16));
    uint8x8_t s = vshr_n_u8(vshrn_n_u16(tops, 8), 4);
    return for_two_groups(odd_scales(vcombine_u8(s, s)));
}

/* ---- blocks ---- */

ALWAYS_INLINE void load_iq2_xxs(const struct block_iq2_xxs *b, struct weights *w) {
    uint32x4_t first = vuzp2q_u32(load_words(b->sub), load_words(b->sub + 2));
    uint32x4_t second = vuzp2q_u32(load_words(b->sub + 4), load_words(b->sub + 6));
    uint8x16_t signs[2] = {with_eighth(spread_sevens(first)), with_eighth(spread_sevens(second))};
    UNROLL for (int g = 0; g < 16; g++) {
        const uint8_t *at = b->sub[g / 2].index + g % 2 * 2;
        w->q[g] = with_signs(two_eights(iq_points.iq2_xxs, at[0], at[1]), signs[g / 8], g % 8 * 2);
    }
    w->scale = top_scales(first, second);
    w->d = half_float(b->d) * 0.125f;
}

ALWAYS_INLINE void load_iq2_xs(const struct block_iq2_xs *b, struct weights *w) {
    uint8x16_t signs[2];
    UNROLL for (int h = 0; h < 2; h++) {
        const uint8_t *codes = (const uint8_t *)b + offsetof(struct block_iq2_xs, q) + 32 * h;
        signs[h] = vuzp2q_u8(vld1q_u8(codes), vld1q_u8(codes + 16));
        signs[h] = with_eighth(vshrq_n_u8(signs[h], 1));
    }
    UNROLL for (int g = 0; g < 16; g++) {
        int8x16_t v = two_eights(iq_points.iq2_xs, b->q[2 * g] & 511, b->q[2 * g + 1] & 511);
        w->q[g] = with_signs(v, signs[g / 8], g % 8 * 2);
    }
    w->scale = as_signed(odd_scales(nibbles_in_order(vld1_u8(b->scales))));
    w->d = half_float(b->d) * 0.125f;
}

ALWAYS_INLINE void load_iq2_s(const struct block_iq2_s *b, struct weights *w) {
    uint8x16_t signs[2] = {vld1q_u8(b->signs), vld1q_u8(b->signs + 16)};
    uint64_t high = eight_bytes(b->high);
    UNROLL for (int g = 0; g < 16; g++) {
        int8x16_t v = two_eights(iq_points.iq2_s, index_of(b->low[2 * g], high, 4 * g, 2),
                                 index_of(b->low[2 * g + 1], high, 4 * g + 2, 2));
        w->q[g] = with_signs(v, signs[g / 8], g % 8 * 2);
    }
    w->scale = as_signed(odd_scales(nibbles_in_order(vld1_u8(b->scales))));
    w->d = half_float(b->d) * 0.125f;
}

ALWAYS_INLINE void load_iq3_xxs(const struct block_iq3_xxs *b, struct weights *w) {
    uint32x4_t first = load_words(b->signs_scale), second = load_words(b->signs_scale + 4);
    uint8x16_t signs[2] = {with_eighth(spread_sevens(first)), with_eighth(spread_sevens(second))};
    UNROLL for (int g = 0; g < 16; g++) {
        const uint8_t *at = b->index + 4 * g;
        int8x16_t v = four_fours(iq_points.iq3_xxs, at[0], at[1], at[2], at[3]);
        w->q[g] = with_signs(v, signs[g / 8], g % 8 * 2);
    }
    w->scale = top_scales(first, second);
    w->d = half_float(b->d) * 0.25f;
}

ALWAYS_INLINE void load_iq3_s(const struct block_iq3_s *b, struct weights *w) {
    uint8x16_t signs[2] = {vld1q_u8(b->signs), vld1q_u8(b->signs + 16)};
    uint64_t high = eight_bytes(b->high);
    uint32_t packed;
    UNROLL for (int g = 0; g < 16; g++) {
        const uint8_t *low = b->low + 4 * g;
        int8x16_t v = four_fours(
            iq_points.iq3_s, index_of(low[0], high, 4 * g, 1), index_of(low[1], high, 4 * g + 1, 1),
            index_of(low[2], high, 4 * g + 2, 1), index_of(low[3], high, 4 * g + 3, 1));
        w->q[g] = with_signs(v, signs[g / 8], g % 8 * 2);
    }
    memcpy(&packed, b->scales, sizeof packed);
    w->scale =
        for_two_groups(odd_scales(nibbles_in_order(vreinterpret_u8_u32(vdup_n_u32(packed)))));
    w->d = half_float(b->d);
}

/* 8 (point + 1) - 9 where `less` is set, - 7 elsewhere: 8 (point -+ 1/8). */
ALWAYS_INLINE int8x16_t moved_points(int8x16_t points, uint8x16_t less) {
    int8x16_t shift = vbslq_s8(less, vdupq_n_s8(-9), vdupq_n_s8(-7));
    return vmlaq_s8(shift, points, vdupq_n_s8(8));
}

ALWAYS_INLINE void load_iq1_s(const struct block_iq1_s *b, struct weights *w) {
    uint8x8_t tops = vshrn_n_u16(vreinterpretq_u16_u32(load_words(b->high)), 8);
    UNROLL for (int g = 0; g < 16; g++) {
        const uint64_t high = b->high[g / 2];
        int at = g % 2 * 6;
        int8x16_t v = two_eights(iq_points.iq1, index_of(b->low[2 * g], high, at, 3),
                                 index_of(b->low[2 * g + 1], high, at + 3, 3));
        w->q[g] = moved_points(v, vtstq_u8(vdupq_n_u8(tops[g / 2]), vdupq_n_u8(0x80)));
    }
    uint8x16_t s = masked(vshrq_n_u8(vcombine_u8(tops, tops), 4), 7);
    w->scale = for_two_groups(odd_scales(s));
    w->d = half_float(b->d) * 0.125f;
}

/* Three bits for each of 16 groups, four to a word. */
ALWAYS_INLINE uint8x16_t load_iq1_m_scales(const struct block_iq1_m *b) {
    static const int16_t down[8] = {0, -3, -6, -9, 0, -3, -6, -9};
    uint16x8_t words[2];
    UNROLL for (int h = 0; h < 2; h++) {
        uint16x8_t two =
            vcombine_u16(vdup_n_u16(b->scales[2 * h]), vdup_n_u16(b->scales[2 * h + 1]));
        words[h] = vshlq_u16(two, vld1q_s16(down));
    }
    return masked(vuzp1q_u8(vreinterpretq_u8_u16(words[0]), vreinterpretq_u8_u16(words[1])), 7);
}

ALWAYS_INLINE void load_iq1_m(const struct block_iq1_m *b, struct weights *w) {
    const uint8x16_t shift_bits = vcombine_u8(vdup_n_u8(0x08), vdup_n_u8(0x80));
    uint8x16_t high = vld1q_u8(b->high);
    UNROLL for (int g = 0; g < 16; g++) {
        int8x16_t v = two_eights(iq_points.iq1, index_of(b->low[2 * g], b->high[g], 0, 3),
                                 index_of(b->low[2 * g + 1], b->high[g], 4, 3));
        w->q[g] = moved_points(v, vtstq_u8(vdupq_n_u8(high[g]), shift_bits));
    }
    w->scale = as_signed(odd_scales(load_iq1_m_scales(b)));
    w->d = half_float(iq1_m_half(b)) * 0.125f;
}

/* bytes * 3 >> 8, less 1 */
ALWAYS_INLINE int8x16_t trits(uint8x16_t bytes) {
    uint8x16_t one = vcgeq_u8(bytes, vdupq_n_u8(86)), two = vcgeq_u8(bytes, vdupq_n_u8(171));
    return as_signed(vmvnq_u8(vaddq_u8(one, two)));
}

ALWAYS_INLINE void load_tq1_0(const struct block_tq1_0 *b, struct weights *w) {
    const uint8x16_t three = vdupq_n_u8(3);
    const uint32_t powers[4] = {0x01010101, 0x03030303, 0x09090909, 0x1b1b1b1b};
    uint8x16_t first = vld1q_u8(b->q), second = vld1q_u8(b->q + 16), tail = vld1q_u8(b->q + 32);
    uint32_t high;
    UNROLL for (int k = 0; k < 5; k++) {
        w->q[2 * k] = trits(first);
        w->q[2 * k + 1] = trits(second);
        w->q[10 + k] = trits(tail);
        first = vmulq_u8(first, three);
        second = vmulq_u8(second, three);
        tail = vmulq_u8(tail, three);
    }
    memcpy(&high, b->high, sizeof high);
    uint8x16_t last = vreinterpretq_u8_u32(vdupq_n_u32(high));
    w->q[15] = trits(vmulq_u8(last, vreinterpretq_u8_u32(vld1q_u32(powers))));
    w->d = half_float(b->d);
}

#endif
