/* The oracle of the activation functions: their definitions in plain C. */
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/levels.h"

static float sigmoid_of(float x) {
    return 1.0f / (1.0f + expf(-x));
}

static float silu_of(float x) {
    return x / (1.0f + expf(-x));
}

/* Hendrycks & Gimpel, "Gaussian Error Linear Units", the tanh form. */
static float gelu_of(float x) {
    const float root = 0.79788456080286535588f; /* sqrt(2 / pi) */
    return 0.5f * x * (1.0f + tanhf(root * x * (1.0f + 0.044715f * x * x)));
}

/* The exact form, x Phi(x). */
static float gelu_erf_of(float x) {
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));
}

/* The functions `name` and `name`_mul of `name`_of. */
#define DEFINE_ACTIVATION(name)                                                                    \
    static void name(float *y, const float *x, size_t n) {                                         \
        for (size_t i = 0; i < n; i++)                                                             \
            y[i] = name##_of(x[i]);                                                                \
    }                                                                                              \
    static void name##_mul(float *y, const float *gate, const float *up, size_t n) {               \
        for (size_t i = 0; i < n; i++)                                                             \
            y[i] = name##_of(gate[i]) * up[i];                                                     \
    }

DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu)
DEFINE_ACTIVATION(gelu_erf)
DEFINE_ACTIVATION(sigmoid)

static void softplus(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 20.0f ? x[i] : log1pf(expf(x[i]));
}

static void softcap(float *y, const float *x, float cap, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = cap * tanhf(x[i] / cap);
}

static float swiglu_clamped_of(float gate, float up) {
    float g = gate > SWIGLU_LIMIT ? SWIGLU_LIMIT : gate;
    float u = up > SWIGLU_LIMIT ? SWIGLU_LIMIT : up < -SWIGLU_LIMIT ? -SWIGLU_LIMIT : up;
    return g * sigmoid_of(SWIGLU_ALPHA * g) * (u + 1.0f);
}

static void swiglu_clamped(float *y, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = swiglu_clamped_of(gate[i], up[i]);
}

void scalar_fill_activation(struct kernels *k) {
    k->silu = silu;
    k->silu_mul = silu_mul;
    k->gelu = gelu;
    k->gelu_mul = gelu_mul;
    k->gelu_erf = gelu_erf;
    k->gelu_erf_mul = gelu_erf_mul;
    k->sigmoid = sigmoid;
    k->sigmoid_mul = sigmoid_mul;
    k->softplus = softplus;
    k->softcap = softcap;
    k->swiglu_clamped = swiglu_clamped;
}
