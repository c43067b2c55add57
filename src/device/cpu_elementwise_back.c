/* Gradients of element-wise operations. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

static float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

/* gelu(x) = x Phi(x), or with Phi(x) ~ (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3)
 * (Hendrycks & Gimpel, arXiv 1606.08415). */
static float gelu_slope(float x) {
    const float c = 0.7978845608f, a = 0.044715f;
    float t = tanhf(c * (x + a * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * c * (1 + 3 * a * x * x);
}

static float gelu_erf_slope(float x) {
    const float half_root = 0.70710678f, density = 0.39894228f;
    return 0.5f * (1 + erff(x * half_root)) + x * density * expf(-0.5f * x * x);
}

/* f'(x) */
static float slope(enum activation activation, float x) {
    switch (activation) {
    case ACTIVATION_SILU: {
        float s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    case ACTIVATION_GELU: return gelu_slope(x);
    case ACTIVATION_GELU_ERF: return gelu_erf_slope(x);
    case ACTIVATION_RELU: return x > 0 ? 1 : 0;
    case ACTIVATION_RELU2: return x > 0 ? 2 * x : 0;
    case ACTIVATION_SIGMOID: {
        float s = sigmoid(x);
        return s * (1 - s);
    }
    case ACTIVATION_SOFTPLUS: return sigmoid(x);
    case ACTIVATION_TANH: {
        float t = tanhf(x);
        return 1 - t * t;
    }
    case ACTIVATION_NONE:
    case ACTIVATION_SWIGLU_OAI: break;
    }
    return 1;
}

/* f(x) */
static float value(enum activation activation, float x) {
    switch (activation) {
    case ACTIVATION_SILU: return x * sigmoid(x);
    case ACTIVATION_GELU:
        return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    case ACTIVATION_GELU_ERF: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case ACTIVATION_RELU: return x > 0 ? x : 0;
    case ACTIVATION_RELU2: return x > 0 ? x * x : 0;
    case ACTIVATION_SIGMOID: return sigmoid(x);
    case ACTIVATION_SOFTPLUS: return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
    case ACTIVATION_TANH: return tanhf(x);
    case ACTIVATION_NONE:
    case ACTIVATION_SWIGLU_OAI: break;
    }
    return x;
}

struct gate_gradient {
    float gate, up;
};

/* Of g sigmoid(alpha g) (u + 1) with both clamped; what was clamped has no slope. */
static struct gate_gradient swiglu_oai_back(float gate, float up, float dy) {
    float g = gate < SWIGLU_LIMIT ? gate : SWIGLU_LIMIT;
    float u = fminf(fmaxf(up, -SWIGLU_LIMIT), SWIGLU_LIMIT), s = sigmoid(SWIGLU_ALPHA * g);
    struct gate_gradient d = {dy * (u + 1) * s * (1 + SWIGLU_ALPHA * g * (1 - s)), dy * g * s};
    if (gate > SWIGLU_LIMIT) d.gate = 0;
    if (fabsf(up) > SWIGLU_LIMIT) d.up = 0;
    return d;
}

/* This thread's part of every row; pointers to its first value. */
struct part {
    struct span span;
    size_t n;
};

static struct part part_of(const struct cpu_run *run, const struct op *op) {
    struct part part = {.span = cpu_span(run, op_row_count(run, op), op->width)};
    part.n = part.span.end - part.span.begin;
    return part;
}

static float *at(const struct cpu_run *run, const struct part *part, struct view view, size_t row) {
    return view_row(run, view, row) + part->span.begin;
}

void cpu_activate_back(const struct cpu_run *run, const struct op *op) {
    struct part part = part_of(run, op);
    for (size_t row = part.span.row_begin; row < part.span.row_end; row++) {
        const float *x = at(run, &part, op->in, row), *dy = at(run, &part, op->in2, row);
        float *dx = at(run, &part, op->out, row);
        for (size_t i = 0; i < part.n; i++)
            dx[i] = dy[i] * slope(op->activation, x[i]);
    }
}

void cpu_gated_back(const struct cpu_run *run, const struct op *op) {
    struct part part = part_of(run, op);
    for (size_t row = part.span.row_begin; row < part.span.row_end; row++) {
        const float *gate = at(run, &part, op->in, row), *up = at(run, &part, op->in2, row);
        const float *dy = at(run, &part, op->in3, row);
        float *d_gate = at(run, &part, op->out, row), *d_up = at(run, &part, op->out2, row);
        for (size_t i = 0; i < part.n; i++) {
            struct gate_gradient d = {dy[i] * up[i] * slope(op->activation, gate[i]),
                                      dy[i] * value(op->activation, gate[i])};
            if (op->activation == ACTIVATION_SWIGLU_OAI) d = swiglu_oai_back(gate[i], up[i], dy[i]);
            d_gate[i] = d.gate;
            d_up[i] = d.up;
        }
    }
}

void cpu_softcap_back(const struct cpu_run *run, const struct op *op) {
    struct part part = part_of(run, op);
    for (size_t row = part.span.row_begin; row < part.span.row_end; row++) {
        const float *x = at(run, &part, op->in, row), *dy = at(run, &part, op->in2, row);
        float *dx = at(run, &part, op->out, row);
        for (size_t i = 0; i < part.n; i++)
            dx[i] = dy[i] * slope(ACTIVATION_TANH, x[i] / op->softcap.cap);
    }
}

/* Between the groups dx is 0; groups that were copied from one place meet there. */
void cpu_copy_back(const struct cpu_run *run, const struct op *op) {
    size_t begin, end, whole = (op->copy.n_groups - 1) * (size_t)op->copy.in_stride + op->width;
    pool_share(op_row_count(run, op), 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        float *dx = view_row(run, op->out, row);
        const float *dy = view_row(run, op->in, row);
        memset(dx, 0, whole * sizeof *dx);
        for (size_t g = 0; g < op->copy.n_groups; g++)
            run->k->add(dx + g * op->copy.in_stride, dx + g * op->copy.in_stride,
                        dy + g * op->copy.out_stride, op->width);
    }
}

void cpu_clear(const struct cpu_run *run, const struct op *op) {
    struct part part = part_of(run, op);
    for (size_t row = part.span.row_begin; row < part.span.row_end; row++)
        memset(at(run, &part, op->out, row), 0, part.n * sizeof(float));
}
