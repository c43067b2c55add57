/* Causal depthwise convolution over time, a block of columns at a time through all rows of
 * a run (kernels/scan.h). The state holds the last K - 1 inputs, oldest first:
 * [K - 1][width]. */
#include "device/cpu_device.h"

/* Columns whose inputs and weights stay in the first-level cache from row to row. */
enum { CONV_COLUMNS = 4 * COLUMN_GRANULE };

size_t cpu_conv_scratch_floats(const struct op *op) {
    return (size_t)op->conv.kernel * CONV_COLUMNS;
}

static void turn(const float *w, float *turned, size_t n, size_t taps) {
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < taps; j++)
            turned[j * n + c] = w[c * taps + j];
}

/* Weights lie tap by tap in the file: [columns][taps] becomes [taps][columns]. All families
 * have 3 or 4 taps, a constant that the compiler turns several columns at a time for. */
static const float *turn_weights(const struct cpu_run *run, const struct op *op, size_t column,
                                 size_t n) {
    size_t taps = op->conv.kernel;
    const float *w = weight_vector(run, &op->w) + column * taps;
    float *turned = run->device->thread_scratch[run->thread];
    switch (taps) {
    case 3: turn(w, turned, n, 3); break;
    case 4: turn(w, turned, n, 4); break;
    default: turn(w, turned, n, taps);
    }
    return turned;
}

static void scan_block(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                       const float *w, size_t column, size_t n) {
    size_t width = op->width, kept = op->conv.kernel - 1;
    const float *bias = weight_vector(run, &op->bias);
    struct state_part state = {.first = (float *)buffer_data(run->device, op->conv.state) + column,
                               .slot_floats = kept * width,
                               .n_spans = kept,
                               .stride = width,
                               .width = n};
    for (size_t i = 0, count; i < part->n_rows; i += count) {
        size_t row = part->first_row + i;
        count = cpu_rows_in_place(part, i);
        run->k->conv(
            &(struct conv_scan){.n_rows = count,
                                .n_columns = n,
                                .taps = kept + 1,
                                .x = {view_row(run, op->in, row) + column, op->in.stride},
                                .y = {view_row(run, op->out, row) + column, op->out.stride},
                                .w = w,
                                .bias = bias ? bias + column : NULL,
                                .kept = cpu_state_for_row(&state, part, i),
                                .kept_stride = width,
                                .silu = op->activation == ACTIVATION_SILU});
    }
}

void cpu_conv(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op->width, COLUMN_GRANULE, run->thread, run->n_threads, &begin, &end);
    for (size_t c = begin; c < end; c += CONV_COLUMNS) {
        size_t n = end - c < CONV_COLUMNS ? end - c : CONV_COLUMNS;
        const float *w = turn_weights(run, op, c, n);
        for (uint32_t i = 0; i < run->batch->n_runs; i++)
            scan_block(run, op, &run->batch->runs[i], w, c, n);
    }
}
