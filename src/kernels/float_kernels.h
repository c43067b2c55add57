/* float_kernels.h - the floating kernels of a level, written once over vector words.
 * It has no include guard: it is the body of one source file per level.
 *
 * Included by one source file per level after its vec_<level>.h, which defines the
 * words (vf, vf_load, ...). Tails go through the same operations on a partly filled
 * vector, so that an element's value does not depend on its place in the call. */
#ifndef HEARTH_KERNELS_FLOAT_KERNELS_H
#define HEARTH_KERNELS_FLOAT_KERNELS_H

#include "kernels/kernels.h"
#include "kernels/linear_tile.h"

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2; ln 2 is split in two so that
 * r is exact to float, and e^r = 1 + r + r^2 p(r) with p interpolated at Chebyshev
 * nodes (relative error of the polynomial 1e-8). Returns e^r - 1; x is not beyond
 * [-105, 89]. */
static inline vf vf_exp_parts(vf x, vf *power) {
    vf n = vf_round(vf_mul(x, vf_set1(0x1.715476p+0f)));
    vf r = vf_fma(n, vf_set1(-0x1.63p-1f), x);
    r = vf_fma(n, vf_set1(2.12194440e-4f), r);
    vf p = vf_set1(1.39261818e-3f);
    p = vf_fma(p, r, vf_set1(8.36317763e-3f));
    p = vf_fma(p, r, vf_set1(4.16665546e-2f));
    p = vf_fma(p, r, vf_set1(1.66665770e-1f));
    p = vf_fma(p, r, vf_set1(0.5f));
    *power = n;
    return vf_fma(vf_mul(r, r), p, r);
}

/* -inf gives 0, NaN stays NaN. */
static inline vf vf_exp(vf x) {
    vf n, part = vf_exp_parts(vf_min(vf_set1(89.0f), vf_max(vf_set1(-105.0f), x)), &n);
    return vf_times_power(vf_add(part, vf_set1(1.0f)), n);
}

/* Dot products keep DOT_SUMS partial sums, to hide the latency of one. */
enum { DOT_SUMS = 4, DOT_STEP = DOT_SUMS * VF_LANES };

#define DEFINE_DOT(name, b_type, load_b, load_b_some)                                              \
    static float name(const float *a, const b_type *b, size_t n) {                                 \
        vf sums[DOT_SUMS] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};                          \
        size_t i = 0;                                                                              \
        for (; i + DOT_STEP <= n; i += DOT_STEP) {                                                 \
            UNROLL for (size_t j = 0; j < DOT_SUMS; j++) sums[j] =                                 \
                vf_fma(vf_load(a + i + j * VF_LANES), load_b(b + i + j * VF_LANES), sums[j]);      \
        }                                                                                          \
        for (; i + VF_LANES <= n; i += VF_LANES)                                                   \
            sums[0] = vf_fma(vf_load(a + i), load_b(b + i), sums[0]);                              \
        if (i < n)                                                                                 \
            sums[1] = vf_fma(vf_load_some(a + i, n - i), load_b_some(b + i, n - i), sums[1]);      \
        return vf_sum(vf_add(vf_add(sums[0], sums[1]), vf_add(sums[2], sums[3])));                 \
    }

DEFINE_DOT(dot, float, vf_load, vf_load_some)
DEFINE_DOT(dot_f16, uint16_t, vf_load_f16, vf_load_f16_some)

static float sum_of(const float *x, size_t n) {
    vf sums[DOT_SUMS] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    size_t i = 0;
    for (; i + DOT_STEP <= n; i += DOT_STEP) {
        UNROLL for (size_t j = 0; j < DOT_SUMS; j++) sums[j] =
            vf_add(sums[j], vf_load(x + i + j * VF_LANES));
    }
    for (; i + VF_LANES <= n; i += VF_LANES)
        sums[0] = vf_add(sums[0], vf_load(x + i));
    if (i < n) sums[1] = vf_add(sums[1], vf_load_some(x + i, n - i));
    return vf_sum(vf_add(vf_add(sums[0], sums[1]), vf_add(sums[2], sums[3])));
}

static float sum_squares(const float *x, size_t n) {
    return dot(x, x, n);
}

static float max_of(const float *x, size_t n) {
    float best = x[0];
    size_t i = 0;
    if (n >= VF_LANES) {
        float lanes[VF_LANES];
        vf most = vf_set1(best);
        for (; i + VF_LANES <= n; i += VF_LANES)
            most = vf_max(vf_load(x + i), most);
        vf_store(lanes, most);
        for (size_t j = 0; j < VF_LANES; j++)
            if (lanes[j] > best) best = lanes[j];
    }
    for (; i < n; i++)
        if (x[i] > best) best = x[i];
    return best;
}

static float exp_sum(float *x, float max, size_t n) {
    vf sum = vf_zero(), top = vf_set1(max);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        vf e = vf_exp(vf_sub(vf_load(x + i), top));
        vf_store(x + i, e);
        sum = vf_add(sum, e);
    }
    if (i < n) {
        vf e = vf_exp(vf_sub(vf_load_some(x + i, n - i), top));
        vf_store_some(x + i, e, n - i);
        sum = vf_add(sum, vf_first(e, n - i));
    }
    return vf_sum(sum);
}

/* y[i] = f(i), where `full` computes VF_LANES elements at i and `part` some at i. */
#define MAP(y, store, store_some, full, part)                                                      \
    do {                                                                                           \
        size_t i = 0;                                                                              \
        for (; i + VF_LANES <= n; i += VF_LANES)                                                   \
            store((y) + i, full);                                                                  \
        size_t rest = n - i;                                                                       \
        if (rest) store_some((y) + i, part, rest);                                                 \
    } while (0)

#define FULL(p) vf_load((p) + i)
#define PART(p) vf_load_some((p) + i, rest)

static void axpy(float *y, float a, const float *x, size_t n) {
    vf k = vf_set1(a);
    MAP(y, vf_store, vf_store_some, vf_fma(k, FULL(x), FULL(y)), vf_fma(k, PART(x), PART(y)));
}

static void axpy_f16(float *y, float a, const uint16_t *x, size_t n) {
    vf k = vf_set1(a);
    MAP(y, vf_store, vf_store_some, vf_fma(k, vf_load_f16(x + i), FULL(y)),
        vf_fma(k, vf_load_f16_some(x + i, rest), PART(y)));
}

static void scale(float *y, const float *x, float a, size_t n) {
    vf k = vf_set1(a);
    MAP(y, vf_store, vf_store_some, vf_mul(k, FULL(x)), vf_mul(k, PART(x)));
}

static void mul(float *y, const float *a, const float *b, size_t n) {
    MAP(y, vf_store, vf_store_some, vf_mul(FULL(a), FULL(b)), vf_mul(PART(a), PART(b)));
}

static void add(float *y, const float *a, const float *b, size_t n) {
    MAP(y, vf_store, vf_store_some, vf_add(FULL(a), FULL(b)), vf_add(PART(a), PART(b)));
}

static void to_f16(const float *x, uint16_t *out, size_t n) {
    MAP(out, vf_store_f16, vf_store_f16_some, FULL(x), PART(x));
}

static void widen_f16(const void *blocks, float *out, size_t n) {
    const uint16_t *x = blocks;
    MAP(out, vf_store, vf_store_some, vf_load_f16(x + i), vf_load_f16_some(x + i, rest));
}

static void widen_bf16(const void *blocks, float *out, size_t n) {
    const uint16_t *x = blocks;
    MAP(out, vf_store, vf_store_some, vf_load_bf16(x + i), vf_load_bf16_some(x + i, rest));
}

ALWAYS_INLINE size_t weight_bytes(enum elem type) {
    return type == ELEM_F32 ? 4 : 2;
}

ALWAYS_INLINE vf load_weights(enum elem type, const char *w, size_t i) {
    switch (type) {
    case ELEM_F16: return vf_load_f16((const uint16_t *)(const void *)w + i);
    case ELEM_BF16: return vf_load_bf16((const uint16_t *)(const void *)w + i);
    default: return vf_load((const float *)(const void *)w + i);
    }
}

ALWAYS_INLINE vf load_some_weights(enum elem type, const char *w, size_t i, size_t n) {
    switch (type) {
    case ELEM_F16: return vf_load_f16_some((const uint16_t *)(const void *)w + i, n);
    case ELEM_BF16: return vf_load_bf16_some((const uint16_t *)(const void *)w + i, n);
    default: return vf_load_some((const float *)(const void *)w + i, n);
    }
}

enum { VF_MOST_ROWS = 4, VF_MOST_TOKENS = 4 };

ALWAYS_INLINE void float_tile(enum elem type, int rows, int tokens, struct tile a) {
    vf sums[VF_MOST_ROWS][VF_MOST_TOKENS], x[VF_MOST_TOKENS];
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = vf_zero();
    }
    size_t i = 0, whole = a.n - a.n % VF_LANES;
    for (; i < whole; i += VF_LANES) {
        UNROLL for (int t = 0; t < tokens; t++) x[t] =
            vf_load((const float *)(const void *)(a.x + (size_t)t * a.x_stride) + i);
        UNROLL for (int r = 0; r < rows; r++) {
            size_t done = (size_t)rows * i + (size_t)r * VF_LANES;
            if (tokens == 1) tile_prefetch(&a, rows, done * weight_bytes(type));
            vf w = load_weights(type, a.w + (size_t)r * a.w_stride, i);
            UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = vf_fma(w, x[t], sums[r][t]);
        }
    }
    if (i < a.n) {
        size_t rest = a.n - i;
        UNROLL for (int t = 0; t < tokens; t++) x[t] =
            vf_load_some((const float *)(const void *)(a.x + (size_t)t * a.x_stride) + i, rest);
        UNROLL for (int r = 0; r < rows; r++) {
            vf w = load_some_weights(type, a.w + (size_t)r * a.w_stride, i, rest);
            UNROLL for (int t = 0; t < tokens; t++) sums[r][t] = vf_fma(w, x[t], sums[r][t]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int t = 0; t < tokens; t++) a.y[(size_t)t * a.y_stride + (size_t)r] =
            vf_sum(sums[r][t]);
    }
}

LINEAR_FROM_TILE(linear_f32, float_tile, ELEM_F32, VF_TILE_ROWS, VF_TILE_TOKENS, 4)
LINEAR_FROM_TILE(linear_f16, float_tile, ELEM_F16, VF_TILE_ROWS, VF_TILE_TOKENS, 4)
LINEAR_FROM_TILE(linear_bf16, float_tile, ELEM_BF16, VF_TILE_ROWS, VF_TILE_TOKENS, 4)

static void fill_float(struct kernels *k) {
    k->dequantize[ELEM_F16] = widen_f16;
    k->dequantize[ELEM_BF16] = widen_bf16;
    k->linear[ELEM_F32] = linear_f32;
    k->linear[ELEM_F16] = linear_f16;
    k->linear[ELEM_BF16] = linear_bf16;
    k->dot = dot;
    k->dot_f16 = dot_f16;
    k->axpy = axpy;
    k->axpy_f16 = axpy_f16;
    k->sum = sum_of;
    k->sum_squares = sum_squares;
    k->max = max_of;
    k->exp_sum = exp_sum;
    k->scale = scale;
    k->mul = mul;
    k->add = add;
    k->to_f16 = to_f16;
}

#endif
