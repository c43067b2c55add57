/* Gradients of the gated delta rule (kernels/scan.h) through time. Of a row with
 * S' = a S[t-1], e = v - S'^T k, u = beta e, S[t] = S' + k u^T, o = scale S[t]^T q, let G be the
 * gradient of S[t] by the later rows:
 *
 *   G <- G + scale q do^T,  dq = scale S[t] do
 *   du = G^T k,  dv = beta du,  dbeta = e du,  dk = G u - S' dv
 *   G <- G - k dv^T,  d log a = <G, S'>,  G of the row before = a G
 *
 * States are kept value by value, [d_v][d_k]. One thread computes all value heads of a key
 * head of a sequence, in order, so that what they add to dq and dk needs no meeting. */
#include <math.h>
#include <string.h>

#include "device/scan_back.h"

/* A value head of a sequence. */
struct head_scan {
    const struct cpu_run *run;
    const struct op *op;
    size_t first_row, head, key_head;
};

size_t cpu_delta_net_back_floats(const struct device *device, const struct op *op) {
    return scan_back_floats(device->options.max_tokens, (size_t)op->delta.d_k * op->delta.d_v);
}

static float *key_at(const struct head_scan *s, struct view view, size_t row) {
    return view_row(s->run, view, s->first_row + row) + s->key_head * s->op->delta.d_k;
}

static float *value_at(const struct head_scan *s, struct view view, size_t row) {
    return view_row(s->run, view, s->first_row + row) + s->head * s->op->delta.d_v;
}

static float *rate_at(const struct head_scan *s, struct view view, size_t row) {
    return view_row(s->run, view, s->first_row + row) + s->head;
}

static void advance(const void *context, size_t row, const float *before, float *after) {
    const struct head_scan *s = context;
    const struct kernels *kernels = s->run->k;
    size_t d_k = s->op->delta.d_k;
    const float *k = key_at(s, s->op->in2, row), *v = value_at(s, s->op->in3, row);
    float decay = expf(*rate_at(s, s->op->in4, row)), beta = *rate_at(s, s->op->in5, row);
    for (size_t c = 0; c < s->op->delta.d_v; c++, before += d_k, after += d_k) {
        float u = beta * (v[c] - decay * kernels->dot(before, k, d_k));
        kernels->scale(after, before, decay, d_k);
        kernels->axpy(after, u, k, d_k);
    }
}

static void retreat(const void *context, size_t row, const float *before, const float *after,
                    float *gradient) {
    const struct head_scan *s = context;
    const struct kernels *kernels = s->run->k;
    const struct op *op = s->op;
    size_t d_k = op->delta.d_k;
    const float *q = key_at(s, op->in, row), *k = key_at(s, op->in2, row);
    const float *v = value_at(s, op->in3, row), *d_o = value_at(s, op->in6, row);
    float decay = expf(*rate_at(s, op->in4, row)), beta = *rate_at(s, op->in5, row);
    float *dq = key_at(s, op->out, row), *dk = key_at(s, op->out2, row);
    float *dv = value_at(s, op->out3, row);
    double d_decay = 0, d_beta = 0;
    for (size_t c = 0; c < op->delta.d_v; c++, before += d_k, after += d_k, gradient += d_k) {
        float e = v[c] - decay * kernels->dot(before, k, d_k);
        kernels->axpy(dq, op->scale * d_o[c], after, d_k);
        kernels->axpy(gradient, op->scale * d_o[c], q, d_k);
        float du = kernels->dot(gradient, k, d_k);
        dv[c] = beta * du;
        d_beta += (double)(e * du);
        kernels->axpy(dk, beta * e, gradient, d_k);
        kernels->axpy(dk, -decay * dv[c], before, d_k);
        kernels->axpy(gradient, -dv[c], k, d_k);
        kernels->scale(gradient, gradient, decay, d_k);
        d_decay += (double)kernels->dot(gradient, before, d_k);
    }
    *rate_at(s, op->out4, row) = (float)d_decay;
    *rate_at(s, op->out5, row) = (float)d_beta;
}

/* The i-th value head that reads a key head. */
static size_t value_head(const struct op *op, size_t key_head, size_t i) {
    size_t n_head_k = op->delta.n_head_k, shared = op->delta.n_head_v / n_head_k;
    return op->delta.grouped ? key_head * shared + i : key_head + i * n_head_k;
}

static void key_head_back(const struct cpu_run *run, const struct op *op,
                          const struct batch_run *part, size_t key_head) {
    struct head_scan s = {.run = run, .op = op, .first_row = part->first_row, .key_head = key_head};
    struct scan_back scan = {.n_rows = part->n_rows,
                             .n_floats = (size_t)op->delta.d_k * op->delta.d_v,
                             .context = &s,
                             .advance = advance,
                             .retreat = retreat};
    for (size_t row = 0; row < part->n_rows; row++) {
        memset(key_at(&s, op->out, row), 0, op->delta.d_k * sizeof(float));
        memset(key_at(&s, op->out2, row), 0, op->delta.d_k * sizeof(float));
    }
    for (size_t i = 0; i < op->delta.n_head_v / op->delta.n_head_k; i++) {
        s.head = value_head(op, key_head, i);
        scan_back(&scan, run->device->thread_scratch[run->thread]);
    }
}

void cpu_delta_net_back(const struct cpu_run *run, const struct op *op) {
    size_t heads = op->delta.n_head_k, begin, end;
    while (pool_take(run->device->pool, run->thread, run->batch->n_runs * heads, 1, &begin, &end))
        for (size_t i = begin; i < end; i++)
            key_head_back(run, op, &run->batch->runs[i / heads], i % heads);
}
