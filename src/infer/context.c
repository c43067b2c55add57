#include "infer/context_parts.h"

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/units.h"

enum {
    DEFAULT_BATCH = 512,
    DEFAULT_ENCODER_CONTEXT = 2048, /* encoders compute a whole text at once: bounds scratch */
    MIN_CONTEXT = 512,              /* below this a fitted context is refused rather than used */
    MAX_SEQUENCES = 1024,
    MAX_DRAFT = 1024,
    MAX_STATES = 1 << 16,
    DRAFT_BUDGET_SHARE = 8, /* states of drafts take one part in so many of the cache's budget */
    STATE_BUDGET_SHARE = 8  /* and those that are saved as much */
};

struct context_options context_defaults(void) {
    return (struct context_options){
        .n_sequences = 1, .k_type = ELEM_F16, .v_type = ELEM_F16, .max_batch = DEFAULT_BATCH};
}

/* Products and sums of sizes from a file, which stay huge instead of wrapping round. */
static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Half of what is free beyond the weights goes to the cache when nobody says more. */
static uint64_t cache_budget(const struct context *c) {
    uint64_t max = c->options.max_bytes;
    if (max) return c->options.n_ctx ? max : max / 2;
    uint64_t available = cpu_memory_available(), weights = directory_bytes(&c->model->directory);
    return available > weights ? (available - weights) / 2 : 0;
}

/* How many tokens a sequence may take back, and the slots this needs. */
static void set_n_draft(struct context *c, uint32_t n_draft) {
    bool keeps = n_draft > 0 && config_is_recurrent(&c->model->config);
    c->n_draft = n_draft;
    c->n_slots = keeps ? n_draft + 2 : 1;
}

static void choose_n_draft(struct context *c) {
    uint64_t slot = times(cache_slot_bytes(&c->model->config), c->n_drafting);
    uint64_t fitting = slot ? cache_budget(c) / DRAFT_BUDGET_SHARE / slot : UINT64_MAX;
    uint32_t wanted = c->options.n_draft < MAX_DRAFT ? c->options.n_draft : MAX_DRAFT;
    if (fitting < (uint64_t)wanted + 1) wanted = fitting > 1 ? (uint32_t)fitting - 1 : 0;
    set_n_draft(c, wanted);
}

static void choose_n_states(struct context *c) {
    uint64_t slot = cache_slot_bytes(&c->model->config);
    uint64_t fitting = slot ? cache_budget(c) / STATE_BUDGET_SHARE / slot : 0;
    uint32_t wanted = c->options.n_states < MAX_STATES ? c->options.n_states : MAX_STATES;
    c->n_states = fitting < wanted ? (uint32_t)fitting : wanted;
}

static uint64_t state_bytes(const struct context *c) {
    uint64_t slots = plus(times(c->n_drafting, c->n_slots - 1), c->n_states);
    return times(cache_slot_bytes(&c->model->config), plus(c->options.n_sequences, slots));
}

static struct cache_options cache_of(const struct context *c) {
    return (struct cache_options){
        .k_type = c->options.k_type, .v_type = c->options.v_type, .next = c->options.next};
}

/* Bytes of a page with its numbers in two tables, even where no layer caches anything. */
static uint64_t page_cost(const struct context *c) {
    struct cache_options cache = cache_of(c);
    return cache_page_bytes(&c->model->config, &cache) + 2 * sizeof(uint32_t);
}

/* As many as were asked for, as the budget holds and as can be used; one sequence can be of
 * full length. */
static void choose_pages(struct context *c) {
    uint64_t states = state_bytes(c), budget = cache_budget(c);
    uint64_t most = times(c->options.n_sequences, pages_for(c->n_ctx));
    uint64_t fitting = budget > states ? (budget - states) / page_cost(c) : 0;
    uint64_t n_pages = c->options.n_pages ? c->options.n_pages : most;
    if (n_pages > fitting) n_pages = fitting;
    if (n_pages < pages_for(c->n_ctx)) n_pages = pages_for(c->n_ctx);
    c->n_pages = (uint32_t)(n_pages < most ? n_pages : most);
}

static hearth_status choose_length(struct context *c, hearth_error *err) {
    char need[32], have[32];
    uint64_t n = c->options.n_sequences, budget = cache_budget(c), wanted = c->options.n_ctx;
    /* What 32 positions of all sequences take; those that share pages have a table each. */
    uint64_t page = c->options.n_pages ? plus(page_cost(c), times(n, sizeof(uint32_t)))
                                       : times(page_cost(c), n);
    const struct config *config = &c->model->config;
    if (wanted == 0) wanted = config->n_ctx_train;
    if (c->options.n_ctx == 0 && !config->causal && wanted > DEFAULT_ENCODER_CONTEXT)
        wanted = DEFAULT_ENCODER_CONTEXT;
    if (config->learned_positions && wanted > config->n_ctx_train)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a context of %llu tokens, but the model has learned only %u positions",
                         (unsigned long long)wanted, config->n_ctx_train);
    uint64_t pages = times(pages_for((uint32_t)wanted), page);
    choose_n_draft(c);
    choose_n_states(c);
    if (plus(pages, state_bytes(c)) > budget) c->n_states = 0;
    if (c->n_slots > 1 && plus(pages, state_bytes(c)) > budget) set_n_draft(c, 0);
    uint64_t states = state_bytes(c), bytes = plus(pages, states);
    c->n_ctx = (uint32_t)wanted;
    if (bytes <= budget && times(pages_for((uint32_t)wanted), n) <= UINT32_MAX) return HEARTH_OK;
    uint64_t fitting = budget > states ? (budget - states) / page * CACHE_PAGE_TOKENS : 0;
    if (c->options.n_ctx != 0 || fitting < MIN_CONTEXT)
        return error_set(
            err, HEARTH_ERROR_NO_MEMORY,
            "a context of %llu tokens needs %s of cache, %s are free; ask for a shorter "
            "one or a smaller cache type",
            (unsigned long long)wanted, units_format_bytes(bytes, need, sizeof need),
            units_format_bytes(budget, have, sizeof have));
    c->n_ctx = (uint32_t)fitting;
    c->limited = true;
    return HEARTH_OK;
}

static hearth_status open_sequences(struct context *c, hearth_error *err) {
    uint32_t n = c->options.n_sequences, batch = c->options.max_batch;
    c->pages_per_sequence = pages_for(c->n_ctx);
    size_t pages = (size_t)n * c->pages_per_sequence;
    choose_pages(c);
    RETURN_IF_ERROR(page_table_open(&c->pages, c->n_pages, err));
    c->sequences = mem_calloc(n, sizeof *c->sequences);
    c->page_storage = mem_calloc(pages, sizeof *c->page_storage);
    c->tokens = mem_calloc(batch, sizeof *c->tokens);
    c->positions = mem_calloc(batch, sizeof *c->positions);
    c->row_run = mem_calloc(batch, sizeof *c->row_run);
    c->row_slots = mem_calloc(batch, sizeof *c->row_slots);
    c->output_rows = mem_calloc(batch, sizeof *c->output_rows);
    c->runs = mem_calloc(batch, sizeof *c->runs);
    if (!c->sequences || !c->page_storage || !c->tokens || !c->positions || !c->row_run ||
        !c->row_slots || !c->output_rows || !c->runs)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u sequences", n);
    for (uint32_t i = 0; i < n; i++)
        c->sequences[i] = (struct sequence){
            .pages = c->page_storage + (size_t)i * c->pages_per_sequence, .fresh = true};
    return context_open_slots(c, err);
}

/* A file whose tensors are thin and very long asks for more scratch memory than it has
 * bytes itself: refused before it is touched. */
static uint64_t device_budget(const struct context *c) {
    uint64_t available = cpu_memory_available();
    return c->options.max_bytes ? c->options.max_bytes : available ? available : UINT64_MAX;
}

static hearth_status open_parts(struct context *c, hearth_error *err) {
    if (!c->model->config.causal) c->options.k_type = c->options.v_type = ELEM_F32;
    RETURN_IF_ERROR(choose_length(c, err));
    if (!c->model->config.causal) c->options.max_batch = c->n_ctx;
    uint64_t most_rows = times(c->n_ctx, c->options.n_sequences);
    if (c->options.max_batch > most_rows) c->options.max_batch = (uint32_t)most_rows;
    RETURN_IF_ERROR(open_sequences(c, err));
    struct device_options device = {.n_threads = c->options.n_threads,
                                    .activations_f32 = c->options.activations_f32,
                                    .max_tokens = c->options.max_batch,
                                    .max_bytes = device_budget(c),
                                    .nodes = c->options.nodes};
    RETURN_IF_ERROR(device_open_cpu(&c->device, &device, err));
    struct executor_options executor = {
        .cache = cache_of(c), .max_tokens = c->options.max_batch, .n_ctx = c->n_ctx};
    executor.cache.n_pages = c->n_pages;
    executor.cache.n_slots = context_first_saved_slot(c) + c->n_states;
    return executor_open(&c->executor, c->model, c->device, &executor, err);
}

hearth_status context_open(struct context **out, const struct model *model,
                           const struct context_options *options, hearth_error *err) {
    *out = NULL;
    if (options->n_sequences == 0 || options->n_sequences > MAX_SEQUENCES)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "%u sequences; 1 to %d are possible",
                         options->n_sequences, MAX_SEQUENCES);
    if (options->next && !model_has_next(model))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "the model has no heads for further tokens (multi-token prediction)");
    struct context *c = mem_calloc(1, sizeof *c);
    if (!c) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a context");
    c->model = model;
    c->options = *options;
    if (c->options.max_batch == 0) c->options.max_batch = DEFAULT_BATCH;
    bool all_draft = options->n_drafting == 0 || options->n_drafting > options->n_sequences;
    c->n_drafting = all_draft ? options->n_sequences : options->n_drafting;
    hearth_status status = open_parts(c, err);
    if (status != HEARTH_OK) {
        context_close(c);
        return status;
    }
    c->options.n_threads = device_threads(c->device);
    *out = c;
    return HEARTH_OK;
}

void context_close(struct context *c) {
    if (!c) return;
    executor_close(c->executor);
    device_close(c->device);
    mem_free(c->sequences);
    mem_free(c->page_storage);
    page_table_release(&c->pages);
    mem_free(c->slot_storage);
    mem_free(c->spare_slots);
    mem_free(c->tokens);
    mem_free(c->positions);
    mem_free(c->row_run);
    mem_free(c->row_slots);
    mem_free(c->output_rows);
    mem_free(c->runs);
    mem_free(c);
}

uint32_t context_length(const struct context *c) {
    return c->n_ctx;
}

bool context_limited(const struct context *c) {
    return c->limited;
}

uint32_t context_n_draft(const struct context *c) {
    return c->n_draft;
}

uint32_t context_n_states(const struct context *c) {
    return c->n_states;
}

uint64_t context_cache_bytes(const struct context *c) {
    struct cache_options cache = cache_of(c);
    const struct config *config = &c->model->config;
    return cache_page_bytes(config, &cache) * c->n_pages + state_bytes(c);
}

uint64_t context_allocated_bytes(const struct context *c) {
    return device_allocated_bytes(c->device);
}

const char *context_device(const struct context *c) {
    return device_description(c->device);
}

const struct model *context_model(const struct context *c) {
    return c->model;
}

static hearth_status check_part(const struct context *c, const struct context_part *part,
                                hearth_error *err) {
    uint32_t n_vocab = c->model->config.n_vocab;
    if (part->sequence >= c->options.n_sequences)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "sequence %u does not exist; there are %u",
                         part->sequence, c->options.n_sequences);
    uint32_t length = c->sequences[part->sequence].length;
    if (part->n_tokens > c->n_ctx - length)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "%u tokens after the %u already there exceed the context of %u",
                         part->n_tokens, length, c->n_ctx);
    if (part->keep_states && part->n_tokens > c->n_draft + 1)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "the states after %u tokens cannot be kept; at most %u", part->n_tokens,
                         c->n_draft + 1);
    for (uint32_t i = 0; i < part->n_tokens; i++)
        if (part->tokens[i] < 0 || (uint32_t)part->tokens[i] >= n_vocab)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "token %d at place %u is not in the vocabulary of %u", part->tokens[i],
                             i, n_vocab);
    return HEARTH_OK;
}

/* Appends tokens [at, at + n) of a part to the batch. */
static hearth_status add_run(struct context *c, struct batch *batch,
                             const struct context_part *part, uint32_t at, uint32_t n,
                             hearth_error *err) {
    struct sequence *s = &c->sequences[part->sequence];
    uint32_t *slot = s->slots + (s->length - s->kept_from);
    bool keep = part->keep_states && c->n_slots > 1;
    const struct adapter_uses *adapters = sequence_adapters(c, s);
    RETURN_IF_ERROR(sequence_reserve(c, s, s->length, s->length + n, err));
    c->runs[batch->n_runs] =
        (struct batch_run){.first_row = batch->n_rows,
                           .n_rows = n,
                           .position = s->length,
                           .state_slot = *slot,
                           .pages = s->pages,
                           .fresh = s->fresh,
                           .row_slots = keep ? c->row_slots + batch->n_rows : NULL,
                           .prompt = part->prompt,
                           .adapters = adapters->items,
                           .n_adapters = adapters->n};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = batch->n_rows++;
        c->tokens[row] = part->tokens[at + i];
        c->positions[row] = s->length + i;
        c->row_run[row] = batch->n_runs;
        if (keep) c->row_slots[row] = slot[i + 1];
        bool last = at + i + 1 == part->n_tokens;
        if (part->all_logits || (last && part->last_logits))
            c->output_rows[batch->n_outputs++] = row;
    }
    batch->n_runs++;
    s->length += n;
    s->fresh = false;
    if (!keep) s->kept_from = s->length;
    return HEARTH_OK;
}

static hearth_status run_batch(struct context *c, struct batch *batch, float **logits,
                               hearth_error *err) {
    RETURN_IF_ERROR(executor_run(c->executor, batch, err));
    if (batch->n_outputs > 0) {
        RETURN_IF_ERROR(executor_logits(c->executor, batch, 0, batch->n_outputs, *logits, err));
        *logits += (size_t)batch->n_outputs * c->model->config.n_vocab;
    }
    return c->options.next ? executor_follow(c->executor, batch, err) : HEARTH_OK;
}

static struct batch empty_batch(const struct context *c) {
    return (struct batch){.tokens = c->tokens,
                          .positions = c->positions,
                          .row_run = c->row_run,
                          .runs = c->runs,
                          .output_rows = c->output_rows};
}

static hearth_status decode_parts(struct context *c, const struct context_part *parts,
                                  size_t n_parts, float *logits, hearth_error *err) {
    struct batch batch = empty_batch(c);
    for (size_t i = 0; i < n_parts; i++) {
        for (uint32_t at = 0; at < parts[i].n_tokens;) {
            uint32_t room = c->options.max_batch - batch.n_rows, left = parts[i].n_tokens - at;
            uint32_t n = left < room ? left : room;
            RETURN_IF_ERROR(add_run(c, &batch, &parts[i], at, n, err));
            at += n;
            if (batch.n_rows < c->options.max_batch) continue;
            RETURN_IF_ERROR(run_batch(c, &batch, &logits, err));
            batch = empty_batch(c);
        }
    }
    return batch.n_rows > 0 ? run_batch(c, &batch, &logits, err) : HEARTH_OK;
}

hearth_status context_decode(struct context *c, const struct context_part *parts, size_t n_parts,
                             float *logits, hearth_error *err) {
    if (!c->model->config.causal)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s' models embed whole texts and cannot continue them",
                         c->model->config.family);
    uint64_t wanted = 0;
    for (size_t i = 0; i < n_parts; i++) {
        RETURN_IF_ERROR(check_part(c, &parts[i], err));
        if (parts[i].keep_states && !context_sequence_keep_states(c, parts[i].sequence))
            return error_set(err, HEARTH_ERROR_LIMIT, "the states of %u sequences are kept already",
                             c->n_drafting);
        wanted += context_pages_wanted(c, parts[i].sequence, parts[i].n_tokens);
        for (size_t j = 0; j < i; j++)
            if (parts[j].sequence == parts[i].sequence)
                return error_set(err, HEARTH_ERROR_ARGUMENT, "sequence %u appears twice in a batch",
                                 parts[i].sequence);
    }
    RETURN_IF_ERROR(sequence_check_pages(c, wanted, err));
    for (size_t i = 0; i < n_parts; i++) {
        struct sequence *s = &c->sequences[parts[i].sequence];
        s->before = s->length;
        sequence_settle_states(c, s, &parts[i]);
    }
    hearth_status status = decode_parts(c, parts, n_parts, logits, err);
    for (size_t i = 0; status != HEARTH_OK && i < n_parts; i++)
        context_sequence_truncate(c, parts[i].sequence, c->sequences[parts[i].sequence].before);
    return status;
}

hearth_status context_predict(struct context *c, uint32_t sequence, uint32_t position,
                              int32_t token, float *logits, hearth_error *err) {
    struct sequence *s = &c->sequences[sequence];
    if (position == 0 || position >= c->n_ctx || s->length == 0 || token < 0 ||
        (uint32_t)token >= c->model->config.n_vocab)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "token %d at position %u cannot go on", token,
                         position);
    struct batch batch = empty_batch(c);
    const struct adapter_uses *adapters = sequence_adapters(c, s);
    RETURN_IF_ERROR(sequence_reserve(c, s, position, position + 1, err));
    c->tokens[0] = token;
    c->positions[0] = position;
    c->row_run[0] = 0;
    c->runs[0] = (struct batch_run){.n_rows = 1,
                                    .position = position,
                                    .pages = s->pages,
                                    .adapters = adapters->items,
                                    .n_adapters = adapters->n};
    batch.n_rows = batch.n_runs = 1;
    return executor_next(c->executor, &batch, logits, err);
}

/* Only the last token's row is pooled, or all rows together: the first case may be
 * computed in pieces. */
static uint32_t longest_text(const struct context *c) {
    const struct config *config = &c->model->config;
    bool pieces = config->causal && config->pool == POOL_LAST;
    return pieces || c->n_ctx < c->options.max_batch ? c->n_ctx : c->options.max_batch;
}

static hearth_status check_text(const struct context *c, uint32_t n_tokens, hearth_error *err) {
    const struct config *config = &c->model->config;
    uint32_t longest = longest_text(c);
    if (config->ranks)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this '%s' model ranks pairs of texts; it has no embeddings",
                         config->family);
    if (n_tokens == 0) return error_set(err, HEARTH_ERROR_ARGUMENT, "the text has no tokens");
    if (n_tokens <= longest) return HEARTH_OK;
    if (longest < c->n_ctx)
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "a text of %u tokens is pooled in one batch, which holds %u; use a "
                         "larger batch size",
                         n_tokens, longest);
    return error_set(err, HEARTH_ERROR_LIMIT,
                     "a text of %u tokens is longer than the context of %u; the model's own is "
                     "%u, more cannot be embedded",
                     n_tokens, longest, config->n_ctx_train);
}

static hearth_status embed_pieces(struct context *c, const struct context_part *part, float *out,
                                  hearth_error *err) {
    for (uint32_t at = 0; at < part->n_tokens;) {
        uint32_t left = part->n_tokens - at, most = c->options.max_batch;
        uint32_t n = left < most ? left : most;
        struct batch batch = empty_batch(c);
        RETURN_IF_ERROR(add_run(c, &batch, part, at, n, err));
        RETURN_IF_ERROR(executor_run(c->executor, &batch, err));
        at += n;
        if (at == part->n_tokens) return executor_embeddings(c->executor, &batch, out, err);
    }
    return HEARTH_OK;
}

hearth_status context_embed(struct context *c, uint32_t sequence, const int32_t *tokens,
                            uint32_t n_tokens, float *out, hearth_error *err) {
    struct context_part part = {
        .sequence = sequence, .tokens = tokens, .n_tokens = n_tokens, .prompt = true};
    RETURN_IF_ERROR(check_text(c, n_tokens, err));
    if (sequence < c->options.n_sequences) context_sequence_truncate(c, sequence, 0);
    RETURN_IF_ERROR(check_part(c, &part, err));
    hearth_status status = embed_pieces(c, &part, out, err);
    context_sequence_truncate(c, sequence, 0);
    return status;
}

static void pass_input(void *context, const struct device_input *input, unsigned thread,
                       unsigned n_threads) {
    const struct context *c = context;
    const struct tensor *weight = executor_weight(c->executor, input->op->w.buffer);
    if (weight) c->observer(c->observer_context, weight, input, thread, n_threads);
}

void context_observe(struct context *c, context_observer observer, void *observer_context) {
    c->observer = observer;
    c->observer_context = observer_context;
    device_observe(c->device, observer ? pass_input : NULL, c);
}

void context_count(struct context *c, struct plan_cost *cost) {
    executor_count(c->executor, cost);
}

const struct context_options *context_settings(const struct context *c) {
    return &c->options;
}
