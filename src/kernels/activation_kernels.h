/* activation_kernels.h - the activation functions of a level, written once over vector words.
 *
 * Included by one source file per level after float_kernels.h. */
#ifndef HEARTH_KERNELS_ACTIVATION_KERNELS_H
#define HEARTH_KERNELS_ACTIVATION_KERNELS_H

#include "kernels/float_kernels.h"

static inline vf vf_abs(vf x) {
    return vf_max(vf_sub(vf_zero(), x), x);
}

static inline vf vf_silu(vf x) {
    vf e = vf_exp(vf_sub(vf_zero(), x));
    return vf_div(x, vf_add(e, vf_set1(1.0f)));
}

static inline vf vf_sigmoid(vf x) {
    vf e = vf_exp(vf_sub(vf_zero(), x));
    return vf_div(vf_set1(1.0f), vf_add(e, vf_set1(1.0f)));
}

/* Hendrycks & Gimpel, "Gaussian Error Linear Units", the tanh form, by
 * (1 + tanh u) / 2 = 1 / (1 + e^(-2 u)). */
static inline vf vf_gelu(vf x) {
    const float minus_two_root = -1.59576912160573071176f; /* -2 sqrt(2 / pi) */
    vf cubic = vf_fma(vf_mul(x, x), vf_set1(0.044715f), vf_set1(1.0f));
    vf e = vf_exp(vf_mul(vf_mul(x, vf_set1(minus_two_root)), cubic));
    return vf_div(x, vf_add(e, vf_set1(1.0f)));
}

/* The exact form x Phi(x) = max(x, 0) - |x| Phi(-|x|), where
 * Phi(-a) = erfc(a / sqrt 2) / 2 = e^(-a^2 / 2) s p(s), s = 1 / (1 + 0.3 a / sqrt 2), with
 * p interpolated at Chebyshev nodes (relative error 2.5e-8); nothing is left of it at 15. */
static inline vf vf_gelu_erf(vf x) {
    vf a = vf_min(vf_set1(15.0f), vf_abs(x)), one = vf_set1(1.0f);
    vf s = vf_div(one, vf_fma(a, vf_set1(0.212132034f), one));
    vf p = vf_set1(-0.0654769546f);
    p = vf_fma(p, s, vf_set1(0.246384771f));
    p = vf_fma(p, s, vf_set1(-0.263869993f));
    p = vf_fma(p, s, vf_set1(0.283069308f));
    p = vf_fma(p, s, vf_set1(-0.0539710545f));
    p = vf_fma(p, s, vf_set1(0.110430949f));
    p = vf_fma(p, s, vf_set1(0.0733702409f));
    p = vf_fma(p, s, vf_set1(0.0854761162f));
    p = vf_fma(p, s, vf_set1(0.0845866064f));
    vf e = vf_exp(vf_mul(vf_mul(a, a), vf_set1(-0.5f)));
    return vf_sub(vf_max(vf_zero(), x), vf_mul(vf_mul(a, e), vf_mul(s, p)));
}

/* log(1 + e^x) = max(x, 0) + log(1 + z), z = e^-|x|; log(1 + z) = 2 atanh(w) for
 * w = z / (2 + z), as w p(w^2) with p interpolated at Chebyshev nodes (relative error
 * 4e-9). */
static inline vf vf_softplus(vf x) {
    vf z = vf_exp(vf_sub(vf_zero(), vf_abs(x)));
    vf w = vf_div(z, vf_add(z, vf_set1(2.0f))), v = vf_mul(w, w);
    vf p = vf_set1(0.281577784f);
    p = vf_fma(p, v, vf_set1(0.279651577f));
    p = vf_fma(p, v, vf_set1(0.400245952f));
    p = vf_fma(p, v, vf_set1(0.666663216f));
    p = vf_fma(p, v, vf_set1(2.0f));
    return vf_fma(w, p, vf_max(vf_zero(), x));
}

/* tanh x = e / (e + 2), e = e^(2 x) - 1; it is 1 to the last bit beyond 10. */
static inline vf vf_tanh(vf x) {
    vf n, one = vf_set1(1.0f);
    x = vf_min(vf_set1(10.0f), vf_max(vf_set1(-10.0f), x));
    vf part = vf_exp_parts(vf_add(x, x), &n);
    vf e = vf_add(vf_times_power(part, n), vf_sub(vf_times_power(one, n), one));
    return vf_div(e, vf_add(e, vf_set1(2.0f)));
}

/* The functions `name` and `name`_mul of the vector function vf_`name`. */
#define DEFINE_ACTIVATION(name)                                                                    \
    static void name(float *y, const float *x, size_t n) {                                         \
        MAP(y, vf_store, vf_store_some, vf_##name(FULL(x)), vf_##name(PART(x)));                   \
    }                                                                                              \
    static void name##_mul(float *y, const float *gate, const float *up, size_t n) {               \
        MAP(y, vf_store, vf_store_some, vf_mul(vf_##name(FULL(gate)), FULL(up)),                   \
            vf_mul(vf_##name(PART(gate)), PART(up)));                                              \
    }

DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu)
DEFINE_ACTIVATION(gelu_erf)
DEFINE_ACTIVATION(sigmoid)

static void softplus(float *y, const float *x, size_t n) {
    MAP(y, vf_store, vf_store_some, vf_softplus(FULL(x)), vf_softplus(PART(x)));
}

static void softcap(float *y, const float *x, float cap, size_t n) {
    vf c = vf_set1(cap);
    MAP(y, vf_store, vf_store_some, vf_mul(c, vf_tanh(vf_div(FULL(x), c))),
        vf_mul(c, vf_tanh(vf_div(PART(x), c))));
}

static inline vf vf_swiglu_clamped(vf gate, vf up) {
    vf limit = vf_set1(SWIGLU_LIMIT), one = vf_set1(1.0f);
    vf g = vf_min(limit, gate), u = vf_min(limit, vf_max(vf_sub(vf_zero(), limit), up));
    vf e = vf_exp(vf_mul(g, vf_set1(-SWIGLU_ALPHA)));
    return vf_mul(vf_div(g, vf_add(e, one)), vf_add(u, one));
}

static void swiglu_clamped(float *y, const float *gate, const float *up, size_t n) {
    MAP(y, vf_store, vf_store_some, vf_swiglu_clamped(FULL(gate), FULL(up)),
        vf_swiglu_clamped(PART(gate), PART(up)));
}

static void fill_activation(struct kernels *k) {
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

#endif
