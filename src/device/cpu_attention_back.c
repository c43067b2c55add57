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

/* Queries and gradients of the output, as rows and turned; the rows' D and lse. */
static void take_queries(const struct train_tile *tile, const struct train_scratch *scratch) {
    const struct op *op = tile->op;
    uint32_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v;
    struct gemm_floats q = {train_row(tile, op->in, tile->first, tile->head, d_k), op->in.stride,
                            false};
    struct gemm_floats dy = {train_row(tile, op->in6, tile->first, tile->head, d_v), op->in6.stride,
                             false};
    packed_a(scratch->g, &q, tile->n, d_k, scratch->q);
    packed_a(scratch->g, &dy, tile->n, d_v, scratch->dy);
    q.transposed = dy.transposed = true;
    packed_b(scratch->g, &q, d_k, tile->n, scratch->q_turned);
    packed_b(scratch->g, &dy, d_v, tile->n, scratch->dy_turned);
    for (uint32_t i = 0; i < tile->n; i++) {
        const float *y = train_row(tile, op->in4, tile->first + i, tile->head, d_v);
        scratch->sum[i] = tile->run->k->dot(dy.data + i * dy.stride, y, d_v);
        scratch->max[i] = *train_row(tile, op->in5, tile->first + i, tile->head, 1);
    }
}

/* Row i: scores become probabilities, d_score the gradients of the scores. */
static void differentiate(const struct train_tile *tile, const struct train_scratch *scratch,
                          uint32_t i) {
    const struct kernels *k = tile->run->k;
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
    k->exp_sum(p + begin, scratch->max[i], end - begin);
    k->mul(ds + begin, ds + begin, p + begin, end - begin);
    k->axpy(ds + begin, -scratch->sum[i], p + begin, end - begin);
    for (uint32_t j = begin; cap > 0 && j < end; j++)
        ds[j] *= 1 - z[j] / cap * (z[j] / cap);
}

/* Row r of `into` += scale times the sum over i of x's value (r, i) times row i of what b
 * holds turned: m rows, d values each, of k summands. */
static void add_product(const struct train_scratch *scratch, const struct gemm_floats *x, size_t m,
                        size_t k, const char *b, uint32_t d, float scale, float *into,
                        size_t stride) {
    packed_a(scratch->g, x, m, k, scratch->weights);
    struct gemm_block product = {.a = scratch->weights,
                                 .b = b,
                                 .m = m,
                                 .n = d,
                                 .k = k,
                                 .c = into,
                                 .c_stride = stride,
                                 .alpha = scale,
                                 .add = true};
    packed_multiply(scratch->g, &product);
}

/* The gradients of the probabilities. */
static void push_to_weights(const struct train_tile *tile, const struct train_scratch *scratch) {
    struct gemm_block product = {.a = scratch->dy,
                                 .b = train_panels_at(&scratch->values, tile),
                                 .m = tile->n,
                                 .n = tile->n_key,
                                 .k = tile->op->attention.layout.d_v,
                                 .c = scratch->d_score,
                                 .c_stride = TRAIN_KEYS,
                                 .alpha = 1};
    packed_multiply(scratch->g, &product);
}

static void push_to_rows(const struct train_tile *tile, const struct train_scratch *scratch) {
    const struct op *op = tile->op;
    uint32_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v;
    struct gemm_floats ds = {scratch->d_score, TRAIN_KEYS, false};
    add_product(scratch, &ds, tile->n, tile->n_key, train_panels_at(&scratch->k_turned, tile), d_k,
                op->scale, train_row(tile, op->out, tile->first, tile->head, d_k), op->out.stride);
    ds.transposed = true;
    add_product(scratch, &ds, tile->n_key, tile->n, scratch->q_turned, d_k, op->scale,
                train_row(tile, op->out2, tile->key_first, tile->kv_head, d_k), op->out2.stride);
    struct gemm_floats p = {scratch->scores, TRAIN_KEYS, true};
    add_product(scratch, &p, tile->n_key, tile->n, scratch->dy_turned, d_v, 1,
                train_row(tile, op->out3, tile->key_first, tile->kv_head, d_v), op->out3.stride);
}

static void attend_back(struct train_tile *tile, const struct train_scratch *scratch) {
    uint32_t begin, end;
    take_queries(tile, scratch);
    train_tile_range(tile, &begin, &end);
    for (uint32_t key = begin; key < end; key += TRAIN_KEYS) {
        train_tile_keys(tile, key);
        train_scores(tile, scratch);
        push_to_weights(tile, scratch);
        for (uint32_t i = 0; i < tile->n; i++)
            differentiate(tile, scratch, i);
        push_to_rows(tile, scratch);
    }
}

static void clear_head(const struct train_tile *tile, struct view view, uint32_t head, uint32_t d) {
    for (uint32_t row = 0; row < tile->part->n_rows; row++)
        memset(train_row(tile, view, row, head, d), 0, d * sizeof(float));
}

/* All heads of one kv head in one sequence. */
static void attend_group_back(struct train_tile tile, const struct train_scratch *scratch) {
    const struct op *op = tile.op;
    uint32_t n_rep = op->attention.n_head / op->attention.layout.n_head_kv;
    uint32_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v;
    for (uint32_t key = 0; key < tile.part->n_rows; key += TRAIN_KEYS) {
        train_tile_keys(&tile, key);
        train_pack_keys(&tile, scratch, op->in2, d_k, false, &scratch->keys);
        train_pack_keys(&tile, scratch, op->in2, d_k, true, &scratch->k_turned);
        train_pack_keys(&tile, scratch, op->in3, d_v, false, &scratch->values);
    }
    clear_head(&tile, op->out2, tile.kv_head, d_k);
    clear_head(&tile, op->out3, tile.kv_head, d_v);
    for (tile.head = tile.kv_head * n_rep; tile.head < (tile.kv_head + 1) * n_rep; tile.head++) {
        clear_head(&tile, op->out, tile.head, d_k);
        for (tile.first = 0; tile.first < tile.part->n_rows; tile.first += TRAIN_QUERIES) {
            uint32_t left = tile.part->n_rows - tile.first;
            tile.n = left < TRAIN_QUERIES ? left : TRAIN_QUERIES;
            attend_back(&tile, scratch);
        }
    }
}

void cpu_attention_back(const struct cpu_run *run, const struct op *op) {
    struct train_scratch scratch = train_scratch_of(run, op);
    size_t n_kv = op->attention.layout.n_head_kv, begin, end;
    while (pool_take(run->device->pool, run->thread, run->batch->n_runs * n_kv, 1, &begin, &end))
        for (size_t i = begin; i < end; i++) {
            struct train_tile tile = {.run = run,
                                      .op = op,
                                      .part = &run->batch->runs[i / n_kv],
                                      .kv_head = (uint32_t)(i % n_kv)};
            attend_group_back(tile, &scratch);
        }
}
