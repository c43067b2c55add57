#include "train/reference_mixers.h"

#include <math.h>
#include <stdlib.h>

#include "testdata.h"

static double *zeros(size_t n) {
    double *values = calloc(n, sizeof *values);
    assert_non_null(values);
    return values;
}

/* One row of one value head; state [d_k][d_v]. */
static void delta_row(const struct op *op, const double *q, const double *k, const double *v,
                      double decay, double beta, double *state, double *out) {
    size_t d_k = op->delta.d_k, d_v = op->delta.d_v;
    for (size_t c = 0; c < d_v; c++) {
        double predicted = 0, sum = 0;
        for (size_t i = 0; i < d_k; i++)
            predicted += decay * state[i * d_v + c] * k[i];
        for (size_t i = 0; i < d_k; i++) {
            state[i * d_v + c] = decay * state[i * d_v + c] + k[i] * beta * (v[c] - predicted);
            sum += state[i * d_v + c] * q[i];
        }
        out[c] = (double)op->scale * sum;
    }
}

void reference_delta_net(const struct op *op, size_t n_rows, const struct reference_rows in[5],
                         struct reference_rows out) {
    size_t d_k = op->delta.d_k, d_v = op->delta.d_v,
           shared = op->delta.n_head_v / op->delta.n_head_k;
    for (size_t h = 0; h < op->delta.n_head_v; h++) {
        size_t key = (op->delta.grouped ? h / shared : h % op->delta.n_head_k) * d_k;
        double *state = zeros(d_k * d_v);
        for (size_t t = 0; t < n_rows; t++)
            delta_row(op, in[0].at + t * in[0].stride + key, in[1].at + t * in[1].stride + key,
                      in[2].at + t * in[2].stride + h * d_v, exp(in[3].at[t * in[3].stride + h]),
                      in[4].at[t * in[4].stride + h], state, out.at + t * out.stride + h * d_v);
        free(state);
    }
}

void reference_mamba2(const struct op *op, size_t n_rows, const struct reference_rows in[4],
                      const double *a, const double *d, struct reference_rows out) {
    size_t d_head = op->mamba2.d_head, d_state = op->mamba2.d_state;
    size_t heads = op->mamba2.n_head / op->mamba2.n_group;
    for (size_t i = 0; i < op->mamba2.n_head * d_head; i++) {
        size_t head = i / d_head, shared = head / heads * d_state;
        double *state = zeros(d_state);
        for (size_t t = 0; t < n_rows; t++) {
            const double *b = in[1].at + t * in[1].stride + shared;
            const double *c = in[2].at + t * in[2].stride + shared;
            double x = in[0].at[t * in[0].stride + i], dt = in[3].at[t * in[3].stride + head];
            double y = d[head] * x;
            for (size_t j = 0; j < d_state; j++) {
                state[j] = exp(a[head] * dt) * state[j] + b[j] * dt * x;
                y += state[j] * c[j];
            }
            out.at[t * out.stride + i] = y;
        }
        free(state);
    }
}

static void softmax(double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i]);
    for (size_t i = 0; i < n; i++)
        x[i] = exp(x[i]) / sum;
}

/* Without limits on groups, which of the golden models only deepseek2 could have. */
void reference_route(const struct op *op, const double *logits, const double *bias,
                     const double *factors, uint32_t *chosen, double *weights) {
    size_t n = op->route.n_expert, n_used = op->route.n_used;
    double *p = zeros(n), *select = zeros(n), sum = 0;
    assert_true(op->route.n_group <= 1);
    for (size_t i = 0; i < n; i++)
        p[i] = op->route.gating == GATING_SIGMOID ? 1 / (1 + exp(-logits[i])) : logits[i];
    if (op->route.gating == GATING_SOFTMAX) softmax(p, n);
    for (size_t i = 0; i < n; i++)
        select[i] = p[i] + (bias ? bias[i] : 0);
    for (size_t j = 0; j < n_used; j++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < n; i++)
            if (select[i] > select[best]) best = i;
        select[best] = -INFINITY;
        chosen[j] = best;
        weights[j] = p[best];
    }
    if (op->route.gating == GATING_SOFTMAX_OF_CHOSEN) softmax(weights, n_used);
    for (size_t j = 0; j < n_used; j++)
        sum += weights[j];
    for (size_t j = 0; j < n_used; j++) {
        if (op->route.normalise) weights[j] /= sum;
        weights[j] *= (double)op->scale * (factors ? factors[chosen[j]] : 1);
    }
    free(p);
    free(select);
}
