/* Choice of experts and the weighted sum of their outputs (Shazeer et al., arXiv
 * 1701.06538; group limits and selection bias: DeepSeek-V3, arXiv 2412.19437). */
#include <math.h>
#include <string.h>

#include "device/cpu_device.h"

void cpu_expert_gate(const struct kernels *k, enum gating gating, const float *logits, float *probs,
                     size_t n) {
    if (gating == GATING_SIGMOID) {
        for (size_t i = 0; i < n; i++)
            probs[i] = 1.0f / (1.0f + expf(-logits[i]));
        return;
    }
    memcpy(probs, logits, n * sizeof *probs);
    if (gating == GATING_SOFTMAX) {
        float sum = k->exp_sum(probs, k->max(probs, n), n);
        k->scale(probs, probs, 1.0f / sum, n);
    }
}

/* The index of the largest value; lowest index on ties; taken values are -inf. */
static uint32_t best_of(const float *x, size_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Keeps the n_group_used groups whose two best members sum highest. */
static void limit_groups(const struct op *op, float *select, float *group_score) {
    uint32_t n_group = op->route.n_group, size = op->route.n_expert / n_group;
    for (uint32_t g = 0; g < n_group; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            if (select[i] > first)
                second = first, first = select[i];
            else if (select[i] > second)
                second = select[i];
        }
        group_score[g] = size > 1 ? first + second : first;
    }
    for (uint32_t i = 0; i < op->route.n_group_used; i++)
        group_score[best_of(group_score, n_group)] = -INFINITY;
    for (uint32_t g = 0; g < n_group; g++)
        for (uint32_t i = g * size; group_score[g] > -INFINITY && i < (g + 1) * size; i++)
            select[i] = -INFINITY;
}

static void weigh_chosen(const struct kernels *k, const struct op *op, float *weights, size_t n) {
    if (op->route.gating == GATING_SOFTMAX_OF_CHOSEN) {
        float sum = k->exp_sum(weights, k->max(weights, n), n);
        k->scale(weights, weights, 1.0f / sum, n);
    }
    if (op->route.normalise) {
        float sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += weights[i];
        k->scale(weights, weights, 1.0f / (sum > EXPERT_LEAST_SUM ? sum : EXPERT_LEAST_SUM), n);
    }
    if (op->scale != 1.0f) k->scale(weights, weights, op->scale, n);
}

static void route_row(const struct cpu_run *run, const struct op *op, size_t row) {
    size_t n = op->route.n_expert, n_used = op->route.n_used;
    float *probs = run->device->thread_scratch[run->thread], *select = probs + n;
    const float *bias = weight_vector(run, &op->bias);
    struct cpu_experts *experts = &run->device->experts;
    cpu_expert_gate(run->k, op->route.gating, view_row(run, op->in, row), probs, n);
    if (bias)
        run->k->add(select, probs, bias, n);
    else
        memcpy(select, probs, n * sizeof *select);
    if (op->route.n_group > 1) limit_groups(op, select, select + n);
    for (size_t j = 0; j < n_used; j++) {
        uint32_t best = best_of(select, n);
        experts->chosen[row * n_used + j] = best;
        experts->weights[row * n_used + j] = probs[best];
        select[best] = -INFINITY;
    }
    weigh_chosen(run->k, op, &experts->weights[row * n_used], n_used);
    const float *factors = weight_vector(run, &op->w);
    for (size_t j = 0; factors && j < n_used; j++)
        experts->weights[row * n_used + j] *= factors[experts->chosen[row * n_used + j]];
    if (op->out.buffer)
        memcpy(view_row(run, op->out, row), &experts->weights[row * n_used],
               n_used * sizeof(float));
}

/* Where a pair belongs: by expert, prompts before other rows. */
static uint32_t list_of(const struct cpu_run *run, const struct op *op, size_t pair) {
    uint32_t expert = run->device->experts.chosen[pair];
    return 2 * expert + (cpu_is_prompt(run, pair / op->route.n_used) ? 0 : 1);
}

/* Counting sort of the pairs. */
static void place_pairs(const struct cpu_run *run, const struct op *op, size_t pairs) {
    const struct cpu_experts *experts = &run->device->experts;
    uint32_t *offsets = experts->offsets, n = 2 * op->route.n_expert;
    memset(offsets, 0, (n + 1) * sizeof *offsets);
    for (size_t i = 0; i < pairs; i++)
        offsets[list_of(run, op, i) + 1]++;
    for (uint32_t l = 0; l < n; l++)
        offsets[l + 1] += offsets[l];
    for (size_t i = 0; i < pairs; i++) {
        uint32_t place = offsets[list_of(run, op, i)]++;
        experts->place[i] = place;
        experts->at[place] = experts->chosen[i];
        experts->row[place] = (uint32_t)(i / op->route.n_used);
    }
    for (uint32_t l = n; l > 0; l--)
        offsets[l] = offsets[l - 1];
    offsets[0] = 0;
}

void cpu_expert_route(const struct cpu_run *run, const struct op *op) {
    size_t rows = run->batch->n_rows, begin, end;
    pool_share(rows, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t row = begin; row < end; row++)
        route_row(run, op, row);
    pool_barrier(run->device->pool);
    if (run->thread == 0) place_pairs(run, op, rows * op->route.n_used);
}

void cpu_expert_sum(const struct cpu_run *run, const struct op *op) {
    const struct cpu_experts *experts = &run->device->experts;
    struct span span = cpu_span(run, run->batch->n_rows, op->width);
    size_t n = span.end - span.begin, n_used = op->expert.n_used;
    for (size_t row = span.row_begin; n > 0 && row < span.row_end; row++) {
        float *y = view_row(run, op->out, row) + span.begin;
        memset(y, 0, n * sizeof *y);
        for (size_t j = 0; j < n_used; j++)
            run->k->axpy(y, experts->weights[row * n_used + j],
                         view_row(run, op->in, experts->place[row * n_used + j]) + span.begin, n);
    }
}
