/* Attention of training, forward: the online softmax of FlashAttention (Dao et al., arXiv
 * 2205.14135), which leaves the logarithm of each query's sum of exponentials for backward. */
#include <math.h>
#include <string.h>

#include "device/attention_train.h"

size_t cpu_attention_train_floats(const struct device *device, const struct op *op) {
    const struct kv_layout *layout = &op->attention.layout;
    size_t d_k = layout->d_k, d_v = layout->d_v, floats = TRAIN_QUERIES * (2 * d_k + d_v + 2);
    floats += 4 * (size_t)TRAIN_QUERIES * TRAIN_KEYS;
    if (op->kind == OP_ATTENTION_BACK) floats += device->options.max_tokens * (d_k + d_v);
    return floats;
}

struct train_scratch train_scratch_of(const struct op *op, float *memory) {
    size_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v;
    size_t scores = (size_t)TRAIN_QUERIES * TRAIN_KEYS;
    struct train_scratch s = {.scores = memory};
    s.capped = s.scores + scores;
    s.d_score = s.capped + scores;
    s.turned = s.d_score + scores;
    s.q = s.turned + scores;
    s.d_q = s.q + TRAIN_QUERIES * d_k;
    s.out = s.d_q + TRAIN_QUERIES * d_k;
    s.max = s.out + TRAIN_QUERIES * d_v;
    s.sum = s.max + TRAIN_QUERIES;
    s.d_k = s.sum + TRAIN_QUERIES; /* d_v follows the rows of the sequence at hand */
    return s;
}

void train_seen(const struct op *op, const struct batch_run *part, uint32_t row, uint32_t *begin,
                uint32_t *end) {
    uint32_t window = op->attention.window;
    uint32_t before = op->attention.causal ? window - 1 : window / 2;
    *end = op->attention.causal ? row + 1 : part->n_rows;
    *begin = window && row > before ? row - before : 0;
    if (window && !op->attention.causal && *end > row + window / 2 + 1) *end = row + window / 2 + 1;
}

void train_tile_seen(const struct train_tile *tile, uint32_t i, uint32_t *begin, uint32_t *end) {
    uint32_t from, to, last = tile->key_first + tile->n_key;
    train_seen(tile->op, tile->part, tile->first + i, &from, &to);
    *begin = from > tile->key_first ? from - tile->key_first : 0;
    *end = (to < last ? to : last) - tile->key_first;
    if (to <= tile->key_first || *begin >= tile->n_key) *begin = *end = 0;
}

void train_tile_range(const struct train_tile *tile, uint32_t *begin, uint32_t *end) {
    uint32_t ignored;
    train_seen(tile->op, tile->part, tile->first, begin, &ignored);
    train_seen(tile->op, tile->part, tile->first + tile->n - 1, &ignored, end);
}

static struct kv_rows rows_of(const struct train_tile *tile, struct view view, uint32_t d) {
    return (struct kv_rows){.data = train_row(tile, view, tile->key_first, tile->kv_head, d),
                            .stride = view.stride * sizeof(float),
                            .count = tile->n_key};
}

struct kv_rows train_keys(const struct train_tile *tile) {
    return rows_of(tile, tile->op->in2, tile->op->attention.layout.d_k);
}

struct kv_rows train_values(const struct train_tile *tile) {
    return rows_of(tile, tile->op->in3, tile->op->attention.layout.d_v);
}

void train_take_queries(const struct train_tile *tile, const struct train_scratch *scratch) {
    uint32_t d = tile->op->attention.layout.d_k;
    for (uint32_t i = 0; i < tile->n; i++)
        tile->run->k->scale(scratch->q + (size_t)i * d,
                            train_row(tile, tile->op->in, tile->first + i, tile->head, d),
                            tile->op->scale, d);
}

void train_scores(const struct train_tile *tile, const struct train_scratch *scratch) {
    const struct kernels *k = tile->run->k;
    struct kv_rows keys = train_keys(tile);
    float cap = tile->op->attention.softcap;
    k->scores[ELEM_F32](tile->op->attention.layout.d_k, &keys, scratch->q, tile->n, scratch->scores,
                        TRAIN_KEYS);
    for (uint32_t i = 0; cap > 0 && i < tile->n; i++) {
        float *scores = scratch->scores + (size_t)i * TRAIN_KEYS;
        k->softcap(scores, scores, cap, tile->n_key);
    }
}

/* Scores of query i become weights relative to its maximum so far. */
static void weigh(const struct train_tile *tile, const struct train_scratch *scratch, uint32_t i) {
    const struct kernels *k = tile->run->k;
    uint32_t begin, end, d = tile->op->attention.layout.d_v;
    float *w = scratch->scores + (size_t)i * TRAIN_KEYS;
    train_tile_seen(tile, i, &begin, &end);
    memset(w, 0, begin * sizeof *w);
    memset(w + end, 0, (tile->n_key - end) * sizeof *w);
    if (begin == end) return;
    float top = k->max(w + begin, end - begin);
    if (top > scratch->max[i]) {
        float keep = expf(scratch->max[i] - top), *out = scratch->out + (size_t)i * d;
        k->scale(out, out, keep, d);
        scratch->sum[i] *= keep;
        scratch->max[i] = top;
    }
    scratch->sum[i] += k->exp_sum(w + begin, scratch->max[i], end - begin);
}

static void attend(struct train_tile *tile, const struct train_scratch *scratch) {
    const struct op *op = tile->op;
    const struct kernels *k = tile->run->k;
    const float *sinks = weight_vector(tile->run, &op->w);
    uint32_t d = op->attention.layout.d_v, begin, end;
    train_take_queries(tile, scratch);
    memset(scratch->out, 0, (size_t)tile->n * d * sizeof(float));
    for (uint32_t i = 0; i < tile->n; i++) {
        scratch->max[i] = sinks ? sinks[tile->head] : -INFINITY;
        scratch->sum[i] = sinks ? 1 : 0;
    }
    train_tile_range(tile, &begin, &end);
    for (tile->key_first = begin; tile->key_first < end; tile->key_first += TRAIN_KEYS) {
        uint32_t left = end - tile->key_first;
        tile->n_key = left < TRAIN_KEYS ? left : TRAIN_KEYS;
        train_scores(tile, scratch);
        for (uint32_t i = 0; i < tile->n; i++)
            weigh(tile, scratch, i);
        struct kv_rows values = train_values(tile);
        k->mix[ELEM_F32](d, &values, scratch->scores, TRAIN_KEYS, tile->n, scratch->out);
    }
    for (uint32_t i = 0; i < tile->n; i++) {
        k->scale(train_row(tile, op->out, tile->first + i, tile->head, d),
                 scratch->out + (size_t)i * d, 1.0f / scratch->sum[i], d);
        *train_row(tile, op->out2, tile->first + i, tile->head, 1) =
            scratch->max[i] + logf(scratch->sum[i]);
    }
}

/* Later rows see more positions, so tiles go to threads to and fro. */
static bool my_turn(const struct cpu_run *run, size_t turn) {
    size_t place = turn % (2 * (size_t)run->n_threads);
    return (place < run->n_threads ? place : 2 * run->n_threads - 1 - place) == run->thread;
}

void cpu_attention_train(const struct cpu_run *run, const struct op *op) {
    struct train_scratch scratch = train_scratch_of(op, run->device->thread_scratch[run->thread]);
    uint32_t n_head = op->attention.n_head, n_rep = n_head / op->attention.layout.n_head_kv;
    size_t turn = 0;
    for (uint32_t r = 0; r < run->batch->n_runs; r++) {
        const struct batch_run *part = &run->batch->runs[r];
        for (uint32_t first = 0; first < part->n_rows; first += TRAIN_QUERIES)
            for (uint32_t head = 0; head < n_head; head++) {
                if (!my_turn(run, turn++)) continue;
                uint32_t left = part->n_rows - first;
                struct train_tile tile = {.run = run,
                                          .op = op,
                                          .part = part,
                                          .head = head,
                                          .kv_head = head / n_rep,
                                          .first = first,
                                          .n = left < TRAIN_QUERIES ? left : TRAIN_QUERIES};
                attend(&tile, &scratch);
            }
    }
}
