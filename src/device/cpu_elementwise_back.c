/* Gradients of element-wise operations. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

enum { BLOCK = 64 /* values whose slopes are computed at a time */ };

/* f(x) and f'(x) of a block. */
struct slopes {
    float value[BLOCK], slope[BLOCK];
};

/* x sigmoid(x) */
static void silu(const struct kernels *k, const float *x, struct slopes *f, size_t n) {
    k->sigmoid(f->slope, x, n);
    for (size_t i = 0; i < n; i++) {
        float s = f->slope[i];
        f->value[i] = x[i] * s;
        f->slope[i] = s * (1 + x[i] * (1 - s));
    }
}

/* x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks & Gimpel, arXiv
 * 1606.08415). */
static void gelu(const struct kernels *k, const float *x, struct slopes *f, size_t n) {
    const float c = 0.7978845608f, a = 0.044715f;
    for (size_t i = 0; i < n; i++)
        f->value[i] = c * (x[i] + a * x[i] * x[i] * x[i]);
    k->softcap(f->slope, f->value, 1.0f, n);
    for (size_t i = 0; i < n; i++) {
        float t = f->slope[i];
        f->value[i] = 0.5f * x[i] * (1 + t);
        f->slope[i] = 0.5f * (1 + t) + 0.5f * x[i] * (1 - t * t) * c * (1 + 3 * a * x[i] * x[i]);
    }
}

/* x Phi(x), the same paper. */
static void gelu_erf(const float *x, struct slopes *f, size_t n) {
    const float half_root = 0.70710678f, density = 0.39894228f;
    for (size_t i = 0; i < n; i++) {
        float phi = 0.5f * (1 + erff(x[i] * half_root));
        f->value[i] = x[i] * phi;
        f->slope[i] = phi + x[i] * density * expf(-0.5f * x[i] * x[i]);
    }
}

static void relu(const float *x, bool squared, struct slopes *f, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float positive = x[i] > 0 ? x[i] : 0;
        f->value[i] = squared ? positive * positive : positive;
        f->slope[i] = squared ? 2 * positive : (x[i] > 0 ? 1.0f : 0.0f);
    }
}

static void sigmoid(const struct kernels *k, const float *x, struct slopes *f, size_t n) {
    k->sigmoid(f->value, x, n);
    for (size_t i = 0; i < n; i++)
        f->slope[i] = f->value[i] * (1 - f->value[i]);
}

static void hyperbolic(const struct kernels *k, const float *x, struct slopes *f, size_t n) {
    k->softcap(f->value, x, 1.0f, n);
    for (size_t i = 0; i < n; i++)
        f->slope[i] = 1 - f->value[i] * f->value[i];
}

static void softplus(const struct kernels *k, const float *x, struct slopes *f, size_t n) {
    k->softplus(f->value, x, n);
    k->sigmoid(f->slope, x, n);
}

static void differentiate(const struct kernels *k, enum activation activation, const float *x,
                          struct slopes *f, size_t n) {
    switch (activation) {
    case ACTIVATION_SILU: silu(k, x, f, n); break;
    case ACTIVATION_GELU: gelu(k, x, f, n); break;
    case ACTIVATION_GELU_ERF: gelu_erf(x, f, n); break;
    case ACTIVATION_RELU: relu(x, false, f, n); break;
    case ACTIVATION_RELU2: relu(x, true, f, n); break;
    case ACTIVATION_SIGMOID: sigmoid(k, x, f, n); break;
    case ACTIVATION_SOFTPLUS: softplus(k, x, f, n); break;
    case ACTIVATION_TANH: hyperbolic(k, x, f, n); break;
    case ACTIVATION_NONE:
    case ACTIVATION_SWIGLU_OAI:
        for (size_t i = 0; i < n; i++) {
            f->value[i] = x[i];
            f->slope[i] = 1;
        }
    }
}

/* A row of a gate: pointers to its values and to where their gradients go. */
struct gate {
    const float *gate, *up, *dy;
    float *d_gate, *d_up;
};

static void gate_back(const struct kernels *k, enum activation activation, const struct gate *g,
                      size_t n) {
    struct slopes f;
    differentiate(k, activation, g->gate, &f, n);
    for (size_t i = 0; i < n; i++) {
        g->d_gate[i] = g->dy[i] * g->up[i] * f.slope[i];
        g->d_up[i] = g->dy[i] * f.value[i];
    }
}

/* Of g sigmoid(alpha g) (u + 1) with both clamped; what was clamped has no slope. */
static void swiglu_oai_back(const struct kernels *k, const struct gate *at, size_t n) {
    float s[BLOCK];
    for (size_t i = 0; i < n; i++)
        s[i] = SWIGLU_ALPHA * fminf(at->gate[i], SWIGLU_LIMIT);
    k->sigmoid(s, s, n);
    for (size_t i = 0; i < n; i++) {
        float g = fminf(at->gate[i], SWIGLU_LIMIT), dy = at->dy[i];
        float u = fminf(fmaxf(at->up[i], -SWIGLU_LIMIT), SWIGLU_LIMIT);
        float slope = s[i] * (1 + SWIGLU_ALPHA * g * (1 - s[i]));
        at->d_gate[i] = at->gate[i] > SWIGLU_LIMIT ? 0 : dy * (u + 1) * slope;
        at->d_up[i] = fabsf(at->up[i]) > SWIGLU_LIMIT ? 0 : dy * g * s[i];
    }
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

static size_t block_at(size_t i, size_t n) {
    return n - i < BLOCK ? n - i : BLOCK;
}

/* dx = dy f'(x / divisor) */
static void activation_back(const struct cpu_run *run, const struct op *op,
                            enum activation activation, float divisor) {
    struct part part = part_of(run, op);
    for (size_t row = part.span.row_begin; row < part.span.row_end; row++) {
        const float *x = at(run, &part, op->in, row), *dy = at(run, &part, op->in2, row);
        float *dx = at(run, &part, op->out, row), scaled[BLOCK];
        struct slopes f;
        for (size_t i = 0; i < part.n; i += BLOCK) {
            size_t n = block_at(i, part.n);
            run->k->scale(scaled, x + i, 1.0f / divisor, n);
            differentiate(run->k, activation, scaled, &f, n);
            run->k->mul(dx + i, dy + i, f.slope, n);
        }
    }
}

void cpu_activate_back(const struct cpu_run *run, const struct op *op) {
    activation_back(run, op, op->activation, 1.0f);
}

/* cap tanh(x / cap) has the slope 1 - tanh^2 (x / cap). */
void cpu_softcap_back(const struct cpu_run *run, const struct op *op) {
    activation_back(run, op, ACTIVATION_TANH, op->softcap.cap);
}

void cpu_gated_back(const struct cpu_run *run, const struct op *op) {
    struct part part = part_of(run, op);
    for (size_t row = part.span.row_begin; row < part.span.row_end; row++)
        for (size_t i = 0; i < part.n; i += BLOCK) {
            size_t n = block_at(i, part.n);
            struct gate gate = {.gate = at(run, &part, op->in, row) + i,
                                .up = at(run, &part, op->in2, row) + i,
                                .dy = at(run, &part, op->in3, row) + i,
                                .d_gate = at(run, &part, op->out, row) + i,
                                .d_up = at(run, &part, op->out2, row) + i};
            if (op->activation == ACTIVATION_SWIGLU_OAI)
                swiglu_oai_back(run->k, &gate, n);
            else
                gate_back(run->k, op->activation, &gate, n);
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
