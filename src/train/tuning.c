#include "train/tuning.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "train/tuning_memory.h"

enum {
    LONGEST_CONVERSATION = 2048, /* tokens, unless asked for more */
    TEXT_WINDOW = 512,
    LEAST_EPOCH_STEPS = 8, /* smaller steps rather than fewer */
    ADAPTER_STEP_ROWS = 2048,
    FULL_STEP_ROWS = 4096,
    LEAST_BATCH_ROWS = 128,
    MOST_BATCH_ROWS = 1024,
    REPORTS = 10 /* evaluations and checkpoints of a run */
};

struct tuning {
    struct tuning_options options;
    struct tuning_plan plan;
    const struct model *model;
    const struct tokenizer *tokenizer;
    struct dataset *dataset, *eval_dataset; /* eval_dataset: NULL without files of its own */
    struct example_maker *maker;
    struct packer *packer, *eval_packer; /* eval_packer: NULL without evaluation */
    struct packing_state eval_start;
    struct device *device;
    struct graph *graph;
    struct optimizer *optimizer;
    struct dpo *dpo;       /* NULL without preference pairs */
    struct distil *distil; /* NULL without a teacher */
    bool has_reference;    /* what `dpo` must remember, it does */
    struct trainer trainer;
};

struct tuning_options tuning_defaults(void) {
    return (struct tuning_options){
        .dataset = {.eval_fraction = -1},
        .too_long = TOO_LONG_TRUNCATE,
        .method = TRAIN_LORA,
        .lora = {.rank = 16, .alpha = 32},
        .epochs = 3,
        .schedule = SCHEDULE_COSINE,
        .dpo = dpo_defaults(),
        .distil = distil_defaults(),
        .least_rate = 0.1,
        .warmup = 0.03,
        .optimizer = optimizer_defaults(),
        .keep = 2,
        .seed = 1,
        .zero_stage = ZERO_AUTO,
    };
}

/* ---- data ------------------------------------------------------------------- */

/* A twentieth for evaluation, where that leaves enough of both. */
static void choose_split(struct dataset_options *options, uint64_t n_records) {
    enum { FEW_RECORDS = 50, MOST_EVALUATED = 200 };
    options->eval_fraction = 0;
    if (n_records >= FEW_RECORDS)
        options->eval_count = n_records / 20 < MOST_EVALUATED ? n_records / 20 : MOST_EVALUATED;
}

static hearth_status open_data(struct tuning *t, hearth_error *err) {
    const struct tuning_options *o = &t->options;
    struct dataset_options options = o->dataset;
    bool chooses = options.eval_fraction < 0 && options.eval_count == 0 && !o->n_eval_data;
    if (options.eval_fraction < 0) options.eval_fraction = 0;
    options.seed = o->seed;
    RETURN_IF_ERROR(dataset_open(&t->dataset, o->data, o->n_data, &options, err));
    uint64_t n = dataset_count(t->dataset, PART_TRAIN);
    if (chooses) choose_split(&options, n);
    if (chooses && options.eval_count > 0) {
        dataset_close(t->dataset);
        t->dataset = NULL;
        RETURN_IF_ERROR(dataset_open(&t->dataset, o->data, o->n_data, &options, err));
    }
    if (o->n_eval_data == 0) return HEARTH_OK;
    options.eval_count = 0;
    RETURN_IF_ERROR(dataset_open(&t->eval_dataset, o->eval_data, o->n_eval_data, &options, err));
    if (dataset_is_preference(t->eval_dataset) == dataset_is_preference(t->dataset))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "'%s' cannot evaluate a run on '%s': one has preference pairs, the other not",
                     o->eval_data[0], o->data[0]);
}

static bool is_text(const struct dataset *d) {
    return dataset_file(d, 0)->schema == SCHEMA_TEXT;
}

static hearth_status open_maker(struct tuning *t, uint32_t max_length,
                                const struct chat_template *template, hearth_error *err) {
    const struct tuning_options *o = &t->options;
    struct example_options options = {.tokenizer = t->tokenizer,
                                      .template = template,
                                      .max_length = max_length,
                                      .n_vocab = t->model->config.n_vocab,
                                      .turns = o->turns,
                                      .too_long = o->too_long,
                                      .train_prompts = o->train_prompts};
    example_maker_close(t->maker);
    t->maker = NULL;
    return example_maker_open(&t->maker, &options, err);
}

/* Counts tokens; a length that nobody chose becomes that of the longest record. */
static hearth_status count_data(struct tuning *t, const struct chat_template *template,
                                hearth_error *err) {
    const struct tuning_options *o = &t->options;
    struct tuning_plan *plan = &t->plan;
    uint32_t most = t->model->config.n_ctx_train, length = o->sequence_length;
    if (length > most && most > 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "sequences of %u tokens, but the model was made for %u", length, most);
    if (length == 0) length = is_text(t->dataset) ? TEXT_WINDOW : LONGEST_CONVERSATION;
    if (most > 0 && length > most) length = most;
    RETURN_IF_ERROR(open_maker(t, length, template, err));
    RETURN_IF_ERROR(
        preview_count(&plan->data, t->dataset, PART_TRAIN, t->maker, 0, NULL, NULL, err));
    if (plan->data.n_trained == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "no token of the data would be trained: every record was dropped or has "
                         "no answer; 'hearth data' shows why");
    bool chosen = o->sequence_length > 0;
    if (!chosen && plan->data.longest < length) {
        length = plan->data.longest < 2 ? 2 : plan->data.longest;
        RETURN_IF_ERROR(open_maker(t, length, template, err));
    }
    plan->sequence_length = length;
    plan->n_records = dataset_count(t->dataset, PART_TRAIN);
    plan->n_eval_records = t->eval_dataset ? dataset_count(t->eval_dataset, PART_TRAIN)
                                           : dataset_count(t->dataset, PART_EVAL);
    plan->preference = dataset_is_preference(t->dataset);
    plan->template_missing = !template && !is_text(t->dataset);
    return HEARTH_OK;
}

/* ---- sizes ------------------------------------------------------------------ */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static double usual_rate(enum train_method method, bool preference) {
    if (preference) return method == TRAIN_FULL ? 1e-6 : 2e-5;
    return method == TRAIN_FULL ? 5e-5 : 2e-4;
}

/* Rows of a forward pass and how many passes make a step. */
static void choose_batches(struct tuning *t) {
    const struct tuning_options *o = &t->options;
    struct tuning_plan *plan = &t->plan;
    uint64_t rows = plan->data.n_tokens; /* of an epoch */
    uint64_t sequence = plan->sequence_length - 1;
    if (plan->preference) sequence *= 2;
    uint64_t usual = o->method == TRAIN_FULL ? FULL_STEP_ROWS : ADAPTER_STEP_ROWS;
    uint64_t step =
        o->step_rows ? o->step_rows : least(usual, most(sequence, rows / LEAST_EPOCH_STEPS));
    uint64_t batch = o->batch_rows ? o->batch_rows : least(MOST_BATCH_ROWS, step);
    plan->batch_rows = (uint32_t)most(most(batch, sequence), o->batch_rows ? 1 : LEAST_BATCH_ROWS);
    plan->accumulation = o->accumulation
                             ? o->accumulation
                             : most(1, (step + plan->batch_rows / 2) / plan->batch_rows);
    plan->rate = o->rate > 0 ? o->rate : usual_rate(o->method, plan->preference);
}

static hearth_status open_packer(const struct tuning *t, const struct dataset *dataset,
                                 enum dataset_part part, bool keep_order, struct packer **out,
                                 hearth_error *err) {
    const struct tuning_options *o = &t->options;
    bool pairs = dataset_is_preference(dataset);
    struct packing_options options = {
        .dataset = dataset,
        .maker = t->maker,
        .part = part,
        .method = o->packing,
        .max_rows = t->plan.batch_rows,
        .max_sequences = o->one_sequence ? (pairs ? 2 : 1) : 0,
        .seed = o->seed,
        .keep_order = keep_order,
    };
    return packer_open(out, &options, err);
}

static hearth_status open_packers(struct tuning *t, hearth_error *err) {
    RETURN_IF_ERROR(open_packer(t, t->dataset, PART_TRAIN, false, &t->packer, err));
    if (t->plan.n_eval_records == 0) return HEARTH_OK;
    const struct dataset *dataset = t->eval_dataset ? t->eval_dataset : t->dataset;
    enum dataset_part part = t->eval_dataset ? PART_TRAIN : PART_EVAL;
    RETURN_IF_ERROR(open_packer(t, dataset, part, true, &t->eval_packer, err));
    t->eval_start = packer_state(t->eval_packer);
    return HEARTH_OK;
}

/* The batches of the first epoch, which others resemble, give the length of the run. */
static hearth_status count_steps(struct tuning *t, hearth_error *err) {
    const struct tuning_options *o = &t->options;
    struct tuning_plan *plan = &t->plan;
    struct packing_state start = packer_state(t->packer);
    struct train_batch batch;
    for (bool ended = false; !ended; plan->batches_per_epoch++)
        RETURN_IF_ERROR(packer_next(t->packer, &batch, &ended, err));
    RETURN_IF_ERROR(packer_seek(t->packer, start, err));
    double steps = ceil((double)plan->batches_per_epoch * o->epochs / (double)plan->accumulation);
    plan->n_steps = o->max_steps ? o->max_steps : (uint64_t)most(1, (uint64_t)steps);
    plan->warmup_steps =
        o->warmup_steps ? o->warmup_steps : (uint64_t)ceil(o->warmup * (double)plan->n_steps);
    if (plan->warmup_steps >= plan->n_steps) plan->warmup_steps = plan->n_steps - 1;
    return HEARTH_OK;
}

/* ---- identity --------------------------------------------------------------- */

static void hash_data(struct sha256 *hash, const struct dataset *dataset) {
    uint8_t digest[SHA256_BYTES];
    if (!dataset) return;
    dataset_digest(dataset, digest);
    sha256_update(hash, digest, sizeof digest);
}

static void hash_teacher(struct sha256 *hash, const struct distil_options *distil) {
    uint8_t digest[SHA256_BYTES];
    char text[96];
    directory_fingerprint(&distil->teacher->directory, digest);
    sha256_update(hash, digest, sizeof digest);
    int n = snprintf(text, sizeof text, "%u %a %a|", distil->top_k, (double)distil->temperature,
                     (double)distil->share);
    sha256_update(hash, text, (size_t)n);
}

static void hash_objective(struct sha256 *hash, const struct tuning *t) {
    const struct tuning_options *o = &t->options;
    const struct dpo_options *dpo = &o->dpo;
    char text[256];
    int n =
        snprintf(text, sizeof text, "%a %a|", (double)o->lora.dropout, (double)o->neftune_alpha);
    sha256_update(hash, text, (size_t)n);
    if (o->lora.decomposed) sha256_update(hash, "dora", 4);
    if (o->distil.teacher) hash_teacher(hash, &o->distil);
    if (!t->plan.preference) return;
    n = snprintf(text, sizeof text, "dpo %a %a %d %a|", (double)dpo->beta,
                 (double)dpo->label_smoothing, dpo->length_normalised, (double)dpo->sft_weight);
    sha256_update(hash, text, (size_t)n);
}

/* What a resumed run must share with the one it goes on with. */
static void make_fingerprint(struct tuning *t) {
    const struct tuning_options *o = &t->options;
    struct tuning_plan *plan = &t->plan;
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    char text[640];
    directory_fingerprint(&t->model->directory, digest);
    sha256_init(&hash);
    sha256_update(&hash, digest, sizeof digest);
    hash_data(&hash, t->dataset);
    hash_data(&hash, t->eval_dataset);
    int n = snprintf(text, sizeof text,
                     "%d %u %a %d %d %d %d|%u %u %llu %llu %llu|%d %a %a|%a %a %a %a %a|%d %d %d "
                     "%d %d|%llu %llu",
                     o->method, o->lora.rank, (double)o->lora.alpha, o->lora.rank_stabilised,
                     o->train_embeddings, o->train_output, o->exact, plan->sequence_length,
                     plan->batch_rows, (unsigned long long)plan->accumulation,
                     (unsigned long long)plan->n_steps, (unsigned long long)plan->warmup_steps,
                     o->schedule, plan->rate, o->least_rate, (double)o->optimizer.beta1,
                     (double)o->optimizer.beta2, (double)o->optimizer.epsilon,
                     (double)o->optimizer.weight_decay, (double)o->optimizer.max_norm,
                     plan->moments_8bit, o->packing, o->one_sequence, o->turns, o->train_prompts,
                     (unsigned long long)o->seed, (unsigned long long)plan->n_eval_records);
    sha256_update(&hash, text, n < (int)sizeof text ? (size_t)n : sizeof text);
    hash_objective(&hash, t);
    for (const char *const *m = o->lora.modules; m && *m; m++)
        sha256_update(&hash, *m, strlen(*m) + 1);
    sha256_final(&hash, digest);
    sha256_hex(digest, plan->fingerprint);
}

/* ---- opening ---------------------------------------------------------------- */

static struct graph_options graph_options_of(const struct tuning *t) {
    const struct tuning_options *o = &t->options;
    return (struct graph_options){.method = o->method,
                                  .max_rows = t->plan.batch_rows,
                                  .n_ctx = t->plan.sequence_length,
                                  .checkpointing = t->plan.checkpointing,
                                  .exact = o->exact,
                                  .lora = o->lora,
                                  .train_embeddings = o->train_embeddings,
                                  .train_output = o->train_output,
                                  .neftune_alpha = o->neftune_alpha,
                                  .seed = o->seed,
                                  .sharing = tuning_sharing(o, &t->plan)};
}

/* Ranks of one machine divide the cores that they may use. */
static unsigned thread_count(const struct tuning_options *o) {
    unsigned local = (unsigned)ranks_local_count(o->ranks), cores = cpu_default_threads();
    if (o->n_threads || local == 1) return o->n_threads;
    return cores > local ? cores / local : 1;
}

/* Next-token prediction needs nothing of its own. */
static hearth_status open_objective(struct tuning *t, hearth_error *err) {
    const struct tuning_options *o = &t->options;
    const struct tuning_plan *plan = &t->plan;
    if (plan->preference) return dpo_open(&t->dpo, t->graph, plan->batch_rows, &o->dpo, err);
    if (!o->distil.teacher) return HEARTH_OK;
    return distil_open(&t->distil, t->graph, t->device, plan->batch_rows, plan->sequence_length - 1,
                       &o->distil, err);
}

static hearth_status open_engine(struct tuning *t, hearth_error *err) {
    struct device_options device = {.n_threads = thread_count(&t->options),
                                    .max_tokens = t->plan.batch_rows};
    struct graph_options graph = graph_options_of(t);
    struct optimizer_options optimizer = t->options.optimizer;
    size_t n;
    optimizer.moments = t->plan.moments_8bit ? MOMENTS_8BIT : MOMENTS_F32;
    optimizer.ranks = t->options.ranks;
    optimizer.stage = t->plan.zero_stage;
    optimizer.wire = t->options.narrow_gradients ? WIRE_BF16 : WIRE_F32;
    RETURN_IF_ERROR(device_open_cpu(&t->device, &device, err));
    RETURN_IF_ERROR(graph_open(&t->graph, t->model, t->device, &graph, err));
    optimizer.parts = graph_pass_parts(t->graph);
    const struct parameter *parameters = graph_parameters(t->graph, &n);
    for (size_t i = 0; i < n; i++)
        t->plan.trained_values += (uint64_t)parameters[i].rows * parameters[i].cols;
    t->plan.optimizer_bytes = optimizer_bytes(parameters, n, &optimizer);
    t->plan.state_bytes = optimizer_state_bytes(parameters, n, &optimizer);
    RETURN_IF_ERROR(open_objective(t, err));
    RETURN_IF_ERROR(optimizer_open(&t->optimizer, t->device, parameters, n, &optimizer, err));
    struct pass_observer observer = optimizer_observer(t->optimizer);
    graph_observe(t->graph, &observer);
    return HEARTH_OK;
}

static hearth_status check_options(const struct tuning_options *o, const struct model *model,
                                   hearth_error *err) {
    if (o->n_data == 0) return error_set(err, HEARTH_ERROR_ARGUMENT, "no training data was named");
    if (model->config.embeds || model->config.ranks)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s' is an encoder; models that write text can be tuned",
                         model->config.family);
    if (o->max_steps == 0 && !(o->epochs > 0))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "0 epochs train nothing");
    return HEARTH_OK;
}

static hearth_status check_teacher(const struct tuning *t, hearth_error *err) {
    const struct distil_options *distil = &t->options.distil;
    if (!distil->teacher) return HEARTH_OK;
    if (t->plan.preference)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "preference pairs are trained without a teacher");
    return distil_check_vocabulary(t->tokenizer, distil->tokenizer, err);
}

static hearth_status prepare_data(struct tuning *t, const struct chat_template *template,
                                  hearth_error *err) {
    RETURN_IF_ERROR(check_options(&t->options, t->model, err));
    RETURN_IF_ERROR(open_data(t, err));
    RETURN_IF_ERROR(count_data(t, template, err));
    RETURN_IF_ERROR(check_teacher(t, err));
    choose_batches(t);
    t->plan.model_values = model_parameters(t->model);
    return HEARTH_OK;
}

/* What the rank with the least of it has: all must choose the same. */
static hearth_status find_memory(struct tuning *t, hearth_error *err) {
    const struct tuning_options *o = &t->options;
    uint64_t local = (uint64_t)ranks_local_count(o->ranks);
    t->plan.available_bytes = o->max_bytes ? o->max_bytes : cpu_memory_available() / local;
    return ranks_least(o->ranks, &t->plan.available_bytes, err);
}

static hearth_status prepare_engine(struct tuning *t, hearth_error *err) {
    RETURN_IF_ERROR(tuning_fit_memory(&t->options, t->model, &t->plan, err));
    RETURN_IF_ERROR(open_packers(t, err));
    RETURN_IF_ERROR(count_steps(t, err));
    make_fingerprint(t);
    return open_engine(t, err);
}

/* Ranks must do the same arithmetic to the same end. */
static hearth_status compare_ranks(struct tuning *t, hearth_error *err) {
    enum cpu_level level;
    hearth_status status = cpu_choose(&level, err);
    RETURN_IF_ERROR(ranks_agree(t->options.ranks, status, err));
    RETURN_IF_ERROR(ranks_same(t->options.ranks, "the program's version", HEARTH_VERSION, err));
    RETURN_IF_ERROR(ranks_same(t->options.ranks, "the processor's level (HEARTH_CPU sets it)",
                               cpu_level_name(level), err));
    return ranks_same(t->options.ranks, "the digest of model, data and settings",
                      t->plan.fingerprint, err);
}

static hearth_status prepare(struct tuning *t, const struct chat_template *template,
                             hearth_error *err) {
    struct ranks *ranks = t->options.ranks;
    RETURN_IF_ERROR(ranks_agree(ranks, prepare_data(t, template, err), err));
    RETURN_IF_ERROR(find_memory(t, err));
    RETURN_IF_ERROR(ranks_agree(ranks, prepare_engine(t, err), err));
    return compare_ranks(t, err);
}

hearth_status tuning_open(struct tuning **out, const struct model *model,
                          const struct tokenizer *tokenizer, const struct chat_template *template,
                          const struct tuning_options *options, hearth_error *err) {
    struct tuning *t = mem_calloc(1, sizeof *t);
    if (!t) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a run");
    t->options = *options;
    t->model = model;
    t->tokenizer = tokenizer;
    hearth_status status = prepare(t, template, err);
    if (status != HEARTH_OK) {
        tuning_close(t);
        return status;
    }
    *out = t;
    return HEARTH_OK;
}

void tuning_close(struct tuning *t) {
    if (!t) return;
    optimizer_close(t->optimizer);
    dpo_close(t->dpo);
    distil_close(t->distil);
    graph_close(t->graph);
    if (t->device) device_close(t->device);
    packer_close(t->packer);
    packer_close(t->eval_packer);
    example_maker_close(t->maker);
    dataset_close(t->dataset);
    dataset_close(t->eval_dataset);
    mem_free(t);
}

const struct tuning_plan *tuning_plan(const struct tuning *t) {
    return &t->plan;
}

const struct dataset *tuning_dataset(const struct tuning *t) {
    return t->dataset;
}

const struct dataset *tuning_held_out(const struct tuning *t, enum dataset_part *part) {
    *part = t->eval_dataset || t->plan.n_eval_records == 0 ? PART_TRAIN : PART_EVAL;
    return t->eval_dataset ? t->eval_dataset : t->dataset;
}

/* ---- running ---------------------------------------------------------------- */

_Static_assert(sizeof(struct packing_state) <= SOURCE_STATE_BYTES, "a state fits");

static hearth_status train_next(void *context, struct train_batch *batch, bool *ended,
                                hearth_error *err) {
    struct tuning *t = context;
    return packer_next(t->packer, batch, ended, err);
}

static void train_save(void *context, uint8_t bytes[SOURCE_STATE_BYTES]) {
    const struct tuning *t = context;
    struct packing_state state = packer_state(t->packer);
    memset(bytes, 0, SOURCE_STATE_BYTES);
    memcpy(bytes, &state, sizeof state);
}

static hearth_status train_restore(void *context, const uint8_t bytes[SOURCE_STATE_BYTES],
                                   hearth_error *err) {
    struct tuning *t = context;
    struct packing_state state;
    memcpy(&state, bytes, sizeof state);
    return packer_seek(t->packer, state, err);
}

static hearth_status eval_next(void *context, struct train_batch *batch, bool *ended,
                               hearth_error *err) {
    struct tuning *t = context;
    return packer_next(t->eval_packer, batch, ended, err);
}

/* Always the whole set, from its beginning. */
static hearth_status eval_restore(void *context, const uint8_t bytes[SOURCE_STATE_BYTES],
                                  hearth_error *err) {
    struct tuning *t = context;
    (void)bytes;
    return packer_seek(t->eval_packer, t->eval_start, err);
}

static hearth_status objective_step(void *context, const struct train_batch *batch,
                                    struct train_loss *loss, hearth_error *err) {
    struct train_loss more = {0};
    RETURN_IF_ERROR(graph_step(((struct tuning *)context)->graph, batch, 1.0f, &more, NULL, err));
    loss->sum += more.sum;
    loss->weight += more.weight;
    return HEARTH_OK;
}

static hearth_status objective_evaluate(void *context, const struct train_batch *batch,
                                        struct train_loss *loss, hearth_error *err) {
    struct train_loss more = {0};
    RETURN_IF_ERROR(graph_evaluate(((struct tuning *)context)->graph, batch, &more, NULL, err));
    loss->sum += more.sum;
    loss->weight += more.weight;
    return HEARTH_OK;
}

static hearth_status objective_take_part(void *context, bool step, hearth_error *err) {
    return graph_take_part(((struct tuning *)context)->graph, step, err);
}

/* All ranks read all batches, some of them together (optimizer_shares_evaluations). */
static hearth_status remember_epoch(struct tuning *t, struct packer *packer, hearth_error *err) {
    struct packing_state start = packer_state(packer);
    struct ranks *ranks = t->options.ranks;
    struct train_batch batch;
    for (bool ended = false; !ended;) {
        RETURN_IF_ERROR(ranks_agree(ranks, packer_next(packer, &batch, &ended, err), err));
        RETURN_IF_ERROR(ranks_agree(ranks, dpo_remember(t->dpo, &batch, err), err));
    }
    return packer_seek(packer, start, err);
}

/* While the weights are those of the model's file, also of a run that will go on. */
static hearth_status take_reference(struct tuning *t, hearth_error *err) {
    if (!t->dpo || !dpo_needs_memory(t->dpo) || t->has_reference) return HEARTH_OK;
    hearth_status status = remember_epoch(t, t->packer, err);
    if (status == HEARTH_OK && t->eval_packer) status = remember_epoch(t, t->eval_packer, err);
    RETURN_IF_ERROR(ranks_agree(t->options.ranks, status, err));
    t->has_reference = true;
    return HEARTH_OK;
}

static struct objective choose_objective(struct tuning *t) {
    if (t->dpo) return dpo_objective(t->dpo);
    if (t->distil) return distil_objective(t->distil);
    return (struct objective){.context = t, .step = objective_step, .evaluate = objective_evaluate};
}

static uint64_t every(uint64_t asked, uint64_t n_steps) {
    if (asked == UINT64_MAX) return 0;
    return asked ? asked : most(1, n_steps / REPORTS);
}

static struct trainer make_trainer(struct tuning *t, const struct tuning_run_options *run) {
    const struct tuning_options *o = &t->options;
    const struct tuning_plan *plan = &t->plan;
    struct trainer trainer = {
        .optimizer = t->optimizer,
        .objective = choose_objective(t),
        .source = {t, train_next, train_save, train_restore},
        .take_part = objective_take_part,
        .take_part_context = t,
        .options = {.schedule = {o->schedule, (float)plan->rate, (float)o->least_rate,
                                 plan->warmup_steps, plan->n_steps},
                    .accumulation = plan->accumulation,
                    .evaluate_every = every(o->evaluate_every, plan->n_steps),
                    .patience = o->patience,
                    .save_every = every(o->save_every, plan->n_steps),
                    .keep = o->keep,
                    .folder = o->folder,
                    .fingerprint = plan->fingerprint,
                    .stop = run->stop,
                    .stop_context = run->context},
        .report = run->report,
        .report_context = run->context};
    if (t->eval_packer)
        trainer.evaluation = (struct batch_source){t, eval_next, NULL, eval_restore};
    return trainer;
}

hearth_status tuning_resume(struct tuning *t, const struct tuning_run_options *run, bool *resumed,
                            hearth_error *err) {
    t->trainer = make_trainer(t, run);
    RETURN_IF_ERROR(optimizer_clear_gradients(t->optimizer, err));
    RETURN_IF_ERROR(take_reference(t, err));
    RETURN_IF_ERROR(trainer_resume(&t->trainer, resumed, err));
    if (*resumed && !run->may_resume)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%s' has checkpoints of this very run, after %llu of %llu steps: go on "
                         "with --resume, or start anew in another folder (--output-dir)",
                         t->options.folder, (unsigned long long)t->trainer.state.step,
                         (unsigned long long)t->plan.n_steps);
    return HEARTH_OK;
}

hearth_status tuning_run(struct tuning *t, const struct tuning_run_options *run,
                         enum train_end *end, hearth_error *err) {
    struct run_state state = t->trainer.state;
    RETURN_IF_ERROR(take_reference(t, err));
    t->trainer = make_trainer(t, run);
    t->trainer.state = state;
    return trainer_run(&t->trainer, end, err);
}

const struct run_state *tuning_state(const struct tuning *t) {
    return &t->trainer.state;
}
