/* Causal depthwise convolution over time: y[t, c] = sum_j w[c, j] x[t - K + 1 + j, c].
 * The state holds the last K - 1 inputs, oldest first: [K - 1][width]. */
#include <string.h>

#include "device/cpu_device.h"

static void convolve(const struct cpu_run *run, const struct op *op, const struct batch_run *part,
                     size_t begin, size_t end) {
    size_t taps = op->conv.kernel, kept = taps - 1, width = op->width;
    const float *w = weight_vector(run, &op->w), *bias = weight_vector(run, &op->bias);
    float *state =
        (float *)buffer_data(run->device, op->conv.state) + part->state_slot * kept * width;
    for (size_t j = 0; part->fresh && j < kept; j++)
        memset(state + j * width + begin, 0, (end - begin) * sizeof *state);
    for (size_t row = part->first_row; row < part->first_row + part->n_rows; row++) {
        const float *x = view_row(run, op->in, row);
        float *y = view_row(run, op->out, row);
        for (size_t c = begin; c < end; c++) {
            float now = x[c], sum = now * w[c * taps + kept];
            for (size_t j = 0; j < kept; j++) {
                sum += state[j * width + c] * w[c * taps + j];
                state[j * width + c] = j + 1 < kept ? state[(j + 1) * width + c] : now;
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
