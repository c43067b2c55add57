/* The K types: a super-block fit each, and the packing of its integers. */
#include <string.h>

#include "kernels/quantize_blocks.h"
#include "kernels/super_fit.h"

/* Codes of two bits, as blocks.h lays them out for block_tq2_0. */
static void pack_twos(const uint8_t code[SUPER], int shift, uint8_t q[64]) {
    memset(q, 0, 64);
    for (int i = 0; i < SUPER; i++)
        q[i / 128 * 32 + i % 32] |= (uint8_t)((code[i] >> shift & 3) << i % 128 / 32 * 2);
}

static void pack_nibbles(const uint8_t code[SUPER], uint8_t q[128]) {
    for (int h = 0; h < 4; h++)
        for (int i = 0; i < 32; i++)
            q[32 * h + i] = (uint8_t)((code[64 * h + i] & 15) | (code[64 * h + 32 + i] & 15) << 4);
}

/* Bit `bit` of every code: value i in bit i / 32 of high[i % 32]. */
static void pack_bits(const uint8_t code[SUPER], int bit, uint8_t high[32]) {
    memset(high, 0, 32);
    for (int i = 0; i < SUPER; i++)
        high[i % 32] |= (uint8_t)((code[i] >> bit & 1) << i / 32);
}

static void pack_scales_mins(const struct super_fit *fit, uint8_t scales[12]) {
    memset(scales, 0, 12);
    for (int s = 0; s < 8; s++) {
        int scale = fit->scales[s], min = fit->mins[s];
        if (s < 4) {
            scales[s] |= (uint8_t)scale;
            scales[s + 4] |= (uint8_t)min;
        } else {
            scales[s + 4] |= (uint8_t)((scale & 15) | (min & 15) << 4);
            scales[s - 4] |= (uint8_t)(scale >> 4 << 6);
            scales[s] |= (uint8_t)(min >> 4 << 6);
        }
    }
}

/* The fit of one super-block, and its levels as codes from 0 up. */
static void fit_codes(const struct super_shape *shape, const float *x, const float *importance,
                      struct super_fit *fit, uint8_t code[SUPER]) {
    super_fit(shape, x, importance, fit);
    for (int i = 0; i < SUPER; i++)
        code[i] = (uint8_t)((int)fit->q[i] - (int)shape->coder.lo);
}

void encode_q2_k(const float *x, void *out, size_t n, const float *importance) {
    static const struct super_shape shape = {16, 0, 15, 15, {0, 3, snap_integers, 0.7f, 1.06f, 14}};
    struct block_q2_k *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct super_fit fit;
        uint8_t code[SUPER];
        fit_codes(&shape, x + at, at_or_null(importance, at), &fit, code);
        b->d = fit.d;
        b->dmin = fit.dmin;
        for (int s = 0; s < 16; s++)
            b->scales[s] = (uint8_t)(fit.scales[s] | fit.mins[s] << 4);
        pack_twos(code, 0, b->q);
    }
}

void encode_q3_k(const float *x, void *out, size_t n, const float *importance) {
    static const struct super_shape shape = {
        16, -32, 31, 0, {-4, 3, snap_integers, 0.75f, 1.04f, 14}};
    struct block_q3_k *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct super_fit fit;
        uint8_t code[SUPER];
        fit_codes(&shape, x + at, at_or_null(importance, at), &fit, code);
        b->d = fit.d;
        memset(b->scales, 0, sizeof b->scales);
        for (int s = 0; s < 16; s++) {
            int scale = fit.scales[s] + 32;
            b->scales[s % 8] |= (uint8_t)((scale & 15) << s / 8 * 4);
            b->scales[8 + s % 4] |= (uint8_t)(scale >> 4 << 2 * (s / 4));
        }
        pack_twos(code, 0, b->q);
        pack_bits(code, 2, b->high);
    }
}

void encode_q4_k(const float *x, void *out, size_t n, const float *importance) {
    static const struct super_shape shape = {
        8, 0, 63, 63, {0, 15, snap_integers, 0.94f, 1.01f, 16}};
    struct block_q4_k *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct super_fit fit;
        uint8_t code[SUPER];
        fit_codes(&shape, x + at, at_or_null(importance, at), &fit, code);
        b->d = fit.d;
        b->dmin = fit.dmin;
        pack_scales_mins(&fit, b->scales);
        pack_nibbles(code, b->q);
    }
}

void encode_q5_k(const float *x, void *out, size_t n, const float *importance) {
    static const struct super_shape shape = {
        8, 0, 63, 63, {0, 31, snap_integers, 0.97f, 1.005f, 16}};
    struct block_q5_k *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct super_fit fit;
        uint8_t code[SUPER];
        fit_codes(&shape, x + at, at_or_null(importance, at), &fit, code);
        b->d = fit.d;
        b->dmin = fit.dmin;
        pack_scales_mins(&fit, b->scales);
        pack_nibbles(code, b->q);
        pack_bits(code, 4, b->high);
    }
}

void encode_q6_k(const float *x, void *out, size_t n, const float *importance) {
    static const struct super_shape shape = {
        16, -128, 127, 0, {-32, 31, snap_integers, 0.97f, 1.005f, 14}};
    struct block_q6_k *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct super_fit fit;
        uint8_t code[SUPER];
        fit_codes(&shape, x + at, at_or_null(importance, at), &fit, code);
        b->d = fit.d;
        for (int s = 0; s < 16; s++)
            b->scales[s] = (int8_t)fit.scales[s];
        for (int h = 0; h < 2; h++)
            for (int i = 0; i < 64; i++)
                b->q[64 * h + i] =
                    (uint8_t)((code[128 * h + i] & 15) | (code[128 * h + 64 + i] & 15) << 4);
        pack_twos(code, 4, b->high);
    }
}
