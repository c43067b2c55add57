#include "train/objective_distil.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/executor.h"

/* Rows whose logits are fetched at a time. */
enum { LOGIT_ROWS = 8, MOST_TOP_K = 4096 };

struct distil {
    struct graph *graph;
    struct distil_options options;
    struct executor *executor; /* of the teacher, with room for one sequence */
    uint32_t max_rows, n_ctx;
    uint32_t n_vocab, n_teacher_vocab; /* n_vocab: tokens that both have */
    /* Of the sequence at hand: */
    uint32_t *positions, *row_run, *pages, *output_rows; /* [n_ctx] */
    float *logits;                                       /* [LOGIT_ROWS][n_teacher_vocab] */
    float *best;                                         /* [top_k], descending */
    /* Of the batch at hand: */
    int32_t *tokens;      /* [max_rows][top_k] */
    float *probabilities; /* [max_rows][top_k] */
    struct soft_targets soft;
};

struct distil_options distil_defaults(void) {
    return (struct distil_options){.top_k = 64, .temperature = 1, .share = 0.5f};
}

/* ---- opening ------------------------------------------------------------------- */

hearth_status distil_check_vocabulary(const struct tokenizer *student,
                                      const struct tokenizer *teacher, hearth_error *err) {
    size_t a = tokenizer_n_vocab(student), b = tokenizer_n_vocab(teacher);
    for (size_t i = 0; i < (a < b ? a : b); i++) {
        struct text mine = tokenizer_text(student, (int32_t)i);
        struct text other = tokenizer_text(teacher, (int32_t)i);
        if (mine.length == other.length && memcmp(mine.data, other.data, mine.length) == 0)
            continue;
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the teacher has another vocabulary: token %zu is '%.*s', the model's is "
                         "'%.*s'; a teacher must be of the model's own family",
                         i, (int)other.length, other.data, (int)mine.length, mine.data);
    }
    return HEARTH_OK;
}

static hearth_status check_options(const struct distil_options *o, hearth_error *err) {
    if (o->top_k == 0 || o->top_k > MOST_TOP_K)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "%u tokens of the teacher; 1 to %d are possible", o->top_k, MOST_TOP_K);
    if (!(o->temperature > 0) || !isfinite(o->temperature))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a temperature of %g; it must be above 0",
                         (double)o->temperature);
    if (!(o->share >= 0) || !(o->share <= 1))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the teacher's share of the loss is %g; it lies between 0 and 1",
                         (double)o->share);
    if (o->teacher->config.embeds || o->teacher->config.ranks)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s' is an encoder; a teacher must write text",
                         o->teacher->config.family);
    return HEARTH_OK;
}

static struct cache_options cache_for(uint32_t n_ctx) {
    return (struct cache_options){.n_pages = (n_ctx + CACHE_PAGE_TOKENS - 1) / CACHE_PAGE_TOKENS,
                                  .n_slots = 1,
                                  .k_type = ELEM_F16,
                                  .v_type = ELEM_F16};
}

uint64_t distil_bytes(const struct distil_options *o, uint32_t max_rows, uint32_t n_ctx) {
    const struct config *config = &o->teacher->config;
    struct cache_options cache = cache_for(n_ctx);
    return cache.n_pages * cache_page_bytes(config, &cache) + cache_slot_bytes(config) +
           (uint64_t)max_rows * o->top_k * (sizeof(int32_t) + sizeof(float)) +
           (uint64_t)LOGIT_ROWS * config->n_vocab * sizeof(float);
}

static hearth_status open_teacher(struct distil *d, struct device *device, hearth_error *err) {
    struct executor_options options = {
        .cache = cache_for(d->n_ctx), .max_tokens = d->n_ctx, .n_ctx = d->n_ctx};
    RETURN_IF_ERROR(executor_open(&d->executor, d->options.teacher, device, &options, err));
    size_t n = d->n_ctx, k = d->options.top_k, rows = d->max_rows;
    d->positions = mem_calloc(n, sizeof *d->positions);
    d->row_run = mem_calloc(n, sizeof *d->row_run);
    d->pages = mem_calloc(n, sizeof *d->pages);
    d->output_rows = mem_calloc(n, sizeof *d->output_rows);
    d->logits = mem_alloc_array((size_t)LOGIT_ROWS * d->n_teacher_vocab, sizeof *d->logits);
    d->best = mem_calloc(k, sizeof *d->best);
    d->tokens = mem_calloc(rows * k, sizeof *d->tokens);
    d->probabilities = mem_calloc(rows * k, sizeof *d->probabilities);
    if (!d->positions || !d->row_run || !d->pages || !d->output_rows || !d->logits || !d->best ||
        !d->tokens || !d->probabilities)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a teacher");
    for (uint32_t i = 0; i < n; i++)
        d->positions[i] = d->pages[i] = i;
    return HEARTH_OK;
}

hearth_status distil_open(struct distil **out, struct graph *graph, struct device *device,
                          uint32_t max_rows, uint32_t n_ctx, const struct distil_options *options,
                          hearth_error *err) {
    *out = NULL;
    RETURN_IF_ERROR(check_options(options, err));
    struct distil *d = mem_calloc(1, sizeof *d);
    if (!d) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a teacher");
    uint32_t mine = graph_model(graph)->config.n_vocab, other = options->teacher->config.n_vocab;
    *d = (struct distil){.graph = graph,
                         .options = *options,
                         .max_rows = max_rows,
                         .n_ctx = n_ctx,
                         .n_vocab = mine < other ? mine : other,
                         .n_teacher_vocab = other};
    if (d->options.top_k > d->n_vocab) d->options.top_k = d->n_vocab;
    hearth_status status = open_teacher(d, device, err);
    if (status == HEARTH_OK) {
        *out = d;
        return HEARTH_OK;
    }
    distil_close(d);
    return error_prefix(err, status, "cannot have '%s' as teacher",
                        options->teacher->directory.path);
}

void distil_close(struct distil *d) {
    if (!d) return;
    executor_close(d->executor);
    mem_free(d->positions);
    mem_free(d->row_run);
    mem_free(d->pages);
    mem_free(d->output_rows);
    mem_free(d->logits);
    mem_free(d->best);
    mem_free(d->tokens);
    mem_free(d->probabilities);
    mem_free(d);
}

/* ---- the teacher ------------------------------------------------------------------ */

/* The top_k highest logits, the first of equal ones first, as probabilities. */
static void take_best(struct distil *d, const float *logits, int32_t *tokens,
                      float *probabilities) {
    uint32_t k = d->options.top_k, n = 0;
    double sum = 0, heat = (double)d->options.temperature;
    for (uint32_t v = 0; v < d->n_vocab; v++) {
        uint32_t at = n < k ? n : k - 1;
        if (n == k && !(logits[v] > d->best[at])) continue;
        for (; at > 0 && logits[v] > d->best[at - 1]; at--) {
            d->best[at] = d->best[at - 1];
            tokens[at] = tokens[at - 1];
        }
        d->best[at] = logits[v];
        tokens[at] = (int32_t)v;
        n += n < k;
    }
    for (uint32_t j = 0; j < k; j++)
        sum += exp(((double)d->best[j] - (double)d->best[0]) / heat);
    for (uint32_t j = 0; j < k; j++)
        probabilities[j] = (float)(exp(((double)d->best[j] - (double)d->best[0]) / heat) / sum);
}

static hearth_status ask_sequence(struct distil *d, const struct train_batch *b, uint32_t s,
                                  size_t *n_asked, hearth_error *err) {
    uint32_t first = b->starts[s], n = b->starts[s + 1] - first, k = d->options.top_k;
    struct batch_run run = {.n_rows = n, .pages = d->pages, .fresh = true, .prompt = true};
    struct batch batch = {.n_rows = n,
                          .tokens = b->tokens + first,
                          .positions = d->positions,
                          .row_run = d->row_run,
                          .runs = &run,
                          .n_runs = 1,
                          .output_rows = d->output_rows};
    for (uint32_t i = 0; i < n; i++)
        if (b->targets[first + i] >= 0) d->output_rows[batch.n_outputs++] = i;
    RETURN_IF_ERROR(executor_run(d->executor, &batch, err));
    for (uint32_t done = 0; done < batch.n_outputs; done += LOGIT_ROWS) {
        uint32_t left = batch.n_outputs - done, count = left < LOGIT_ROWS ? left : LOGIT_ROWS;
        RETURN_IF_ERROR(executor_logits(d->executor, &batch, done, count, d->logits, err));
        for (uint32_t i = 0; i < count; i++, ++*n_asked)
            take_best(d, d->logits + (size_t)i * d->n_teacher_vocab, d->tokens + *n_asked * k,
                      d->probabilities + *n_asked * k);
    }
    return HEARTH_OK;
}

static hearth_status check_batch(const struct distil *d, const struct train_batch *b,
                                 hearth_error *err) {
    if (b->n_rows > d->max_rows)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "a batch of %u rows; at most %u are possible",
                         b->n_rows, d->max_rows);
    for (uint32_t s = 0; s < b->n_sequences; s++)
        if (b->starts[s + 1] <= b->starts[s] || b->starts[s + 1] > b->n_rows ||
            b->starts[s + 1] - b->starts[s] > d->n_ctx)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "sequence %u has no rows, or too many", s);
    for (uint32_t i = 0; i < b->n_rows; i++)
        if (b->tokens[i] < 0 || (uint32_t)b->tokens[i] >= d->n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT, "the teacher has no token %d, only %u",
                             b->tokens[i], d->n_vocab);
    return HEARTH_OK;
}

hearth_status distil_ask(struct distil *d, const struct train_batch *batch,
                         const struct soft_targets **out, hearth_error *err) {
    size_t n_asked = 0;
    RETURN_IF_ERROR(check_batch(d, batch, err));
    for (uint32_t s = 0; s < batch->n_sequences; s++)
        RETURN_IF_ERROR(ask_sequence(d, batch, s, &n_asked, err));
    d->soft = (struct soft_targets){.k = d->options.top_k,
                                    .tokens = d->tokens,
                                    .probabilities = d->probabilities,
                                    .temperature = d->options.temperature,
                                    .share = d->options.share};
    *out = &d->soft;
    return HEARTH_OK;
}

/* ---- the objective ------------------------------------------------------------------ */

static hearth_status step(void *context, const struct train_batch *batch, struct train_loss *loss,
                          hearth_error *err) {
    struct distil *d = context;
    struct train_batch taught = *batch;
    struct train_loss more;
    RETURN_IF_ERROR(distil_ask(d, batch, &taught.soft, err));
    RETURN_IF_ERROR(graph_step(d->graph, &taught, 1.0f, &more, NULL, err));
    loss->sum += more.sum;
    loss->weight += more.weight;
    return HEARTH_OK;
}

static hearth_status evaluate(void *context, const struct train_batch *batch,
                              struct train_loss *loss, hearth_error *err) {
    struct distil *d = context;
    struct train_loss more;
    RETURN_IF_ERROR(graph_evaluate(d->graph, batch, &more, NULL, err));
    loss->sum += more.sum;
    loss->weight += more.weight;
    return HEARTH_OK;
}

struct objective distil_objective(struct distil *d) {
    return (struct objective){.context = d, .step = step, .evaluate = evaluate};
}
