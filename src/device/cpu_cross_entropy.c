/* The output layer and the loss of its logits, in one operation (after Wijmans et al., "Cut
 * Your Losses", arXiv 2411.09009): logits exist for chunk_rows rows at a time, become their
 * own gradient in place, and are multiplied into the gradients of the hidden rows and of the
 * output matrix before the next rows come.
 *
 *   z = scale h w^T + bias, y = cap tanh(z / cap), p = softmax(y), loss = -log p[target]
 *   dz = (p - 1[target]) weight gradient_scale (1 - (y / cap)^2)
 *   dh = scale dz w, dw += scale dz^T h, dbias += sum of dz
 *
 * With a teacher (Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv
 * 1503.02531), p' its probabilities at temperature T and q = softmax(y / T):
 *
 *   loss = (1 - share) (-log p[target]) + share T^2 sum of p' log(p' / q)
 *   dy = ((1 - share) (p - 1[target]) + share T (q - p')) weight gradient_scale
 *
 * Only rows with a target are computed, packed together. */
#include <math.h>
#include <string.h>

#include "device/cpu_gemm.h"

enum { COLUMN_SHARE = 16 };

/* The rows of one turn. */
struct chunk {
    const struct cpu_run *run;
    const struct op *op;
    const struct batch_targets *targets;
    size_t first, n;
    float *logits, *hidden, *gradient; /* [n][n_vocab], [n][n_embd] twice */
};

static struct chunk chunk_at(const struct cpu_run *run, const struct op *op, size_t first) {
    size_t most = op->cross_entropy.chunk_rows, left = run->batch->targets->n - first;
    float *scratch = buffer_data(run->device, op->cross_entropy.scratch);
    float *hidden = scratch + most * op->w.rows;
    return (struct chunk){.run = run,
                          .op = op,
                          .targets = run->batch->targets,
                          .first = first,
                          .n = left < most ? left : most,
                          .logits = scratch,
                          .hidden = hidden,
                          .gradient = hidden + most * op->w.cols};
}

static struct gemm_operand plain(const float *rows, size_t stride, bool transposed) {
    return (struct gemm_operand){rows, stride, transposed, ELEM_F32};
}

static struct gemm_operand output_matrix(const struct chunk *c, bool transposed) {
    const struct weight *w = &c->op->w;
    return (struct gemm_operand){buffer_data(c->run->device, w->buffer), w->cols, transposed,
                                 w->type};
}

static void share_rows(const struct chunk *c, size_t *begin, size_t *end) {
    pool_share(c->n, 1, c->run->thread, c->run->n_threads, begin, end);
}

static void compute_logits(const struct chunk *c) {
    const struct op *op = c->op;
    size_t begin, end;
    share_rows(c, &begin, &end);
    for (size_t i = begin; i < end; i++)
        memcpy(c->hidden + i * op->w.cols, view_row(c->run, op->in, c->targets->rows[c->first + i]),
               op->w.cols * sizeof(float));
    pool_barrier(c->run->device->pool);
    struct gemm_job job = {.a = plain(c->hidden, op->w.cols, false),
                           .b = output_matrix(c, false),
                           .m = c->n,
                           .n = op->w.rows,
                           .k = op->w.cols,
                           .c = c->logits,
                           .c_stride = op->w.rows,
                           .alpha = op->scale,
                           .bias = weight_vector(c->run, &op->bias),
                           .exact = op->cross_entropy.exact};
    cpu_gemm(c->run, &job);
    pool_barrier(c->run->device->pool);
}

/* The divergence from the teacher's probabilities for row i with logits y; g = q - p'. */
static double follow_teacher(const struct chunk *c, size_t i, const float *y, float *g) {
    const struct kernels *k = c->run->k;
    const struct soft_targets *soft = c->targets->soft;
    const int32_t *tokens = soft->tokens + (c->first + i) * soft->k;
    const float *probabilities = soft->probabilities + (c->first + i) * soft->k;
    size_t n = c->op->w.rows;
    double divergence = 0;
    k->scale(g, y, 1.0f / soft->temperature, n);
    float top = k->max(g, n), sum = k->exp_sum(g, top, n);
    double log_sum = log((double)sum) + (double)top;
    k->scale(g, g, 1.0f / sum, n);
    for (uint32_t j = 0; j < soft->k; j++) {
        double p = (double)probabilities[j];
        double log_q = (double)y[tokens[j]] / (double)soft->temperature - log_sum;
        if (p > 0) divergence += p * (log(p) - log_q);
        g[tokens[j]] -= probabilities[j];
    }
    return divergence;
}

/* Logits of a row become their gradient. */
static void differentiate(const struct chunk *c, size_t i) {
    const struct kernels *k = c->run->k;
    size_t n = c->op->w.rows, target = (size_t)c->targets->tokens[c->first + i];
    float *y = c->logits + i * n, cap = c->op->cross_entropy.softcap;
    float *capped = c->run->device->thread_scratch[c->run->thread], *gap = capped + n;
    const struct soft_targets *soft = c->targets->soft;
    float share = soft ? soft->share : 0, heat = soft ? soft->temperature : 1;
    if (cap > 0) {
        k->softcap(y, y, cap, n);
        memcpy(capped, y, n * sizeof *y);
    }
    double divergence = soft ? follow_teacher(c, i, y, gap) : 0;
    float top = k->max(y, n), at_target = y[target], sum = k->exp_sum(y, top, n);
    double loss = log((double)sum) + (double)top - (double)at_target;
    loss += (double)share * ((double)(heat * heat) * divergence - loss);
    c->targets->losses[c->first + i] = (float)loss;
    float factor = c->targets->weights[c->first + i] * c->targets->gradient_scale;
    k->scale(y, y, 1.0f / sum, n);
    y[target] -= 1.0f;
    k->scale(y, y, factor * (1 - share), n);
    if (soft) k->axpy(y, factor * share * heat, gap, n);
    for (size_t v = 0; cap > 0 && v < n; v++)
        y[v] *= 1 - capped[v] / cap * (capped[v] / cap);
}

static void add_bias_gradient(const struct chunk *c) {
    size_t n = c->op->w.rows, begin, end;
    float *sum = view_row(c->run, c->op->out3, 0);
    pool_share(n, COLUMN_SHARE, c->run->thread, c->run->n_threads, &begin, &end);
    for (size_t i = 0; begin < end && i < c->n; i++)
        c->run->k->add(sum + begin, sum + begin, c->logits + i * n + begin, end - begin);
}

static void push_back(const struct chunk *c) {
    const struct op *op = c->op;
    struct gemm_job input = {.a = plain(c->logits, op->w.rows, false),
                             .b = output_matrix(c, true),
                             .m = c->n,
                             .n = op->w.cols,
                             .k = op->w.rows,
                             .c = c->gradient,
                             .c_stride = op->w.cols,
                             .alpha = op->scale,
                             .exact = op->cross_entropy.exact};
    cpu_gemm(c->run, &input);
    pool_barrier(c->run->device->pool);
    size_t begin, end;
    share_rows(c, &begin, &end);
    for (size_t i = begin; i < end; i++)
        memcpy(view_row(c->run, op->out, c->targets->rows[c->first + i]),
               c->gradient + i * op->w.cols, op->w.cols * sizeof(float));
    if (op->out3.buffer) add_bias_gradient(c);
    if (!op->out2.buffer) return;
    struct gemm_job weight = {.a = plain(c->logits, op->w.rows, true),
                              .b = plain(c->hidden, op->w.cols, true),
                              .m = op->w.rows,
                              .n = op->w.cols,
                              .k = c->n,
                              .c = view_row(c->run, op->out2, 0),
                              .c_stride = op->out2.stride,
                              .alpha = op->scale,
                              .accumulate = true,
                              .exact = op->cross_entropy.exact};
    cpu_gemm(c->run, &weight);
}

static void clear_gradient(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op_row_count(run, op), 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++)
        memset(view_row(run, op->out, row), 0, op->w.cols * sizeof(float));
}

void cpu_cross_entropy(const struct cpu_run *run, const struct op *op) {
    if (op->out.buffer) clear_gradient(run, op);
    for (size_t first = 0; first < run->batch->targets->n; first += op->cross_entropy.chunk_rows) {
        struct chunk chunk = chunk_at(run, op, first);
        size_t begin, end;
        compute_logits(&chunk);
        share_rows(&chunk, &begin, &end);
        for (size_t i = begin; i < end; i++)
            differentiate(&chunk, i);
        pool_barrier(run->device->pool);
        if (op->out.buffer) push_back(&chunk);
        pool_barrier(run->device->pool);
    }
}
