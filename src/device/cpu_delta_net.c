/* The gated delta rule (Yang et al., "Gated Delta Networks", arXiv 2412.06464), one
 * step after the other:
 *   S <- exp(g) S;  u = beta (v - S^T k);  S <- S + k u^T;  o = scale S^T q
 * with the state S [d_k][d_v] of a value head. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

static void step(const struct kernels *kn, float *state, const float *q, const float *k,
                 const float *v, float decay, float beta, float scale, size_t d_k, size_t d_v,
                 float *u, float *out) {
    kn->scale(state, state, decay, d_k * d_v);
    memset(u, 0, d_v * sizeof *u);
    for (size_t i = 0; i < d_k; i++)
        kn->axpy(u, k[i], state + i * d_v, d_v);
    for (size_t j = 0; j < d_v; j++)
        u[j] = beta * (v[j] - u[j]);
    memset(out, 0, d_v * sizeof *out);
    for (size_t i = 0; i < d_k; i++) {
        kn->axpy(state + i * d_v, k[i], u, d_v);
        kn->axpy(out, q[i] * scale, state + i * d_v, d_v);
    }
}

static void scan_head(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                      size_t head) {
    size_t d_k = op->delta.d_k, d_v = op->delta.d_v, n_head_k = op->delta.n_head_k;
    size_t key_head = op->delta.grouped ? head / (op->delta.n_head_v / n_head_k) : head % n_head_k;
    struct state_part state = {.first = (float *)buffer_data(run->device, op->delta.state) +
                                        head * d_k * d_v,
                               .slot_floats = op->delta.n_head_v * d_k * d_v,
                               .n_spans = 1,
                               .width = d_k * d_v};
    float *u = run->device->thread_scratch[run->thread];
    for (size_t i = 0; i < part->n_rows; i++) {
        size_t row = part->first_row + i;
        step(run->k, cpu_state_for_row(&state, part, i),
             view_row(run, op->in, row) + key_head * d_k,
             view_row(run, op->in2, row) + key_head * d_k, view_row(run, op->in3, row) + head * d_v,
             expf(view_row(run, op->in4, row)[head]), view_row(run, op->in5, row)[head], op->scale,
             d_k, d_v, u, view_row(run, op->out, row) + head * d_v);
    }
}

void cpu_delta_net(const struct cpu_run *run, const struct op *op) {
    for (uint32_t i = 0; i < run->batch->n_runs; i++)
        for (size_t head = run->thread; head < op->delta.n_head_v; head += run->n_threads)
            scan_head(run, op, &run->batch->runs[i], head);
}
