#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

/* Calls `body` for this thread's part of every row, with n values from column
 * span.begin; y, a, b point there. */
#define FOR_SPAN(run, op)                                                                          \
    struct span span = cpu_span(run, op_row_count(run, op), (op)->width);                          \
    size_t n = span.end - span.begin;                                                              \
    for (size_t row = span.row_begin; n > 0 && row < span.row_end; row++)

static float *at(const struct cpu_run *run, struct view view, size_t row, size_t column) {
    return view_row(run, view, row) + column;
}

void cpu_add(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        float *y = at(run, op->out, row, span.begin);
        const float *a = at(run, op->in, row, span.begin), *b = at(run, op->in2, row, span.begin);
        if (op->scale == 1.0f) {
            run->k->add(y, a, b, n);
            continue;
        }
        if (y != a) memcpy(y, a, n * sizeof *y);
        run->k->axpy(y, op->scale, b, n);
    }
}

void cpu_scale(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        run->k->scale(at(run, op->out, row, span.begin), at(run, op->in, row, span.begin),
                      op->scale, n);
    }
}

void cpu_add_row(const struct cpu_run *run, const struct op *op) {
    const float *w = weight_vector(run, &op->w);
    FOR_SPAN(run, op) {
        run->k->add(at(run, op->out, row, span.begin), at(run, op->in, row, span.begin),
                    w + span.begin, n);
    }
}

void cpu_mul_row(const struct cpu_run *run, const struct op *op) {
    const float *w = weight_vector(run, &op->w);
    FOR_SPAN(run, op) {
        run->k->mul(at(run, op->out, row, span.begin), at(run, op->in, row, span.begin),
                    w + span.begin, n);
    }
}

static float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

static float activate_one(enum activation activation, float x) {
    switch (activation) {
    case ACTIVATION_GELU_ERF: return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));
    case ACTIVATION_RELU: return x > 0 ? x : 0;
    case ACTIVATION_RELU2: return x > 0 ? x * x : 0;
    case ACTIVATION_SIGMOID: return sigmoid(x);
    case ACTIVATION_SOFTPLUS: return x > 20.0f ? x : log1pf(expf(x));
    case ACTIVATION_TANH: return tanhf(x);
    default: return x;
    }
}

void cpu_activate(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        float *y = at(run, op->out, row, span.begin);
        const float *x = at(run, op->in, row, span.begin);
        if (op->activation == ACTIVATION_SILU)
            run->k->silu(y, x, n);
        else if (op->activation == ACTIVATION_GELU)
            run->k->gelu(y, x, n);
        else
            for (size_t i = 0; i < n; i++)
                y[i] = activate_one(op->activation, x[i]);
    }
}

/* The clamped gate of gpt-oss (OpenAI, gpt-oss model card and reference code). */
static float swiglu_oai(float gate, float up) {
    const float limit = 7.0f, alpha = 1.702f;
    float g = gate > limit ? limit : gate;
    float u = up > limit ? limit : up < -limit ? -limit : up;
    return g * sigmoid(alpha * g) * (u + 1.0f);
}

void cpu_gated(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        float *y = at(run, op->out, row, span.begin);
        const float *gate = at(run, op->in, row, span.begin);
        const float *up = at(run, op->in2, row, span.begin);
        if (op->activation == ACTIVATION_SILU)
            run->k->silu_mul(y, gate, up, n);
        else if (op->activation == ACTIVATION_GELU)
            run->k->gelu_mul(y, gate, up, n);
        else if (op->activation == ACTIVATION_NONE)
            run->k->mul(y, gate, up, n);
        else
            for (size_t i = 0; i < n; i++)
                y[i] = op->activation == ACTIVATION_SWIGLU_OAI
                           ? swiglu_oai(gate[i], up[i])
                           : activate_one(op->activation, gate[i]) * up[i];
    }
}

void cpu_softcap(const struct cpu_run *run, const struct op *op) {
    float cap = op->softcap.cap;
    FOR_SPAN(run, op) {
        float *y = at(run, op->out, row, span.begin);
        const float *x = at(run, op->in, row, span.begin);
        for (size_t i = 0; i < n; i++)
            y[i] = cap * tanhf(x[i] / cap);
    }
}

void cpu_copy(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op_row_count(run, op), 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++)
        for (uint32_t g = 0; g < op->copy.n_groups; g++)
            memcpy(at(run, op->out, row, (size_t)g * op->copy.out_stride),
                   at(run, op->in, row, (size_t)g * op->copy.in_stride), op->width * sizeof(float));
}

void cpu_gather_rows(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(run->batch->n_outputs, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        memcpy(view_row(run, op->out, i), view_row(run, op->in, run->batch->output_rows[i]),
               op->width * sizeof(float));
}

/* One row for each run, at the row number of the run. */
void cpu_pool_rows(const struct cpu_run *run, const struct op *op) {
    for (uint32_t i = run->thread; i < run->batch->n_runs; i += run->n_threads) {
        const struct batch_run *part = &run->batch->runs[i];
        float *y = view_row(run, op->out, i);
        size_t first = part->first_row, count = part->n_rows;
        if (op->pool.kind == POOL_FIRST) count = 1;
        if (op->pool.kind == POOL_LAST) first += count - 1, count = 1;
        memset(y, 0, op->width * sizeof *y);
        for (size_t row = first; row < first + count; row++)
            run->k->add(y, y, view_row(run, op->in, row), op->width);
        float scale = 1.0f / (float)count;
        if (op->pool.normalise) {
            float norm = sqrtf(run->k->sum_squares(y, op->width));
            scale = norm > 0 ? 1.0f / norm : 0;
        }
        run->k->scale(y, y, scale, op->width);
    }
}
