/* neon_weights.h - vectors of 16 weights, and how bits become them, in NEON.
 *
 * Shifts are written as operators: the compiler has to know a shift of an intrinsic
 * before loops are unrolled. */
#ifndef HEARTH_KERNELS_NEON_WEIGHTS_H
#define HEARTH_KERNELS_NEON_WEIGHTS_H

#include <arm_neon.h>

#include "kernels/blocks.h"
#include "kernels/linear_tile.h"

/* An unpacked block of 256 values. */
struct weights {
    int8x16_t q[16];  /* offset(type) too large */
    int8x16_t scale;  /* per 16 values; not set for types with one scale per block */
    int8x16_t minima; /* per 16 values; only of types with has_dmin(type) */
    float d, dmin;
};

/* ---- bits ---- */

/* Bits of v moved by `up` (down, if negative). */
ALWAYS_INLINE uint8x16_t moved(uint8x16_t v, int up) {
    return up >= 0 ? v << (uint8_t)up : v >> (uint8_t)-up;
}

ALWAYS_INLINE uint8x16_t masked(uint8x16_t v, uint8_t mask) {
    return vandq_u8(v, vdupq_n_u8(mask));
}

ALWAYS_INLINE uint8x16_t low_nibbles(uint8x16_t bytes) {
    return masked(bytes, 15);
}

ALWAYS_INLINE uint8x16_t high_nibbles(uint8x16_t bytes) {
    return vshrq_n_u8(bytes, 4);
}

ALWAYS_INLINE int8x16_t as_signed(uint8x16_t v) {
    return vreinterpretq_s8_u8(v);
}

/* Nibbles of 8 bytes in the order of memory: low halves first. */
ALWAYS_INLINE uint8x16_t nibbles_in_order(uint8x8_t bytes) {
    uint8x16_t both = vcombine_u8(bytes, bytes);
    return vzip1q_u8(low_nibbles(both), high_nibbles(both));
}

/* Each of the first 8 bytes for two groups of 16 values. */
ALWAYS_INLINE int8x16_t for_two_groups(uint8x16_t bytes) {
    return as_signed(vzip1q_u8(bytes, bytes));
}

/* 16 bits to masks of their bytes: those of bits[place] and of bits[place + 1]. */
ALWAYS_INLINE uint8x16_t bit_masks(uint8x16_t bits, int place) {
    const uint8x8_t zero = vdup_n_u8(0), each = vcreate_u8(UINT64_C(0x8040201008040201));
    uint8x16_t from = vcombine_u8(zero, vdup_n_u8(1)) + vdupq_n_u8((uint8_t)place);
    return vtstq_u8(vqtbl1q_u8(bits, from), vcombine_u8(each, each));
}

/* ---- numbers ---- */

ALWAYS_INLINE float half_float(uint16_t d) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(d))), 0);
}

/* Lane i: the sum of the lanes of v[i]. */
ALWAYS_INLINE int32x4_t lane_sums(const int32x4_t v[4]) {
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

#endif
