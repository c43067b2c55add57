/* vec_neon.h - the vector words of float_kernels.h in NEON: 4 lanes. `_some` handles
 * the first n lanes (n < VF_LANES) and reads or writes no byte beyond them; lanes past
 * n read as zero. */
#ifndef HEARTH_KERNELS_VEC_NEON_H
#define HEARTH_KERNELS_VEC_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vf;

/* Register tile of linear layers: rows of w times rows of x. */
enum { VF_LANES = 4, VF_TILE_ROWS = 4, VF_TILE_TOKENS = 4 };
/* Register tiles of attention: scores at a time, vectors of four outputs at a time. */
enum { VF_SCORE_SUMS = 16, VF_MIX_VECTORS = 4 };

static inline vf vf_zero(void) {
    return vdupq_n_f32(0);
}
static inline vf vf_set1(float a) {
    return vdupq_n_f32(a);
}
static inline vf vf_load(const float *p) {
    return vld1q_f32(p);
}
/* The same value in a register: compilers like to load it again for every use. */
static inline vf vf_held(vf a) {
    __asm__("" : "+w"(a));
    return a;
}
static inline vf vf_load_some(const float *p, size_t n) {
    float padded[4] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vld1q_f32(padded);
}
static inline void vf_store(float *p, vf a) {
    vst1q_f32(p, a);
}
static inline void vf_store_some(float *p, vf a, size_t n) {
    float padded[4];
    vst1q_f32(padded, a);
    memcpy(p, padded, n * sizeof *p);
}
static inline vf vf_load_f16(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline vf vf_load_f16_some(const uint16_t *p, size_t n) {
    uint16_t padded[4] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vf_load_f16(padded);
}
static inline vf vf_load_bf16(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline vf vf_load_bf16_some(const uint16_t *p, size_t n) {
    uint16_t padded[4] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vf_load_bf16(padded);
}
static inline vf vf_load_i8(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
static inline vf vf_set1_f16(uint16_t h) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
}
static inline void vf_store_f16(uint16_t *p, vf a) {
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a)));
}
static inline void vf_store_f16_some(uint16_t *p, vf a, size_t n) {
    uint16_t padded[4];
    vf_store_f16(padded, a);
    memcpy(p, padded, n * sizeof *p);
}
static inline vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
static inline vf vf_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
static inline vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
static inline vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
static inline vf vf_sqrt(vf a) {
    return vsqrtq_f32(a);
}
static inline vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
/* max and min give b when either is NaN. */
static inline vf vf_max(vf a, vf b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vf vf_min(vf a, vf b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vf vf_round(vf a) {
    return vrndnq_f32(a);
}
/* a 2^n, n integral and |n| <= 252: in two steps, since 2^n itself may overflow
 * or underflow where the product does not. */
static inline vf vf_times_power(vf a, vf n) {
    int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    int32x4_t rest = vsubq_s32(whole, half);
    vf p = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    vf q = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23));
    return vmulq_f32(vmulq_f32(a, p), q);
}
static inline float vf_sum(vf a) {
    return vaddvq_f32(a);
}
/* Lane j = the sum of the lanes of a[j], for VF_LANES vectors, each added up in the same
 * order. */
static inline vf vf_sums(const vf *a) {
    return vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3]));
}
/* a[r] lane c <-> a[c] lane r */
static inline void vf_transpose(vf a[4]) {
    float32x4x2_t low = vtrnq_f32(a[0], a[1]), high = vtrnq_f32(a[2], a[3]);
    a[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
    a[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
    a[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
    a[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
}
/* The lanes with index >= n become zero. */
static inline vf vf_first(vf a, size_t n) {
    static const uint32_t lanes[4] = {0, 1, 2, 3};
    uint32x4_t keep = vcltq_u32(vld1q_u32(lanes), vdupq_n_u32((uint32_t)n));
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), keep));
}

#endif
