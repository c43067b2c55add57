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

static void mul_rows(const struct cpu_run *run, const struct op *op, size_t first, size_t rows) {
    const float *w = weight_vector(run, &op->w);
    struct span span = cpu_span(run, rows, op->width);
    size_t n = span.end - span.begin;
    for (size_t row = first + span.row_begin; n > 0 && row < first + span.row_end; row++)
        run->k->mul(at(run, op->out, row, span.begin), at(run, op->in, row, span.begin),
                    w + span.begin, n);
}

void cpu_mul_row(const struct cpu_run *run, const struct op *op) {
    size_t n_parts;
    if (!op->adapter) {
        mul_rows(run, op, 0, op_row_count(run, op));
        return;
    }
    const struct cpu_adapter_rows *parts = cpu_adapter_parts(run, op, &n_parts);
    for (size_t p = 0; p < n_parts; p++)
        mul_rows(run, op, parts[p].first, parts[p].n);
}

static void rectify(float *y, const float *x, bool squared, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float positive = x[i] > 0 ? x[i] : 0;
        y[i] = squared ? positive * positive : positive;
    }
}

static void activate(const struct kernels *k, enum activation activation, float *y, const float *x,
                     size_t n) {
    switch (activation) {
    case ACTIVATION_SILU: k->silu(y, x, n); break;
    case ACTIVATION_GELU: k->gelu(y, x, n); break;
    case ACTIVATION_GELU_ERF: k->gelu_erf(y, x, n); break;
    case ACTIVATION_RELU: rectify(y, x, false, n); break;
    case ACTIVATION_RELU2: rectify(y, x, true, n); break;
    case ACTIVATION_SIGMOID: k->sigmoid(y, x, n); break;
    case ACTIVATION_SOFTPLUS: k->softplus(y, x, n); break;
    case ACTIVATION_TANH: k->softcap(y, x, 1.0f, n); break;
    case ACTIVATION_NONE:
    case ACTIVATION_SWIGLU_OAI: memmove(y, x, n * sizeof *y); break;
    }
}

void cpu_activate(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        activate(run->k, op->activation, at(run, op->out, row, span.begin),
                 at(run, op->in, row, span.begin), n);
    }
}

/* Activations without a gated kernel, a few values at a time: y may be `up`. */
static void activate_and_mul(const struct kernels *k, enum activation activation, float *y,
                             const float *x, const float *up, size_t n) {
    float part[COLUMN_GRANULE];
    for (size_t i = 0; i < n; i += COLUMN_GRANULE) {
        size_t count = n - i < COLUMN_GRANULE ? n - i : COLUMN_GRANULE;
        activate(k, activation, part, x + i, count);
        k->mul(y + i, part, up + i, count);
    }
}

static void gate(const struct kernels *k, enum activation activation, float *y, const float *x,
                 const float *up, size_t n) {
    switch (activation) {
    case ACTIVATION_SILU: k->silu_mul(y, x, up, n); break;
    case ACTIVATION_GELU: k->gelu_mul(y, x, up, n); break;
    case ACTIVATION_GELU_ERF: k->gelu_erf_mul(y, x, up, n); break;
    case ACTIVATION_SIGMOID: k->sigmoid_mul(y, x, up, n); break;
    case ACTIVATION_SWIGLU_OAI: k->swiglu_clamped(y, x, up, n); break;
    case ACTIVATION_NONE: k->mul(y, x, up, n); break;
    default: activate_and_mul(k, activation, y, x, up, n);
    }
}

void cpu_gated(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        gate(run->k, op->activation, at(run, op->out, row, span.begin),
             at(run, op->in, row, span.begin), at(run, op->in2, row, span.begin), n);
    }
}

void cpu_softcap(const struct cpu_run *run, const struct op *op) {
    FOR_SPAN(run, op) {
        run->k->softcap(at(run, op->out, row, span.begin), at(run, op->in, row, span.begin),
                        op->softcap.cap, n);
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
