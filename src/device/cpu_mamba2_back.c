/* Gradients of the selective state space of Mamba-2 (kernels/scan.h) through time. Of a row
 * with a = exp(A dt), h[t] = a h[t-1] + b (dt x)^T, y = h[t]^T c + D x, let G be the gradient of
 * h[t] by the later rows:
 *
 *   G <- G + c dy^T,  dc = h[t] dy,  db = G (dt x),  dz = G^T b
 *   dx = D dy + dt dz,  l = a <G, h[t-1]> (the gradient of log a),  ddt = x dz + A l
 *   G of the row before = a G;  dA = sum of dt l,  dD = sum of x dy
 *
 * States are kept value by value, [d_head][d_state]. The heads of a group read the same b and c.
 * They are divided into mamba2_parts, whatever the number of threads; one thread computes the
 * heads of a part in order, and the gradients of b and c are left apart by part. */
#include <math.h>
#include <string.h>

#include "device/scan_back.h"

/* A head of a sequence. */
struct head_scan {
    const struct cpu_run *run;
    const struct op *op;
    size_t first_row, head;
    size_t shared; /* first column of its b and c */
    size_t apart;  /* and of their gradients */
    float a, skip; /* A and D */
};

size_t cpu_mamba2_back_floats(const struct device *device, const struct op *op) {
    return scan_back_floats(device->options.max_tokens,
                            (size_t)op->mamba2.d_head * op->mamba2.d_state);
}

static float *at(const struct head_scan *s, struct view view, size_t row, size_t column) {
    return view_row(s->run, view, s->first_row + row) + column;
}

static void advance(const void *context, size_t row, const float *before, float *after) {
    const struct head_scan *s = context;
    const struct kernels *k = s->run->k;
    const struct op *op = s->op;
    size_t d_head = op->mamba2.d_head, d_state = op->mamba2.d_state;
    const float *x = at(s, op->in, row, s->head * d_head), *b = at(s, op->in2, row, s->shared);
    float dt = *at(s, op->in4, row, s->head), decay = expf(s->a * dt);
    for (size_t i = 0; i < d_head; i++, before += d_state, after += d_state) {
        k->scale(after, before, decay, d_state);
        k->axpy(after, dt * x[i], b, d_state);
    }
}

static void retreat(const void *context, size_t row, const float *before, const float *after,
                    float *gradient) {
    const struct head_scan *s = context;
    const struct kernels *k = s->run->k;
    const struct op *op = s->op;
    size_t d_head = op->mamba2.d_head, d_state = op->mamba2.d_state, first = s->head * d_head;
    const float *x = at(s, op->in, row, first), *dy = at(s, op->in5, row, first);
    const float *b = at(s, op->in2, row, s->shared), *c = at(s, op->in3, row, s->shared);
    float *dx = at(s, op->out, row, first);
    float *db = at(s, op->out2, row, s->apart), *dc = at(s, op->out3, row, s->apart);
    float dt = *at(s, op->in4, row, s->head), decay = expf(s->a * dt);
    double d_dt = 0, d_log = 0, d_skip = 0;
    for (size_t i = 0; i < d_head; i++, before += d_state, after += d_state, gradient += d_state) {
        k->axpy(dc, dy[i], after, d_state);
        k->axpy(gradient, dy[i], c, d_state);
        k->axpy(db, dt * x[i], gradient, d_state);
        float dz = k->dot(gradient, b, d_state);
        dx[i] = s->skip * dy[i] + dt * dz;
        d_dt += (double)(x[i] * dz);
        d_skip += (double)(x[i] * dy[i]);
        k->scale(gradient, gradient, decay, d_state);
        d_log += (double)k->dot(gradient, before, d_state);
    }
    *at(s, op->out4, row, s->head) = (float)(d_dt + (double)s->a * d_log);
    *at(s, op->out5, row, s->head) = (float)d_log;
    *at(s, op->out6, row, s->head) = (float)d_skip;
}

/* Part `part` of a group in a sequence. */
static void part_back(const struct cpu_run *run, const struct op *op, const struct batch_run *rows,
                      size_t group, size_t part) {
    size_t d_state = op->mamba2.d_state, n_group = op->mamba2.n_group;
    size_t heads = op->mamba2.n_head / n_group, parts = mamba2_parts(op);
    struct head_scan s = {.run = run,
                          .op = op,
                          .first_row = rows->first_row,
                          .shared = group * d_state,
                          .apart = (part * n_group + group) * d_state};
    struct scan_back scan = {.n_rows = rows->n_rows,
                             .n_floats = op->mamba2.d_head * d_state,
                             .context = &s,
                             .advance = advance,
                             .retreat = retreat};
    for (size_t row = 0; row < rows->n_rows; row++) {
        memset(at(&s, op->out2, row, s.apart), 0, d_state * sizeof(float));
        memset(at(&s, op->out3, row, s.apart), 0, d_state * sizeof(float));
    }
    for (size_t h = heads * part / parts; h < heads * (part + 1) / parts; h++) {
        s.head = group * heads + h;
        s.a = weight_vector(run, &op->w)[s.head];
        s.skip = weight_vector(run, &op->bias)[s.head];
        scan_back(&scan, run->device->thread_scratch[run->thread]);
    }
}

void cpu_mamba2_back(const struct cpu_run *run, const struct op *op) {
    size_t parts = mamba2_parts(op), items = parts * op->mamba2.n_group, begin, end;
    while (pool_take(run->device->pool, run->thread, run->batch->n_runs * items, 1, &begin, &end))
        for (size_t i = begin; i < end; i++)
            part_back(run, op, &run->batch->runs[i / items], i % items / parts, i % parts);
}
