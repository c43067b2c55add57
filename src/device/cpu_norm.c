/* Normalisations and rotary positions. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

/* Zhang & Sennrich, "Root Mean Square Layer Normalization" (arXiv 1910.07467);
 * Ba et al., "Layer Normalization" (arXiv 1607.06450). */
static void norm_group(const struct kernels *k, const struct op *op, float *y, const float *x,
                       const float *weight, const float *bias) {
    size_t n = op->width;
    if (op->norm.kind == NORM_LAYER) {
        float mean = k->sum(x, n) / (float)n;
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] - mean;
        x = y;
    }
    float squares = k->sum_squares(x, n);
    float scale;
    if (op->norm.kind == NORM_L2) {
        float length = sqrtf(squares);
        scale = 1.0f / (length > op->norm.eps ? length : op->norm.eps);
    } else
        scale = 1.0f / sqrtf(squares / (float)n + op->norm.eps);
    k->scale(y, x, scale, n);
    if (weight) k->mul(y, y, weight, n);
    if (bias) k->add(y, y, bias, n);
}

/* A weight with more values than a group has one part for each group (grouped
 * norms of Mamba-2). */
void cpu_norm(const struct cpu_run *run, const struct op *op) {
    const float *weight = weight_vector(run, &op->w), *bias = weight_vector(run, &op->bias);
    size_t groups = op->norm.n_groups, begin, end;
    bool per_group = weight && (size_t)op->w.cols * op->w.rows > op->width;
    pool_share(op_row_count(run, op) * groups, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t row = i / groups, group = i % groups, at = group * op->width;
        norm_group(run->k, op, view_row(run, op->out, row) + at, view_row(run, op->in, row) + at,
                   weight && per_group ? weight + at : weight, bias);
    }
}

/* Su et al., "RoFormer" (arXiv 2104.09864). */
static void rotate_head(const struct op *op, float *y, const float *x, const float *cosine,
                        const float *sine) {
    size_t half = op->rope.n_rot / 2, rest = op->rope.head_dim - op->rope.n_rot;
    size_t step = op->rope.neox ? 1 : 2, apart = op->rope.neox ? half : 1;
    for (size_t i = 0; i < half; i++) {
        size_t a = i * step, b = a + apart;
        float xa = x[a], xb = x[b];
        y[a] = xa * cosine[i] - xb * sine[i];
        y[b] = xa * sine[i] + xb * cosine[i];
    }
    if (y != x) memcpy(y + op->rope.n_rot, x + op->rope.n_rot, rest * sizeof *y);
}

/* Cosines and sines of one position. */
static void rotation(const struct cpu_run *run, const struct op *op, size_t row, float *cosine,
                     float *sine) {
    const float *frequency = buffer_data(run->device, op->rope.inverse_frequency);
    double position = (double)run->batch->positions[row];
    for (size_t i = 0; i < op->rope.n_rot / 2; i++) {
        double angle = position * (double)frequency[i];
        cosine[i] = (float)cos(angle) * op->rope.magnitude;
        sine[i] = (float)sin(op->rope.inverse ? -angle : angle) * op->rope.magnitude;
    }
}

static void read_rotation(const struct cpu_run *run, const struct op *op, size_t row, float *cosine,
                          float *sine) {
    size_t half = op->rope.n_rot / 2;
    const float *table = view_row(run, op->in2, row);
    memcpy(cosine, table, half * sizeof *cosine);
    run->k->scale(sine, table + half, op->rope.inverse ? -1.0f : 1.0f, half);
}

void cpu_rope(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    float *cosine = run->device->thread_scratch[run->thread], *sine = cosine + op->rope.n_rot / 2;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        (op->in2.buffer ? read_rotation : rotation)(run, op, row, cosine, sine);
        const float *x = view_row(run, op->in, row);
        float *y = view_row(run, op->out, row);
        for (size_t h = 0; h < op->rope.n_head; h++)
            rotate_head(op, y + h * op->rope.head_dim, x + h * op->rope.head_dim, cosine, sine);
    }
}

void cpu_rope_table(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        float *cosine = view_row(run, op->out, row);
        rotation(run, op, row, cosine, cosine + op->rope.n_rot / 2);
    }
}

void cpu_position_scale(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        double turns = floor((double)run->batch->positions[row] / op->position_scale.period);
        run->k->scale(view_row(run, op->out, row), view_row(run, op->in, row),
                      (float)(1.0 + (double)op->scale * log(1.0 + turns)), op->width);
    }
}
