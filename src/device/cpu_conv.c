/* Causal depthwise convolution over time: y[t, c] = sum_j w[c, j] x[t - K + 1 + j, c].
 * The state holds the last K - 1 inputs, oldest first: [K - 1][width]. */
#include "device/cpu_device.h"

static void convolve(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                     size_t begin, size_t end) {
    size_t taps = op->conv.kernel, kept = taps - 1, width = op->width;
    const float *w = weight_vector(run, &op->w), *bias = weight_vector(run, &op->bias);
    struct state_part inputs = {.first = (float *)buffer_data(run->device, op->conv.state) + begin,
                                .slot_floats = kept * width,
                                .n_spans = kept,
                                .stride = width,
                                .width = end - begin};
    for (size_t i = 0; i < part->n_rows; i++) {
        size_t row = part->first_row + i;
        float *state = cpu_state_for_row(&inputs, part, i);
        const float *x = view_row(run, op->in, row);
        float *y = view_row(run, op->out, row);
        for (size_t c = begin; c < end; c++) {
            float now = x[c], sum = now * w[c * taps + kept], *old = state + (c - begin);
            for (size_t j = 0; j < kept; j++) {
                sum += old[j * width] * w[c * taps + j];
                old[j * width] = j + 1 < kept ? old[(j + 1) * width] : now;
            }
            y[c] = bias ? sum + bias[c] : sum;
        }
        if (op->activation == ACTIVATION_SILU) run->k->silu(y + begin, y + begin, end - begin);
    }
}

void cpu_conv(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op->width, COLUMN_GRANULE, run->thread, run->n_threads, &begin, &end);
    for (uint32_t i = 0; begin < end && i < run->batch->n_runs; i++)
        convolve(run, op, &run->batch->runs[i], begin, end);
}
