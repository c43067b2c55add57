/* Attention of training, forward: the online softmax of FlashAttention (Dao et al., arXiv
 * 2205.14135), which leaves the logarithm of each query's sum of exponentials for backward. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "device/attention_train.h"

/* Memory that is given out piece after piece, or only counted. */
struct pieces {
    char *first; /* NULL: counted */
    size_t used;
};

static char *take(struct pieces *p, size_t bytes) {
    enum { LINE_BYTES = 64 };
    char *at = p->first ? p->first + p->used : NULL;
    p->used += (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    return at;
}

static float *take_floats(struct pieces *p, size_t n) {
    return (float *)(void *)take(p, n * sizeof(float));
}

/* Tiles of second operands for a sequence of n_rows. */
static struct train_panels take_panels(struct pieces *p, size_t n_rows, size_t bytes) {
    size_t n_tiles = (n_rows + TRAIN_KEYS - 1) / TRAIN_KEYS;
    return (struct train_panels){take(p, n_tiles * bytes), bytes};
}

static struct train_scratch divide(struct pieces *p, const struct op *op, size_t max_rows,
                                   const struct gemm_kernels *g) {
    size_t d_k = op->attention.layout.d_k, d_v = op->attention.layout.d_v;
    size_t tile = (size_t)TRAIN_QUERIES * TRAIN_KEYS, a = g->a_rows, b = g->b_rows;
    size_t turned = packed_bytes(g, a, TRAIN_KEYS, TRAIN_QUERIES); /* of backward */
    size_t plain = packed_bytes(g, a, TRAIN_QUERIES, TRAIN_KEYS);
    bool back = op->kind == OP_ATTENTION_BACK;
    struct train_scratch s = {.g = g, .scores = take_floats(p, tile)};
    s.max = take_floats(p, TRAIN_QUERIES);
    s.sum = take_floats(p, TRAIN_QUERIES);
    s.q = take(p, packed_bytes(g, a, TRAIN_QUERIES, d_k));
    s.weights = take(p, turned > plain ? turned : plain);
    s.keys = take_panels(p, max_rows, packed_bytes(g, b, TRAIN_KEYS, d_k));
    if (!back) {
        s.out = take_floats(p, TRAIN_QUERIES * d_v);
        s.values = take_panels(p, max_rows, packed_bytes(g, b, d_v, TRAIN_KEYS));
        return s;
    }
    s.capped = take_floats(p, tile);
    s.d_score = take_floats(p, tile);
    s.dy = take(p, packed_bytes(g, a, TRAIN_QUERIES, d_v));
    s.q_turned = take(p, packed_bytes(g, b, d_k, TRAIN_QUERIES));
    s.dy_turned = take(p, packed_bytes(g, b, d_v, TRAIN_QUERIES));
    s.values = take_panels(p, max_rows, packed_bytes(g, b, TRAIN_KEYS, d_v));
    s.k_turned = take_panels(p, max_rows, packed_bytes(g, b, d_k, TRAIN_KEYS));
    return s;
}

size_t cpu_attention_train_floats(const struct device *device, const struct op *op) {
    const struct kernels *k = device->kernels;
    struct pieces floats = {0}, words = {0};
    divide(&floats, op, device->options.max_tokens, k->gemm_f32);
    if (k->gemm_bf16) divide(&words, op, device->options.max_tokens, k->gemm_bf16);
    return (floats.used > words.used ? floats.used : words.used) / sizeof(float);
}

struct train_scratch train_scratch_of(const struct cpu_run *run, const struct op *op) {
    bool exact = op->attention.exact || !run->k->gemm_bf16;
    struct pieces memory = {(char *)run->device->thread_scratch[run->thread], 0};
    return divide(&memory, op, run->device->options.max_tokens,
                  exact ? run->k->gemm_f32 : run->k->gemm_bf16);
}

/* The rows [*begin, *end) of its sequence that row `row` sees. */
static void seen(const struct op *op, const struct batch_run *part, uint32_t row, uint32_t *begin,
                 uint32_t *end) {
    uint32_t window = op->attention.window;
    uint32_t before = op->attention.causal ? window - 1 : window / 2;
    *end = op->attention.causal ? row + 1 : part->n_rows;
    *begin = window && row > before ? row - before : 0;
    if (window && !op->attention.causal && *end > row + window / 2 + 1) *end = row + window / 2 + 1;
}

void train_tile_seen(const struct train_tile *tile, uint32_t i, uint32_t *begin, uint32_t *end) {
    uint32_t from, to, last = tile->key_first + tile->n_key;
    seen(tile->op, tile->part, tile->first + i, &from, &to);
    *begin = from > tile->key_first ? from - tile->key_first : 0;
    *end = (to < last ? to : last) - tile->key_first;
    if (to <= tile->key_first || *begin >= tile->n_key) *begin = *end = 0;
}

void train_tile_range(const struct train_tile *tile, uint32_t *begin, uint32_t *end) {
    uint32_t ignored;
    seen(tile->op, tile->part, tile->first, begin, &ignored);
    seen(tile->op, tile->part, tile->first + tile->n - 1, &ignored, end);
    *begin = *begin / TRAIN_KEYS * TRAIN_KEYS;
}

void train_tile_keys(struct train_tile *tile, uint32_t key_first) {
    uint32_t left = tile->part->n_rows - key_first;
    tile->key_first = key_first;
    tile->n_key = left < TRAIN_KEYS ? left : TRAIN_KEYS;
}

void train_pack_keys(const struct train_tile *tile, const struct train_scratch *scratch,
                     struct view view, uint32_t d, bool turned, const struct train_panels *panels) {
    struct gemm_floats x = {train_row(tile, view, tile->key_first, tile->kv_head, d), view.stride,
                            turned};
    packed_b(scratch->g, &x, turned ? d : tile->n_key, turned ? tile->n_key : d,
             train_panels_at(panels, tile));
}

void train_scores(const struct train_tile *tile, const struct train_scratch *scratch) {
    float cap = tile->op->attention.softcap;
    struct gemm_block product = {.a = scratch->q,
                                 .b = train_panels_at(&scratch->keys, tile),
                                 .m = tile->n,
                                 .n = tile->n_key,
                                 .k = tile->op->attention.layout.d_k,
                                 .c = scratch->scores,
                                 .c_stride = TRAIN_KEYS,
                                 .alpha = tile->op->scale};
    packed_multiply(scratch->g, &product);
    for (uint32_t i = 0; cap > 0 && i < tile->n; i++) {
        float *scores = scratch->scores + (size_t)i * TRAIN_KEYS;
        tile->run->k->softcap(scores, scores, cap, tile->n_key);
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

/* Values weighted by the tile's scores, added to the output. */
static void mix(const struct train_tile *tile, const struct train_scratch *scratch) {
    uint32_t d = tile->op->attention.layout.d_v;
    struct gemm_floats weights = {scratch->scores, TRAIN_KEYS, false};
    packed_a(scratch->g, &weights, tile->n, tile->n_key, scratch->weights);
    struct gemm_block product = {.a = scratch->weights,
                                 .b = train_panels_at(&scratch->values, tile),
                                 .m = tile->n,
                                 .n = d,
                                 .k = tile->n_key,
                                 .c = scratch->out,
                                 .c_stride = d,
                                 .alpha = 1,
                                 .add = true};
    packed_multiply(scratch->g, &product);
}

static void attend(struct train_tile *tile, const struct train_scratch *scratch) {
    const struct op *op = tile->op;
    const float *sinks = weight_vector(tile->run, &op->w);
    uint32_t d_k = op->attention.layout.d_k, d = op->attention.layout.d_v, begin, end;
    struct gemm_floats q = {train_row(tile, op->in, tile->first, tile->head, d_k), op->in.stride,
                            false};
    packed_a(scratch->g, &q, tile->n, d_k, scratch->q);
    assert(scratch->out);
    memset(scratch->out, 0, (size_t)tile->n * d * sizeof(float));
    for (uint32_t i = 0; i < tile->n; i++) {
        scratch->max[i] = sinks ? sinks[tile->head] : -INFINITY;
        scratch->sum[i] = sinks ? 1 : 0;
    }
    train_tile_range(tile, &begin, &end);
    for (uint32_t key = begin; key < end; key += TRAIN_KEYS) {
        train_tile_keys(tile, key);
        train_scores(tile, scratch);
        for (uint32_t i = 0; i < tile->n; i++)
            weigh(tile, scratch, i);
        mix(tile, scratch);
    }
    for (uint32_t i = 0; i < tile->n; i++) {
        tile->run->k->scale(train_row(tile, op->out, tile->first + i, tile->head, d),
                            scratch->out + (size_t)i * d, 1.0f / scratch->sum[i], d);
        *train_row(tile, op->out2, tile->first + i, tile->head, 1) =
            scratch->max[i] + logf(scratch->sum[i]);
    }
}

/* All heads of a kv head in one sequence; of its tiles every n_shares-th. */
static void attend_group(struct train_tile tile, const struct train_scratch *scratch,
                         uint32_t share, uint32_t n_shares) {
    const struct op *op = tile.op;
    uint32_t n_rep = op->attention.n_head / op->attention.layout.n_head_kv;
    if (share * TRAIN_QUERIES >= tile.part->n_rows) return;
    for (uint32_t key = 0; key < tile.part->n_rows; key += TRAIN_KEYS) {
        train_tile_keys(&tile, key);
        train_pack_keys(&tile, scratch, op->in2, op->attention.layout.d_k, false, &scratch->keys);
        train_pack_keys(&tile, scratch, op->in3, op->attention.layout.d_v, true, &scratch->values);
    }
    for (uint32_t i = 0; i < n_rep; i++)
        for (uint32_t first = share * TRAIN_QUERIES; first < tile.part->n_rows;
             first += n_shares * TRAIN_QUERIES) {
            uint32_t left = tile.part->n_rows - first;
            tile.head = tile.kv_head * n_rep + i;
            tile.first = first;
            tile.n = left < TRAIN_QUERIES ? left : TRAIN_QUERIES;
            attend(&tile, scratch);
        }
}

/* Where kv heads are too few to keep all threads busy, several threads pack the same keys. */
static uint32_t share_count(const struct cpu_run *run, size_t n_groups) {
    enum { ITEMS = 4 /* for each thread, at least */ };
    size_t shares = (ITEMS * (size_t)run->n_threads + n_groups - 1) / n_groups;
    return run->n_threads > 1 ? (uint32_t)shares : 1;
}

void cpu_attention_train(const struct cpu_run *run, const struct op *op) {
    struct train_scratch scratch = train_scratch_of(run, op);
    size_t n_kv = op->attention.layout.n_head_kv, n_groups = run->batch->n_runs * n_kv, begin, end;
    uint32_t n_shares = share_count(run, n_groups);
    while (pool_take(run->device->pool, run->thread, n_groups * n_shares, 1, &begin, &end))
        for (size_t i = begin; i < end; i++) {
            size_t group = i / n_shares;
            struct train_tile tile = {.run = run,
                                      .op = op,
                                      .part = &run->batch->runs[group / n_kv],
                                      .kv_head = (uint32_t)(group % n_kv)};
            attend_group(tile, &scratch, (uint32_t)(i % n_shares), n_shares);
        }
}
