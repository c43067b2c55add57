/* Random disturbances of training. A value's noise follows from its place alone (plan.h), so
 * that it is the same on any number of threads and when a layer is computed again. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "device/cpu_device.h"

enum { DRAW_BITS = 16, DRAWS = 64 / DRAW_BITS, DRAW_END = 1 << DRAW_BITS };

/* The draws of values [first, first + n) of a row; n <= DRAWS, first a multiple of it. */
static void draw(uint64_t key, size_t first, size_t n, uint32_t draws[DRAWS]) {
    uint64_t bits = rng_at(key, first / DRAWS);
    for (size_t i = 0; i < n; i++)
        draws[i] = (uint32_t)(bits >> (DRAW_BITS * i)) % DRAW_END;
}

/* out = in for this thread's part of a row. */
static void pass_row(const struct cpu_run *run, const struct op *op, const struct span *span,
                     size_t row) {
    float *y = view_row(run, op->out, row) + span->begin;
    const float *x = view_row(run, op->in, row) + span->begin;
    if (y != x) memcpy(y, x, (span->end - span->begin) * sizeof *y);
}

static uint64_t row_key(const struct cpu_run *run, const struct op *op, size_t row) {
    return rng_at(rng_at(*run->batch->noise, op->noise.site), row);
}

void cpu_dropout(const struct cpu_run *run, const struct op *op) {
    struct span span = cpu_span(run, op_row_count(run, op), op->width);
    uint32_t dropped = (uint32_t)lroundf(op->noise.probability * DRAW_END), draws[DRAWS];
    float kept = (float)DRAW_END / (float)(DRAW_END - dropped);
    for (size_t row = span.row_begin; span.begin < span.end && row < span.row_end; row++) {
        pass_row(run, op, &span, row);
        if (!run->batch->noise) continue;
        float *y = view_row(run, op->out, row);
        uint64_t key = row_key(run, op, row);
        for (size_t first = span.begin; first < span.end; first += DRAWS) {
            size_t n = span.end - first < DRAWS ? span.end - first : DRAWS;
            draw(key, first, n, draws);
            for (size_t i = 0; i < n; i++)
                y[first + i] = draws[i] < dropped ? 0 : y[first + i] * kept;
        }
    }
}

void cpu_noise(const struct cpu_run *run, const struct op *op) {
    struct span span = cpu_span(run, op_row_count(run, op), op->width);
    uint32_t draws[DRAWS];
    for (size_t row = span.row_begin; span.begin < span.end && row < span.row_end; row++) {
        pass_row(run, op, &span, row);
        if (!run->batch->noise) continue;
        float *y = view_row(run, op->out, row);
        const struct batch_run *part = &run->batch->runs[run->batch->row_run[row]];
        float scale = op->scale / sqrtf((float)part->n_rows);
        uint64_t key = row_key(run, op, row);
        for (size_t first = span.begin; first < span.end; first += DRAWS) {
            size_t n = span.end - first < DRAWS ? span.end - first : DRAWS;
            draw(key, first, n, draws);
            for (size_t i = 0; i < n; i++)
                y[first + i] += scale * (((float)draws[i] + 0.5f) / (DRAW_END / 2) - 1);
        }
    }
}
