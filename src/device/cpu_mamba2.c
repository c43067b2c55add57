/* The selective state space of Mamba-2 (Dao & Gu, arXiv 2405.21060), one step after
 * the other, for each head with its scalar A < 0 and skip weight D:
 *   h <- exp(dt A) h + dt x B^T;  y = h C + D x
 * with h [d_head][d_state]; a group of heads shares B and C. */
#include <math.h>

#include "device/cpu_device.h"

static void scan_head(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                      size_t head) {
    size_t d_head = op->mamba2.d_head, d_state = op->mamba2.d_state;
    size_t group = head / (op->mamba2.n_head / op->mamba2.n_group);
    float a = weight_vector(run, &op->w)[head], skip = weight_vector(run, &op->bias)[head];
    struct state_part state = {.first = (float *)buffer_data(run->device, op->mamba2.state) +
                                        head * d_head * d_state,
                               .slot_floats = op->mamba2.n_head * d_head * d_state,
                               .n_spans = 1,
                               .width = d_head * d_state};
    for (size_t t = 0; t < part->n_rows; t++) {
        size_t row = part->first_row + t;
        const float *x = view_row(run, op->in, row) + head * d_head;
        const float *b = view_row(run, op->in2, row) + group * d_state;
        const float *c = view_row(run, op->in3, row) + group * d_state;
        float dt = view_row(run, op->in4, row)[head], decay = expf(dt * a);
        float *y = view_row(run, op->out, row) + head * d_head;
        float *h = cpu_state_for_row(&state, part, t);
        for (size_t i = 0; i < d_head; i++, h += d_state) {
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
