/* The selective state space of Mamba-2, a block of columns of a head's state at a time
 * through all rows of a run (kernels/scan.h). The state of a head is
 * [blocks][d_state][columns of a block]: in one piece, a block does not crowd a few sets of
 * the cache. */
#include "device/cpu_device.h"

static void scan_block(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                       size_t head, size_t column) {
    size_t d_head = op->mamba2.d_head, d_state = op->mamba2.d_state;
    size_t shared = head / (op->mamba2.n_head / op->mamba2.n_group) * d_state;
    size_t left = d_head - column, n = left < SCAN_COLUMNS ? left : SCAN_COLUMNS;
    float *decay = run->device->thread_scratch[run->thread];
    struct state_part state = {.first = (float *)buffer_data(run->device, op->mamba2.state) +
                                        (head * d_head + column) * d_state,
                               .slot_floats = op->mamba2.n_head * d_state * d_head,
                               .n_spans = 1,
                               .width = d_state * n};
    for (size_t i = 0, count; i < part->n_rows; i += count) {
        size_t row = part->first_row + i;
        count = cpu_rows_in_place(part, i);
        cpu_exp_column(run, op->in4, row, count, head, weight_vector(run, &op->w)[head], decay);
        run->k->mamba2(&(struct mamba2_scan){
            .n_rows = count,
            .n_columns = n,
            .d_state = d_state,
            .x = {view_row(run, op->in, row) + head * d_head + column, op->in.stride},
            .b = {view_row(run, op->in2, row) + shared, op->in2.stride},
            .c = {view_row(run, op->in3, row) + shared, op->in3.stride},
            .dt = {view_row(run, op->in4, row) + head, op->in4.stride},
            .decay = decay,
            .skip = weight_vector(run, &op->bias)[head],
            .state = cpu_state_for_row(&state, part, i),
            .state_stride = n,
            .y = {view_row(run, op->out, row) + head * d_head + column, op->out.stride}});
    }
}

void cpu_mamba2(const struct cpu_run *run, const struct op *op) {
    size_t blocks = (op->mamba2.d_head + SCAN_COLUMNS - 1) / SCAN_COLUMNS, begin, end;
    pool_share(op->mamba2.n_head * blocks, 1, run->thread, run->n_threads, &begin, &end);
    for (uint32_t i = 0; i < run->batch->n_runs; i++)
        for (size_t b = begin; b < end; b++)
            scan_block(run, op, &run->batch->runs[i], b / blocks, b % blocks * SCAN_COLUMNS);
}
