/* Gradients of normalisations. With g = dy w and h the normed x of a group of n values:
 *   RMS:   dx = r (g - h mean(g h)),            r = 1 / sqrt(mean(x^2) + eps), h = x r
 *   layer: dx = r (g - mean(g) - h mean(g h)),  the same of x - mean(x)
 *   L2:    dx = r (g - h sum(g h)),             r = 1 / |x|; dx = g / eps where |x| < eps
 *   dw = sum of dy h, dbias = sum of dy. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

enum { COLUMN_SHARE = 16 };

struct group_norm {
    float mean, r;
    bool constant; /* L2 of a short vector: r does not depend on x */
};

static struct group_norm measure(const struct kernels *k, const struct op *op, const float *x) {
    size_t n = op->width;
    struct group_norm norm = {0};
    double squares = 0;
    if (op->norm.kind == NORM_LAYER) {
        norm.mean = k->sum(x, n) / (float)n;
        for (size_t i = 0; i < n; i++) {
            float centred = x[i] - norm.mean;
            squares += (double)(centred * centred);
        }
    } else
        squares = (double)k->sum_squares(x, n);
    if (op->norm.kind == NORM_L2) {
        float length = (float)sqrt(squares);
        norm.constant = !(length > op->norm.eps);
        norm.r = 1.0f / (norm.constant ? op->norm.eps : length);
    } else
        norm.r = 1.0f / sqrtf((float)squares / (float)n + op->norm.eps);
    return norm;
}

/* Layer norms: x is centred as it is read. */
static void layer_back(const struct op *op, struct group_norm norm, const float *x, float *dx) {
    size_t n = op->width;
    double sum = 0, along = 0; /* of g, of g h */
    for (size_t i = 0; i < n; i++) {
        sum += (double)dx[i];
        along += (double)(dx[i] * (x[i] - norm.mean) * norm.r);
    }
    float mean = (float)(sum / (double)n), factor = (float)(along / (double)n);
    for (size_t i = 0; i < n; i++)
        dx[i] = norm.r * (dx[i] - mean - (x[i] - norm.mean) * norm.r * factor);
}

static void group_back(const struct kernels *k, const struct op *op, struct group_norm norm,
                       const float *x, const float *dy, const float *weight, float *dx) {
    size_t n = op->width;
    if (weight)
        k->mul(dx, dy, weight, n);
    else
        memcpy(dx, dy, n * sizeof *dx);
    if (op->norm.kind == NORM_LAYER) {
        layer_back(op, norm, x, dx);
        return;
    }
    float along = k->dot(dx, x, n) * norm.r; /* sum of g h */
    if (op->norm.kind == NORM_RMS) along /= (float)n;
    k->scale(dx, dx, norm.r, n);
    if (!norm.constant) k->axpy(dx, -norm.r * norm.r * along, x, n);
}

static bool weight_per_group(const struct op *op) {
    return (size_t)op->w.cols * op->w.rows > op->width;
}

void cpu_norm_back(const struct cpu_run *run, const struct op *op) {
    const float *weight = weight_vector(run, &op->w);
    size_t groups = op->norm.n_groups, begin, end;
    pool_share(op_row_count(run, op) * groups, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t row = i / groups, group = i % groups, at = group * op->width;
        const float *x = view_row(run, op->in, row) + at, *dy = view_row(run, op->in2, row) + at;
        struct group_norm norm = measure(run->k, op, x);
        float *stats = view_row(run, op->out2, row) + 2 * group;
        stats[0] = norm.mean;
        stats[1] = norm.r;
        if (op->out.buffer)
            group_back(run->k, op, norm, x, dy,
                       weight && weight_per_group(op) ? weight + at : weight,
                       view_row(run, op->out, row) + at);
    }
}

/* A thread owns columns of the weight and adds the rows in order. */
void cpu_norm_back_weight(const struct cpu_run *run, const struct op *op) {
    size_t rows = op_row_count(run, op), groups = op->norm.n_groups, begin, end;
    pool_share(op->width, COLUMN_SHARE, run->thread, run->n_threads, &begin, &end);
    for (size_t row = 0; begin < end && row < rows; row++)
        for (size_t group = 0; group < groups; group++) {
            size_t at = group * op->width;
            const float *stats = view_row(run, op->in3, row) + 2 * group;
            const float *x = view_row(run, op->in, row) + at;
            const float *dy = view_row(run, op->in2, row) + at;
            float *dw = view_row(run, op->out, 0) + (weight_per_group(op) ? at : 0);
            for (size_t i = begin; i < end; i++)
                dw[i] += dy[i] * ((x[i] - stats[0]) * stats[1]);
        }
}
