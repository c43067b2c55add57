/* scalar_dot.h - the oracle's dot products of quantised weights and activations.
 *
 * Every type is first written out as small integers with their scales, by a function
 * widen_<type>(row, i, out) for block i of a row; one dot product per activation format
 * does the rest. Integer sums are exact, so that other levels differ only by the
 * rounding of float sums. */
#ifndef HEARTH_KERNELS_SCALAR_DOT_H
#define HEARTH_KERNELS_SCALAR_DOT_H

#include "kernels/kernels.h"

/* 32 weights: scale[i / 16] q[i] + m. */
struct wide32 {
    float scale[2], m;
    int8_t q[32];
};

/* 256 weights: d scale[i / 16] q[i] - dmin m[i / 16]. */
struct wide256 {
    float d, dmin;
    int16_t scale[16], m[16];
    int8_t q[256];
};

static inline int int_dot(const int8_t *a, const int8_t *b, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static inline double dot32(const struct wide32 *w, const struct act_q8 *x) {
    double low = (double)w->scale[0] * int_dot(w->q, x->q, 16);
    double high = (double)w->scale[1] * int_dot(w->q + 16, x->q + 16, 16);
    return (double)x->scale * (low + high) + (double)w->m * (double)act_q8_sum(x);
}

static inline double dot256(const struct wide256 *w, const struct act_q8k *x) {
    int scaled = 0, minima = 0;
    for (int j = 0; j < 16; j++) {
        scaled += w->scale[j] * int_dot(w->q + 16 * j, x->q + 16 * j, 16);
        minima += w->m[j] * x->sums[j];
    }
    return (double)x->scale * ((double)w->d * scaled - (double)w->dmin * minima);
}

/* Defines linear_<type> over blocks of `size` values. */
#define DEFINE_LINEAR(type, size, act_type)                                                        \
    static void linear_##type(size_t n, const void *w, size_t w_stride, size_t n_rows,             \
                              const void *x, size_t x_stride, size_t n_tokens, float *y,           \
                              size_t y_stride) {                                                   \
        for (size_t t = 0; t < n_tokens; t++)                                                      \
            for (size_t r = 0; r < n_rows; r++) {                                                  \
                const void *row = (const char *)w + r * w_stride;                                  \
                const void *act = (const char *)x + t * x_stride;                                  \
                double sum = 0;                                                                    \
                for (size_t i = 0; i < n / (size); i++) {                                          \
                    struct wide##size wide;                                                        \
                    widen_##type(row, i, &wide);                                                   \
                    sum += dot##size(&wide, (const struct act_type *)act + i);                     \
                }                                                                                  \
                y[t * y_stride + r] = (float)sum;                                                  \
            }                                                                                      \
    }

static inline void set_linear(struct kernels *k, enum elem type, enum act act,
                              kernel_linear linear) {
    k->linear[type] = linear;
    k->linear_act[type] = act;
}

#endif
