/* The selective state space of Mamba-2 (Dao & Gu, arXiv 2405.21060), one step after
 * the other, for each head with its scalar A < 0 and skip weight D:
 *   h <- exp(dt A) h + dt x B^T;  y = h C + D x
 * with h [d_head][d_state]; a group of heads shares B and C. */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

static void scan_head(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                      size_t head) {
    size_t d_head = op->mamba2.d_head, d_state = op->mamba2.d_state;
    size_t group = head / (op->mamba2.n_head / op->mamba2.n_group);
    float a = weight_vector(run, &op->w)[head], skip = weight_vector(run, &op->bias)[head];
    float *state = (float *)buffer_data(run->device, op->mamba2.state) +
                   ((size_t)part->state_slot * op->mamba2.n_head + head) * d_head * d_state;
    if (part->fresh) memset(state, 0, d_head * d_state * sizeof *state);
    for (size_t row = part->first_row; row < part->first_row + part->n_rows; row++) {
        const float *x = view_row(run, op->in, row) + head * d_head;
        const float *b = view_row(run, op->in2, row) + group * d_state;
        const float *c = view_row(run, op->in3, row) + group * d_state;
        float dt = view_row(run, op->in4, row)[head], decay = expf(dt * a);
        float *y = view_row(run, op->out, row) + head * d_head;
        for (size_t i = 0; i < d_head; i++) {
            float *h = state + i * d_state;
            run->k->scale(h, h, decay, d_state);
            run->k->axpy(h, dt * x[i], b, d_state);
            y[i] = run->k->dot(h, c, d_state) + skip * x[i];
        }
    }
}

void cpu_mamba2(const struct cpu_run *run, const struct op *op) {
    for (uint32_t i = 0; i < run->batch->n_runs; i++)
        for (size_t head = run->thread; head < op->mamba2.n_head; head += run->n_threads)
            scan_head(run, op, &run->batch->runs[i], head);
}
