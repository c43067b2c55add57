/* Moments of AdamW in 8 bits: minifloats relative to the largest value of a block. */
#include <math.h>
#include <string.h>

#include "kernels/adamw.h"

enum { FLOAT_FRACTION_BITS = 23, FLOAT_BIAS = 127, MINI_BIAS = 15, SIGN_BIT = 0x80 };

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The largest code's value, 2 - 2^-fraction_bits: what the largest value of a block is
 * scaled to. */
static float mini_max(unsigned fraction_bits) {
    return 2.0f - ldexpf(1.0f, -(int)fraction_bits);
}

/* x in [0, mini_max] rounded to the nearest code, halves to even; below the least, 0. */
static uint32_t mini_put(float x, unsigned fraction_bits) {
    unsigned drop = FLOAT_FRACTION_BITS - fraction_bits;
    uint32_t bits = bits_of(x);
    bits += (1u << (drop - 1)) - 1 + (bits >> drop & 1);
    uint32_t code = bits >> drop, least = (uint32_t)(FLOAT_BIAS - MINI_BIAS) << fraction_bits;
    return code > least ? code - least : 0;
}

static float mini_get(uint32_t code, unsigned fraction_bits) {
    if (code == 0) return 0.0f;
    uint32_t least = (uint32_t)(FLOAT_BIAS - MINI_BIAS) << fraction_bits;
    return float_of((code + least) << (FLOAT_FRACTION_BITS - fraction_bits));
}

static float largest(const float *x, size_t n) {
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > most) most = fabsf(x[i]);
    return most;
}

enum { SIGNED_FRACTION_BITS = 3, ROOT_FRACTION_BITS = 4 };

void moment8_put_signed(const float *m, size_t n, struct moment8 *out) {
    out->scale = largest(m, n) / mini_max(SIGNED_FRACTION_BITS);
    float to_code = out->scale > 0 ? 1.0f / out->scale : 0.0f;
    if (!isfinite(to_code)) to_code = 0.0f; /* all are denormal: forget them */
    memset(out->codes, 0, sizeof out->codes);
    for (size_t i = 0; i < n; i++) {
        float x = fminf(fabsf(m[i]) * to_code, mini_max(SIGNED_FRACTION_BITS));
        uint32_t code = mini_put(x, SIGNED_FRACTION_BITS);
        out->codes[i] = (uint8_t)(m[i] < 0 && code ? code | SIGN_BIT : code);
    }
}

void moment8_get_signed(const struct moment8 *block, float *m, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x = mini_get(block->codes[i] & ~(uint32_t)SIGN_BIT, SIGNED_FRACTION_BITS);
        m[i] = (block->codes[i] & SIGN_BIT ? -x : x) * block->scale;
    }
}

void moment8_put_root(const float *v, size_t n, struct moment8 *out) {
    out->scale = sqrtf(largest(v, n)) / mini_max(ROOT_FRACTION_BITS);
    float to_code = out->scale > 0 ? 1.0f / out->scale : 0.0f;
    memset(out->codes, 0, sizeof out->codes);
    for (size_t i = 0; i < n; i++) {
        float x = fminf(sqrtf(v[i]) * to_code, mini_max(ROOT_FRACTION_BITS));
        uint32_t code = mini_put(x, ROOT_FRACTION_BITS);
        out->codes[i] = (uint8_t)(code == 0 && v[i] > 0 ? 1 : code);
    }
}

void moment8_get_root(const struct moment8 *block, float *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float root = mini_get(block->codes[i], ROOT_FRACTION_BITS) * block->scale;
        v[i] = root * root;
    }
}
