/* The gated delta rule, a block of columns of a head's state at a time through all rows of
 * a run (kernels/scan.h). The state of a head is [blocks][d_k][columns of a block]: in one
 * piece, a block does not crowd a few sets of the cache. */
#include "device/cpu_device.h"

static size_t key_head(const struct op *op, size_t head) {
    size_t n_head_k = op->delta.n_head_k;
    return op->delta.grouped ? head / (op->delta.n_head_v / n_head_k) : head % n_head_k;
}

static void scan_block(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                       size_t head, size_t column) {
    size_t d_k = op->delta.d_k, d_v = op->delta.d_v, key = key_head(op, head) * d_k;
    size_t left = d_v - column, n = left < SCAN_COLUMNS ? left : SCAN_COLUMNS;
    float *decay = run->device->thread_scratch[run->thread];
    struct state_part state = {.first = (float *)buffer_data(run->device, op->delta.state) +
                                        (head * d_v + column) * d_k,
                               .slot_floats = op->delta.n_head_v * d_k * d_v,
                               .n_spans = 1,
                               .width = d_k * n};
    for (size_t i = 0, count; i < part->n_rows; i += count) {
        size_t row = part->first_row + i;
        count = cpu_rows_in_place(part, i);
        cpu_exp_column(run, op->in4, row, count, head, 1.0f, decay);
        run->k->delta_net(&(struct delta_scan){
            .n_rows = count,
            .n_columns = n,
            .d_k = d_k,
            .q = {view_row(run, op->in, row) + key, op->in.stride},
            .k = {view_row(run, op->in2, row) + key, op->in2.stride},
            .v = {view_row(run, op->in3, row) + head * d_v + column, op->in3.stride},
            .beta = {view_row(run, op->in5, row) + head, op->in5.stride},
            .decay = decay,
            .scale = op->scale,
            .state = cpu_state_for_row(&state, part, i),
            .state_stride = n,
            .o = {view_row(run, op->out, row) + head * d_v + column, op->out.stride}});
    }
}

void cpu_delta_net(const struct cpu_run *run, const struct op *op) {
    size_t blocks = (op->delta.d_v + SCAN_COLUMNS - 1) / SCAN_COLUMNS, begin, end;
    pool_share(op->delta.n_head_v * blocks, 1, run->thread, run->n_threads, &begin, &end);
    for (uint32_t i = 0; i < run->batch->n_runs; i++)
        for (size_t b = begin; b < end; b++)
            scan_block(run, op, &run->batch->runs[i], b / blocks, b % blocks * SCAN_COLUMNS);
}
