/* The oracle: every kernel in plain C. Faster levels are tested against it. */
#include <math.h>
#include <string.h>

#include "kernels/dequant.h"
#include "kernels/kernels.h"
#include "kernels/levels.h"

static float dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

static float dot_f16(const float *a, const uint16_t *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)f16_to_f32(b[i]);
    return (float)sum;
}

static float dot_bf16(const float *a, const uint16_t *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)bf16_to_f32(b[i]);
    return (float)sum;
}

/* Defines a kernel_linear from a dot product of one row with one row. */
#define LINEAR_FROM_DOT(name, dot_fn, w_type)                                                      \
    static void name(size_t n, const void *w, size_t w_stride, size_t n_rows, const void *x,       \
                     size_t x_stride, size_t n_tokens, float *y, size_t y_stride) {                \
        for (size_t t = 0; t < n_tokens; t++)                                                      \
            for (size_t r = 0; r < n_rows; r++)                                                    \
                y[t * y_stride + r] = dot_fn((const float *)((const char *)x + t * x_stride),      \
                                             (const w_type *)((const char *)w + r * w_stride), n); \
    }

LINEAR_FROM_DOT(linear_f32, dot, float)
LINEAR_FROM_DOT(linear_f16, dot_f16, uint16_t)
LINEAR_FROM_DOT(linear_bf16, dot_bf16, uint16_t)

static void axpy(float *y, float a, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void axpy_f16(float *y, float a, const uint16_t *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] += a * f16_to_f32(x[i]);
}

static float sum_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i];
    return (float)sum;
}

static float sum_squares(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return (float)sum;
}

static float max_of(const float *x, size_t n) {
    float best = x[0];
    for (size_t i = 1; i < n; i++)
        if (x[i] > best) best = x[i];
    return best;
}

static float exp_sum(float *x, float max, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += (double)x[i];
    }
    return (float)sum;
}

static void scale(float *y, const float *x, float a, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = a * x[i];
}

static void mul(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void add(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void to_f16(const float *x, uint16_t *out, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = f32_to_f16(x[i]);
}

static void copy_f32(const void *blocks, float *out, size_t n) {
    memcpy(out, blocks, n * sizeof *out);
}

static void widen_f16(const void *blocks, float *out, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = f16_to_f32(((const uint16_t *)blocks)[i]);
}

static void widen_bf16(const void *blocks, float *out, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(((const uint16_t *)blocks)[i]);
}

static void keep_f32(const float *x, void *out, size_t n) {
    memcpy(out, x, n * sizeof *x);
}

void kernels_fill_scalar(struct kernels *k) {
    *k = (struct kernels){
        .level = CPU_SCALAR,
        .gemm_f32 = &scalar_gemm,
        .dequantize = {[ELEM_F32] = copy_f32, [ELEM_F16] = widen_f16, [ELEM_BF16] = widen_bf16},
        .linear = {[ELEM_F32] = linear_f32, [ELEM_F16] = linear_f16, [ELEM_BF16] = linear_bf16},
        .quantize_act = {[ACT_F32] = keep_f32},
        .dot = dot,
        .dot_f16 = dot_f16,
        .axpy = axpy,
        .axpy_f16 = axpy_f16,
        .sum = sum_of,
        .sum_squares = sum_squares,
        .max = max_of,
        .exp_sum = exp_sum,
        .scale = scale,
        .mul = mul,
        .add = add,
        .to_f16 = to_f16,
    };
    dequantize_fill(k);
    scalar_fill_quant(k);
    scalar_fill_activation(k);
    scalar_fill_adamw(k);
    scalar_fill_iq(k);
    scalar_fill_scan(k);
    scalar_fill_attention(k);
}
