/* Gradients of the causal depthwise convolution z[t] = bias + sum_j w[j] x[t - taps + 1 + j],
 * y = z or SiLU(z); a sequence begins with zeros. With g = dz:
 *   dx[t] = sum_j w[j] g[t + taps - 1 - j], dw[j] = sum_t g[t] x[t - taps + 1 + j],
 *   dbias = sum_t g[t] */
#include <string.h>

#include "device/cpu_device.h"

enum { BLOCK = 16 /* columns */ };

size_t cpu_conv_back_floats(const struct device *device) {
    return (size_t)device->options.max_tokens * BLOCK;
}

/* Some columns of one sequence. */
struct stretch {
    const struct cpu_run *run;
    const struct op *op;
    const struct batch_run *part;
    size_t column, n;
    float *g; /* [n_rows][BLOCK] */
};

static float *at(const struct stretch *s, struct view view, size_t row) {
    return view_row(s->run, view, s->part->first_row + row) + s->column;
}

/* The first tap that meets a row of the sequence. */
static size_t first_tap(const struct stretch *s, size_t row) {
    size_t taps = s->op->conv.kernel;
    return row + 1 < taps ? taps - 1 - row : 0;
}

/* g <- g times the slope of SiLU at z[t]. */
static void multiply_slope(const struct stretch *s, size_t t, float *g) {
    size_t taps = s->op->conv.kernel;
    const float *w = weight_vector(s->run, &s->op->w) + s->column * taps;
    const float *bias = weight_vector(s->run, &s->op->bias);
    float z[BLOCK] = {0}, sigmoid[BLOCK];
    if (bias) memcpy(z, bias + s->column, s->n * sizeof *z);
    for (size_t j = first_tap(s, t); j < taps; j++) {
        const float *x = at(s, s->op->in, t + 1 + j - taps);
        for (size_t c = 0; c < s->n; c++)
            z[c] += w[c * taps + j] * x[c];
    }
    s->run->k->sigmoid(sigmoid, z, s->n);
    for (size_t c = 0; c < s->n; c++)
        g[c] *= sigmoid[c] * (1 + z[c] * (1 - sigmoid[c]));
}

static void fill_gradients(const struct stretch *s) {
    for (size_t t = 0; t < s->part->n_rows; t++) {
        float *g = s->g + t * BLOCK;
        memcpy(g, at(s, s->op->in2, t), s->n * sizeof *g);
        if (s->op->activation == ACTIVATION_SILU) multiply_slope(s, t, g);
    }
}

static void push_back_input(const struct stretch *s) {
    size_t taps = s->op->conv.kernel, rows = s->part->n_rows;
    const float *w = weight_vector(s->run, &s->op->w) + s->column * taps;
    for (size_t t = 0; t < rows; t++) {
        float *dx = at(s, s->op->out, t);
        memset(dx, 0, s->n * sizeof *dx);
        for (size_t j = 0; j < taps; j++) {
            size_t later = t + taps - 1 - j;
            for (size_t c = 0; later < rows && c < s->n; c++)
                dx[c] += w[c * taps + j] * s->g[later * BLOCK + c];
        }
    }
}

static void push_back_weight(const struct stretch *s) {
    size_t taps = s->op->conv.kernel;
    float *dw = view_row(s->run, s->op->out2, 0) + s->column * taps;
    for (size_t t = 0; t < s->part->n_rows; t++)
        for (size_t j = first_tap(s, t); j < taps; j++)
            for (size_t c = 0; c < s->n; c++)
                dw[c * taps + j] += s->g[t * BLOCK + c] * at(s, s->op->in, t + 1 + j - taps)[c];
}

static void push_back_bias(const struct stretch *s) {
    float *sum = view_row(s->run, s->op->out3, 0) + s->column;
    for (size_t t = 0; t < s->part->n_rows; t++)
        s->run->k->add(sum, sum, s->g + t * BLOCK, s->n);
}

/* A thread owns columns and goes through the sequences in order. */
void cpu_conv_back(const struct cpu_run *run, const struct op *op) {
    size_t begin, end;
    pool_share(op->width, BLOCK, run->thread, run->n_threads, &begin, &end);
    for (size_t c = begin; c < end; c += BLOCK)
        for (uint32_t i = 0; i < run->batch->n_runs; i++) {
            struct stretch s = {.run = run,
                                .op = op,
                                .part = &run->batch->runs[i],
                                .column = c,
                                .n = end - c < BLOCK ? end - c : BLOCK,
                                .g = run->device->thread_scratch[run->thread]};
            fill_gradients(&s);
            if (op->out.buffer) push_back_input(&s);
            if (op->out2.buffer) push_back_weight(&s);
            if (op->out3.buffer) push_back_bias(&s);
        }
}
