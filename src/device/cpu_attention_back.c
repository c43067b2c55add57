/* Attention of training, backward (Dao et al., FlashAttention, arXiv 2205.14135, algorithm 4):
 * probabilities are computed again, a tile at a time. With s = scale q k^T, z = cap tanh(s /
 * cap), p = exp(z - lse), D = sum of dy y:
 *
 *   dv = p^T dy, dp = dy v^T, ds = p (dp - D) (1 - (z / cap)^2), dq = scale ds k,
 *   dk = scale ds^T q
 *
 * One thread computes all heads of a kv head of a sequence, in order, so that what they add
 * to the gradients of their keys and values needs no meeting of threads. */
#include <math.h>
#include <string.h>

#include "device/attention_train.h"

static void take_gradients(const struct train_tile *tile, const struct train_scratch *scratch) {
    const struct op *op = tile->op;
    uint32_t d = op->attention.layout.d_v;
    for (uint32_t i = 0; i < tile->n; i++) {
        const float *dy = train_row(tile, op->in6, tile->first + i, tile->head, d);
        const float *y = train_row(tile, op->in4, tile->first + i, tile->head, d);
        memcpy(scratch->out + (size_t)i * d, dy, d * sizeof *dy);
        scratch->sum[i] = tile->run->k->dot(dy, y, d);
        scratch->max[i] = *train_row(tile, op->in5, tile->first + i, tile->head, 1);
    }
}

/* Row i: scores become probabilities, d_score the gradients of the scores. */
static void differentiate(const struct train_tile *tile, const struct train_scratch *scratch,
                          uint32_t i) {
    uint32_t begin, end;
    size_t at = (size_t)i * TRAIN_KEYS;
    float *p = scratch->scores + at, *ds = scratch->d_score + at, *z = scratch->capped + at;
    float cap = tile->op->attention.softcap;
    train_tile_seen(tile, i, &begin, &end);
    memset(p, 0, begin * sizeof *p);
    memset(p + end, 0, (tile->n_key - end) * sizeof *p);
    memset(ds, 0, begin * sizeof *p);
    memset(ds + end, 0, (tile->n_key - end) * sizeof *p);
    if (begin == end) return;
    if (cap > 0) memcpy(z + begin, p + begin, (end - begin) * sizeof *p);
    tile->run->k->exp_sum(p + begin, scratch->max[i], end - begin);
    for (uint32_t j = begin; j < end; j++) {
        ds[j] = p[j] * (ds[j] - scratch->sum[i]);
        if (cap > 0) ds[j] *= 1 - z[j] / cap * (z[j] / cap);
    }
}

/* into [key][d] += sum over the queries of weights[query][key] * rows[query] */
static void add_to_keys(const struct train_tile *tile, const struct train_scratch *scratch,
                        const float *weights, const float *rows, uint32_t d, float *into) {
    for (uint32_t j = 0; j < tile->n_key; j++)
        for (uint32_t i = 0; i < tile->n; i++)
            scratch->turned[(size_t)j * TRAIN_QUERIES + i] = weights[(size_t)i * TRAIN_KEYS + j];
    struct kv_rows queries = {.data = rows, .stride = d * sizeof(float), .count = tile->n};
    tile->run->k->mix[ELEM_F32](d, &queries, scratch->turned, TRAIN_QUERIES, tile->n_key,
                                into + (size_t)tile->key_first * d);
}

static void attend_back(struct train_tile *tile, const struct train_scratch *scratch) {
    const struct op *op = tile->op;
    const struct kernels *k = tile->run->k;
    uint32_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v, begin, end;
    train_take_queries(tile, scratch);
    take_gradients(tile, scratch);
    memset(scratch->d_q, 0, (size_t)tile->n * d_k * sizeof(float));
    train_tile_range(tile, &begin, &end);
    for (tile->key_first = begin; tile->key_first < end; tile->key_first += TRAIN_KEYS) {
        uint32_t left = end - tile->key_first;
        tile->n_key = left < TRAIN_KEYS ? left : TRAIN_KEYS;
        struct kv_rows keys = train_keys(tile), values = train_values(tile);
        train_scores(tile, scratch);
        k->scores[ELEM_F32](d_v, &values, scratch->out, tile->n, scratch->d_score, TRAIN_KEYS);
        for (uint32_t i = 0; i < tile->n; i++)
            differentiate(tile, scratch, i);
        k->mix[ELEM_F32](d_k, &keys, scratch->d_score, TRAIN_KEYS, tile->n, scratch->d_q);
        add_to_keys(tile, scratch, scratch->d_score, scratch->q, d_k, scratch->d_k);
        add_to_keys(tile, scratch, scratch->scores, scratch->out, d_v, scratch->d_v);
    }
    for (uint32_t i = 0; i < tile->n; i++)
        k->scale(train_row(tile, op->out, tile->first + i, tile->head, d_k),
                 scratch->d_q + (size_t)i * d_k, op->scale, d_k);
}

/* All heads of one kv head in one sequence. */
static void attend_group_back(const struct cpu_run *run, const struct op *op,
                              const struct batch_run *part, uint32_t kv_head,
                              struct train_scratch scratch) {
    uint32_t n_rep = op->attention.n_head / op->attention.layout.n_head_kv;
    uint32_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v;
    struct train_tile tile = {.run = run, .op = op, .part = part, .kv_head = kv_head};
    scratch.d_v = scratch.d_k + (size_t)part->n_rows * d_k;
    memset(scratch.d_k, 0, (size_t)part->n_rows * (d_k + d_v) * sizeof(float));
    for (tile.head = kv_head * n_rep; tile.head < (kv_head + 1) * n_rep; tile.head++)
        for (tile.first = 0; tile.first < part->n_rows; tile.first += TRAIN_QUERIES) {
            uint32_t left = part->n_rows - tile.first;
            tile.n = left < TRAIN_QUERIES ? left : TRAIN_QUERIES;
            attend_back(&tile, &scratch);
        }
    for (uint32_t row = 0; row < part->n_rows; row++) {
        memcpy(train_row(&tile, op->out2, row, kv_head, d_k), scratch.d_k + (size_t)row * d_k,
               d_k * sizeof(float));
        memcpy(train_row(&tile, op->out3, row, kv_head, d_v), scratch.d_v + (size_t)row * d_v,
               d_v * sizeof(float));
    }
}

void cpu_attention_back(const struct cpu_run *run, const struct op *op) {
    struct train_scratch scratch = train_scratch_of(op, run->device->thread_scratch[run->thread]);
    size_t n_kv = op->attention.layout.n_head_kv, begin, end;
    while (pool_take(run->device->pool, run->thread, run->batch->n_runs * n_kv, 1, &begin, &end))
        for (size_t i = begin; i < end; i++)
            attend_group_back(run, op, &run->batch->runs[i / n_kv], (uint32_t)(i % n_kv), scratch);
}
