#include "train/objective_dpo.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"

/* What the reference gave a sequence. */
struct remembered {
    uint64_t key; /* of the content; 0: an empty place */
    double loss;  /* -log of its probability */
};

struct dpo {
    struct graph *graph;
    struct dpo_options options;
    uint32_t max_rows;
    float *row_losses, *row_weights; /* [max_rows] */
    double *reference;               /* [max_rows] of the batch's sequences, as `loss` above */
    const struct train_batch *batch; /* at hand */
    struct train_loss *loss;         /* of the batch at hand */
    struct remembered *known;        /* [capacity], a power of two; open addressing */
    size_t n_known, capacity;
};

struct dpo_options dpo_defaults(void) {
    return (struct dpo_options){.beta = 0.1f};
}

static hearth_status check_options(const struct dpo_options *o, hearth_error *err) {
    if (!(o->beta > 0) || !isfinite(o->beta))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "beta is %g; it must be above 0",
                         (double)o->beta);
    if (!(o->label_smoothing >= 0) || !(o->label_smoothing < 0.5f))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "label smoothing of %g; it lies between 0 and 0.5, where labels mean "
                         "nothing",
                         (double)o->label_smoothing);
    if (!(o->sft_weight >= 0) || !isfinite(o->sft_weight))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the likelihood of chosen answers has weight %g; it cannot be below 0",
                         (double)o->sft_weight);
    return HEARTH_OK;
}

hearth_status dpo_open(struct dpo **out, struct graph *graph, uint32_t max_rows,
                       const struct dpo_options *options, hearth_error *err) {
    *out = NULL;
    RETURN_IF_ERROR(check_options(options, err));
    struct dpo *d = mem_calloc(1, sizeof *d);
    if (!d) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for preferences");
    *d = (struct dpo){.graph = graph, .options = *options, .max_rows = max_rows};
    d->row_losses = mem_calloc(max_rows, sizeof *d->row_losses);
    d->row_weights = mem_calloc(max_rows, sizeof *d->row_weights);
    d->reference = mem_calloc(max_rows, sizeof *d->reference);
    if (!d->row_losses || !d->row_weights || !d->reference) {
        dpo_close(d);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for preferences");
    }
    *out = d;
    return HEARTH_OK;
}

void dpo_close(struct dpo *d) {
    if (!d) return;
    mem_free(d->row_losses);
    mem_free(d->row_weights);
    mem_free(d->reference);
    mem_free(d->known);
    mem_free(d);
}

bool dpo_needs_memory(const struct dpo *d) {
    return !graph_has_base(d->graph);
}

/* ---- the reference -------------------------------------------------------------- */

static hearth_status check_pairs(const struct dpo *d, const struct train_batch *batch,
                                 hearth_error *err) {
    if (batch->n_rows > d->max_rows || batch->n_sequences > d->max_rows)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a batch of %u rows; at most %u are possible",
                         batch->n_rows, d->max_rows);
    if (batch->n_sequences % 2 == 0) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "a batch of %u sequences: preference pairs have two each", batch->n_sequences);
}

static uint64_t content_key(const struct train_batch *batch, uint32_t s) {
    uint32_t first = batch->starts[s], n = batch->starts[s + 1] - first;
    uint8_t digest[SHA256_BYTES];
    uint64_t key;
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, batch->tokens + first, n * sizeof *batch->tokens);
    sha256_update(&hash, batch->targets + first, n * sizeof *batch->targets);
    sha256_final(&hash, digest);
    memcpy(&key, digest, sizeof key);
    return key ? key : 1;
}

/* The place of a key, or the empty one where it belongs. */
static struct remembered *place_of(struct remembered *known, size_t capacity, uint64_t key) {
    size_t at = (size_t)key & (capacity - 1);
    while (known[at].key != 0 && known[at].key != key)
        at = (at + 1) & (capacity - 1);
    return &known[at];
}

static hearth_status make_room(struct dpo *d, hearth_error *err) {
    if (2 * d->n_known < d->capacity) return HEARTH_OK;
    size_t capacity = d->capacity ? 2 * d->capacity : 1024;
    struct remembered *known = mem_calloc(capacity, sizeof *known);
    if (!known)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the reference of %zu answers",
                         d->n_known);
    for (size_t i = 0; i < d->capacity; i++)
        if (d->known[i].key) *place_of(known, capacity, d->known[i].key) = d->known[i];
    mem_free(d->known);
    d->known = known;
    d->capacity = capacity;
    return HEARTH_OK;
}

static double sequence_loss(const struct train_batch *batch, uint32_t s, const float *row_losses) {
    double sum = 0;
    for (uint32_t row = batch->starts[s]; row < batch->starts[s + 1]; row++)
        sum += (double)row_losses[row];
    return sum;
}

hearth_status dpo_remember(struct dpo *d, const struct train_batch *batch, hearth_error *err) {
    struct train_loss ignored;
    RETURN_IF_ERROR(check_pairs(d, batch, err));
    RETURN_IF_ERROR(graph_evaluate(d->graph, batch, &ignored, d->row_losses, err));
    for (uint32_t s = 0; s < batch->n_sequences; s++) {
        RETURN_IF_ERROR(make_room(d, err));
        uint64_t key = content_key(batch, s);
        struct remembered *place = place_of(d->known, d->capacity, key);
        d->n_known += place->key == 0;
        *place = (struct remembered){key, sequence_loss(batch, s, d->row_losses)};
    }
    return HEARTH_OK;
}

static hearth_status recall(struct dpo *d, const struct train_batch *batch, hearth_error *err) {
    for (uint32_t s = 0; s < batch->n_sequences; s++) {
        uint64_t key = content_key(batch, s);
        const struct remembered *place =
            d->capacity ? place_of(d->known, d->capacity, key) : &(struct remembered){0};
        if (place->key != key)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "sequence %u of the batch was not there before training began", s);
        d->reference[s] = place->loss;
    }
    return HEARTH_OK;
}

/* Fills d->reference. */
static hearth_status refer(struct dpo *d, const struct train_batch *batch, hearth_error *err) {
    struct train_loss ignored;
    RETURN_IF_ERROR(check_pairs(d, batch, err));
    if (dpo_needs_memory(d)) return recall(d, batch, err);
    RETURN_IF_ERROR(graph_evaluate_base(d->graph, batch, &ignored, d->row_losses, err));
    for (uint32_t s = 0; s < batch->n_sequences; s++)
        d->reference[s] = sequence_loss(batch, s, d->row_losses);
    return HEARTH_OK;
}

/* ---- pairs ---------------------------------------------------------------------- */

/* One answer of a pair. */
struct answer {
    double loss, reference; /* -log of its probabilities */
    double n_tokens;        /* trained ones, at least 1 */
    double slope;           /* of the pair's loss by `loss` */
};

/* log(1 + exp x) */
static double softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static void judge_pair(const struct dpo_options *o, struct answer *chosen, struct answer *rejected,
                       struct train_loss *loss) {
    double beta = (double)o->beta, smoothing = (double)o->label_smoothing;
    double likelihood = (double)o->sft_weight / chosen->n_tokens;
    double chosen_scale = beta / (o->length_normalised ? chosen->n_tokens : 1);
    double rejected_scale = beta / (o->length_normalised ? rejected->n_tokens : 1);
    double z = chosen_scale * (chosen->reference - chosen->loss) -
               rejected_scale * (rejected->reference - rejected->loss);
    double push = 1 - smoothing - 1 / (1 + exp(-z)); /* -d loss / dz */
    chosen->slope = chosen_scale * push + likelihood;
    rejected->slope = -rejected_scale * push;
    loss->sum += (1 - smoothing) * softplus(-z) + smoothing * softplus(z);
    loss->sum += likelihood * chosen->loss;
    loss->weight += 1;
    loss->margin += z;
    loss->correct += z > 0;
}

static struct answer answer_of(const struct dpo *d, uint32_t s, const float *row_losses) {
    const struct train_batch *batch = d->batch;
    struct answer answer = {.loss = sequence_loss(batch, s, row_losses),
                            .reference = d->reference[s]};
    for (uint32_t row = batch->starts[s]; row < batch->starts[s + 1]; row++)
        answer.n_tokens += batch->targets[row] >= 0;
    if (answer.n_tokens < 1) answer.n_tokens = 1;
    return answer;
}

static void spread(const struct train_batch *batch, uint32_t s, double slope, float *row_weights) {
    for (uint32_t row = batch->starts[s]; row < batch->starts[s + 1]; row++)
        row_weights[row] = (float)slope;
}

static void judge_batch(void *context, const float *row_losses, float *row_weights) {
    struct dpo *d = context;
    for (uint32_t s = 0; s < d->batch->n_sequences; s += 2) {
        struct answer chosen = answer_of(d, s, row_losses);
        struct answer rejected = answer_of(d, s + 1, row_losses);
        judge_pair(&d->options, &chosen, &rejected, d->loss);
        spread(d->batch, s, chosen.slope, row_weights);
        spread(d->batch, s + 1, rejected.slope, row_weights);
    }
}

/* ---- the objective --------------------------------------------------------------- */

static hearth_status step(void *context, const struct train_batch *batch, struct train_loss *loss,
                          hearth_error *err) {
    struct dpo *d = context;
    struct row_weigher weigher = {d, judge_batch, d->row_losses, d->row_weights};
    RETURN_IF_ERROR(refer(d, batch, err));
    d->batch = batch;
    d->loss = loss;
    return graph_step_weighed(d->graph, batch, &weigher, err);
}

static hearth_status evaluate(void *context, const struct train_batch *batch,
                              struct train_loss *loss, hearth_error *err) {
    struct dpo *d = context;
    struct train_loss ignored;
    RETURN_IF_ERROR(refer(d, batch, err));
    RETURN_IF_ERROR(graph_evaluate(d->graph, batch, &ignored, d->row_losses, err));
    d->batch = batch;
    d->loss = loss;
    judge_batch(d, d->row_losses, d->row_weights);
    return HEARTH_OK;
}

struct objective dpo_objective(struct dpo *d) {
    return (struct objective){
        .context = d, .is_preference = true, .step = step, .evaluate = evaluate};
}
