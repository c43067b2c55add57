/* Gradients through the weighted sum of experts and through their weights. Which experts are
 * chosen has no gradient. With p what they are chosen by (cpu_expert_gate), c the chosen and g
 * the gradients of the weights w that come of p[c]:
 *
 *   factors:    w = f r           g <- f g
 *   normalised: r = q / sum(q)    g <- (g - sum(g r)) / sum(q)
 *   softmax:    q = softmax(p[c]) g <- q (g - sum(g q)), otherwise q = p[c]
 *
 * then through p: softmax p (G - sum(G p)) where G is g at the chosen and 0 elsewhere, sigmoid
 * g p (1 - p), or as they are. */
#include <string.h>

#include "device/cpu_device.h"

void cpu_expert_spread_back(const struct cpu_run *run, const struct op *op) {
    const uint32_t *place = run->device->experts.place;
    struct span span = cpu_span(run, run->batch->n_rows, op->width);
    size_t n = span.end - span.begin, n_used = op->expert.n_used;
    for (size_t row = span.row_begin; n > 0 && row < span.row_end; row++) {
        float *dx = view_row(run, op->out, row) + span.begin;
        memset(dx, 0, n * sizeof *dx);
        for (size_t j = 0; j < n_used; j++)
            run->k->add(dx, dx, view_row(run, op->in, place[row * n_used + j]) + span.begin, n);
    }
}

void cpu_expert_sum_back(const struct cpu_run *run, const struct op *op) {
    const struct cpu_experts *experts = &run->device->experts;
    size_t n_used = op->expert.n_used, begin, end;
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *dy = view_row(run, op->in2, row);
        float *d_weights = view_row(run, op->out2, row);
        for (size_t j = 0; j < n_used; j++) {
            size_t pair = row * n_used + j, place = experts->place[pair];
            d_weights[j] = run->k->dot(view_row(run, op->in, place), dy, op->width);
            run->k->scale(view_row(run, op->out, place), dy, experts->weights[pair], op->width);
        }
    }
}

size_t cpu_expert_route_back_floats(const struct op *op) {
    return (size_t)op->route.n_expert + 2 * (size_t)op->route.n_used;
}

static float along(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Gradients of the weights become those of what they were made of, q: [n_used]. */
static void weights_back(const struct kernels *k, const struct op *op, float *q, float *g) {
    size_t n = op->route.n_used;
    bool softmax = op->route.gating == GATING_SOFTMAX_OF_CHOSEN;
    if (softmax) k->scale(q, q, 1.0f / k->exp_sum(q, k->max(q, n), n), n);
    if (op->route.normalise) {
        float sum = k->sum(q, n);
        bool bounded = !(sum > EXPERT_LEAST_SUM);
        float mean = bounded ? 0 : along(g, q, n) / sum;
        for (size_t j = 0; j < n; j++)
            g[j] = (g[j] - mean) / (bounded ? EXPERT_LEAST_SUM : sum);
    }
    float mean = softmax ? along(g, q, n) : 0;
    for (size_t j = 0; softmax && j < n; j++)
        g[j] = q[j] * (g[j] - mean);
}

/* What was chosen of p has gradients g: the gradients of the logits. */
static void gate_back(const struct kernels *k, const struct op *op, const float *p,
                      const uint32_t *chosen, const float *g, float *d_logits) {
    size_t n = op->route.n_expert, n_used = op->route.n_used;
    float mean = 0;
    for (size_t j = 0; op->route.gating == GATING_SOFTMAX && j < n_used; j++)
        mean += g[j] * p[chosen[j]];
    k->scale(d_logits, p, -mean, n);
    for (size_t j = 0; j < n_used; j++) {
        float probability = p[chosen[j]];
        switch (op->route.gating) {
        case GATING_SOFTMAX: d_logits[chosen[j]] += probability * g[j]; break;
        case GATING_SIGMOID: d_logits[chosen[j]] = g[j] * probability * (1 - probability); break;
        case GATING_SOFTMAX_OF_CHOSEN: d_logits[chosen[j]] = g[j]; break;
        }
    }
}

void cpu_expert_route_back(const struct cpu_run *run, const struct op *op) {
    size_t n_used = op->route.n_used, begin, end;
    float *p = run->device->thread_scratch[run->thread], *q = p + op->route.n_expert;
    float *g = q + n_used;
    const float *factors = weight_vector(run, &op->w);
    pool_share(run->batch->n_rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const uint32_t *chosen = run->device->experts.chosen + row * n_used;
        cpu_expert_gate(run->k, op->route.gating, view_row(run, op->in, row), p,
                        op->route.n_expert);
        run->k->scale(g, view_row(run, op->in2, row), op->scale, n_used);
        for (size_t j = 0; j < n_used; j++) {
            q[j] = p[chosen[j]];
            if (factors) g[j] *= factors[chosen[j]];
        }
        weights_back(run->k, op, q, g);
        gate_back(run->k, op, p, chosen, g, view_row(run, op->out, row));
    }
}
