/* hearth tune: fine-tunes a model on one's own data.
 *
 * A run is a folder: recipe.yaml (every setting, so that the run can be resumed or repeated),
 * checkpoints/, log.jsonl, run.json and, in the end, what was trained. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/settings_file.h"
#include "cli/tune_log.h"
#include "infer/prompt.h"
#include "train/tuning.h"

struct tune_command {
    struct tuning_options o;
    const char *model, *teacher, *folder, *recipe, *format, *separator, *template_file;
    struct option_list data, eval_data, columns, modules;
    int64_t n_threads, rank, top_k, sequence_length, batch_rows, step_rows, accumulation;
    int64_t max_steps, warmup_steps, evaluate_every, save_every, patience, keep, seed, max_samples;
    int method, schedule, turns, too_long, packing, checkpointing, optimizer;
    double alpha, rate, least_rate, warmup, epochs, weight_decay, max_norm, beta1, beta2, epsilon;
    double eval_fraction, dpo_beta, dpo_label_smoothing, dpo_sft_weight, dropout, neftune_alpha;
    double temperature, teacher_share;
    uint64_t memory;
    bool rank_stabilised, train_embeddings, train_output, exact, skip_broken, train_prompts;
    bool dpo_length_normalised, dry_run, json, resume;
};

enum { METHOD_LORA, METHOD_FULL };
enum { PACKING_ON, PACKING_BY_LENGTH, PACKING_OFF };
enum { OPTIMIZER_AUTO, OPTIMIZER_ADAMW, OPTIMIZER_ADAMW_8BIT };

/* ---- options to a run --------------------------------------------------------- */

static hearth_status take_data(const struct tune_command *c, struct dataset_options *d,
                               hearth_error *err) {
    d->skip_broken = c->skip_broken;
    d->max_samples = (uint64_t)c->max_samples;
    d->document_separator = c->separator;
    if (c->format) RETURN_IF_ERROR(dataset_parse_schema(c->format, &d->schema, err));
    for (size_t i = 0; i < c->columns.count; i++) {
        enum dataset_field field;
        const char *column;
        RETURN_IF_ERROR(dataset_parse_column(c->columns.items[i], &field, &column, err));
        d->columns[field] = column;
    }
    /* A fraction, or a number of records as Axolotl's val_set_size takes it, too. */
    if (c->eval_fraction >= 1)
        d->eval_count = (uint64_t)c->eval_fraction;
    else
        d->eval_fraction = c->eval_fraction;
    return HEARTH_OK;
}

static void take_training(const struct tune_command *c, struct tuning_options *o) {
    o->method = c->method == METHOD_FULL ? TRAIN_FULL : TRAIN_LORA;
    o->lora = (struct lora_options){(uint32_t)c->rank, (float)c->alpha, c->rank_stabilised,
                                    c->modules.count ? c->modules.items : NULL, (float)c->dropout};
    o->neftune_alpha = (float)c->neftune_alpha;
    o->train_embeddings = c->train_embeddings;
    o->train_output = c->train_output;
    o->exact = c->exact;
    o->dpo = (struct dpo_options){(float)c->dpo_beta, (float)c->dpo_label_smoothing,
                                  c->dpo_length_normalised, (float)c->dpo_sft_weight};
    o->turns = (enum example_turns)c->turns;
    o->too_long = (enum example_too_long)c->too_long;
    o->train_prompts = c->train_prompts;
    o->packing = c->packing == PACKING_BY_LENGTH ? PACK_BY_LENGTH : PACK_FIRST_FIT;
    o->one_sequence = c->packing == PACKING_OFF;
    o->sequence_length = (uint32_t)c->sequence_length;
    o->batch_rows = (uint32_t)c->batch_rows;
    o->step_rows = (uint32_t)c->step_rows;
    o->accumulation = (uint64_t)c->accumulation;
}

static void take_schedule(const struct tune_command *c, struct tuning_options *o) {
    o->epochs = c->epochs;
    o->max_steps = (uint64_t)c->max_steps;
    o->schedule = (enum schedule_kind)c->schedule;
    o->rate = c->rate;
    o->least_rate = c->least_rate;
    o->warmup = c->warmup;
    o->warmup_steps = (uint64_t)c->warmup_steps;
    o->optimizer.beta1 = (float)c->beta1;
    o->optimizer.beta2 = (float)c->beta2;
    o->optimizer.epsilon = (float)c->epsilon;
    o->optimizer.weight_decay = (float)c->weight_decay;
    o->optimizer.max_norm = (float)c->max_norm;
    o->checkpointing = (enum tuning_choice)c->checkpointing;
    o->moments_8bit = c->optimizer == OPTIMIZER_ADAMW        ? TUNING_OFF
                      : c->optimizer == OPTIMIZER_ADAMW_8BIT ? TUNING_ON
                                                             : TUNING_AUTO;
    o->evaluate_every = (uint64_t)c->evaluate_every;
    o->save_every = (uint64_t)c->save_every;
    o->patience = (uint64_t)c->patience;
    o->keep = (size_t)c->keep;
    o->seed = (uint64_t)c->seed;
    o->n_threads = (unsigned)c->n_threads;
    o->max_bytes = c->memory;
}

/* ---- the folder ----------------------------------------------------------------- */

/* "model-data" without folders and extensions, in the current folder. */
static char *default_folder(const struct tune_command *c) {
    char name[256];
    const char *model = path_base(c->model), *data = path_base(c->data.items[0]);
    const char *colon = strchr(model, ':');
    size_t n = colon ? (size_t)(colon - model) : strcspn(model, "");
    const char *dot = strrchr(model, '.');
    if (dot && strcmp(dot, ".gguf") == 0) n = (size_t)(dot - model);
    snprintf(name, sizeof name, "%.*s-%.*s", (int)n, model, (int)strcspn(data, "."), data);
    return mem_strndup(name, strlen(name));
}

struct tune_job {
    const struct tune_command *command;
    const struct option_table *table;
    const char *folder;
    char *checkpoints;
    struct engine engine, teacher; /* teacher: zero without */
    struct chat_template *template;
    struct tuning *tuning;
    struct tune_log log;
    enum train_end end;
    bool resumed, ran; /* ran: it had steps left */
};

static char *in_folder(const struct tune_job *job, const char *name) {
    return path_join(job->folder, name);
}

static hearth_status write_recipe(const struct tune_job *job, hearth_error *err) {
    static const char *const except[] = {"recipe", "dry-run", "json", "resume", NULL};
    static const char heading[] = "# The settings of this run; hearth tune --recipe repeats it.\n";
    char *path = in_folder(job, "recipe.yaml");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = settings_file_write(path, heading, job->table, except, err);
    mem_free(path);
    return status;
}

static const char *end_name(enum train_end end) {
    return end == TRAIN_FINISHED ? "finished" : end == TRAIN_STALE ? "early stop" : "stopped";
}

static hearth_status write_run(const struct tune_job *job, const char *state, hearth_error *err) {
    const struct tuning_plan *plan = tuning_plan(job->tuning);
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    dataset_digest(tuning_dataset(job->tuning), digest);
    sha256_hex(digest, hex);
    json_t *run = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:s}", "state", state,
        "model", job->command->model, "family", job->engine.model.config.family, "method",
        job->command->method == METHOD_FULL ? "full" : "lora", "data_sha256", hex, "records",
        (json_int_t)plan->n_records, "eval_records", (json_int_t)plan->n_eval_records, "steps",
        (json_int_t)plan->n_steps, "tokens", (json_int_t)job->log.tokens, "trained_values",
        (json_int_t)plan->trained_values, "seconds", job->log.seconds, "loss",
        job->log.tokens ? json_real(job->log.loss) : json_null(), "eval_loss",
        isnan(job->log.eval_loss) ? json_null() : json_real(job->log.eval_loss), "version",
        HEARTH_VERSION);
    char *text = run ? json_dumps(run, JSON_INDENT(1) | JSON_REAL_PRECISION(8)) : NULL;
    char *path = in_folder(job, "run.json");
    hearth_status status = text && path
                               ? file_write(path, text, strlen(text), err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for run.json");
    mem_free(path);
    free(text);
    json_decref(run);
    return status;
}

/* ---- what is said before and after ---------------------------------------------- */

static void print_data(const struct tuning_plan *p) {
    const struct preview_statistics *s = &p->data;
    printf("data      %" PRIu64 " records, %" PRIu64 " tokens, %" PRIu64 " trained; longest %u\n",
           p->n_records, s->n_tokens, s->n_trained, s->longest);
    if (s->n_results[EXAMPLE_TRUNCATED])
        printf("          %" PRIu64 " cut at %u tokens (--sequence-length)\n",
               s->n_results[EXAMPLE_TRUNCATED], p->sequence_length);
    uint64_t dropped = s->n_results[EXAMPLE_TOO_LONG] + s->n_results[EXAMPLE_REFUSED] +
                       s->n_results[EXAMPLE_UNTRAINED];
    if (dropped)
        printf("          %" PRIu64 " records train nothing; 'hearth data' shows why\n", dropped);
    if (p->n_eval_records)
        printf("          %" PRIu64 " more records to evaluate\n", p->n_eval_records);
    if (p->template_missing)
        puts("          the model has no chat template: '### Instruction:' and '### Response:' "
             "are used");
}

static void print_plan(const struct tune_job *job) {
    const struct tuning_plan *p = tuning_plan(job->tuning);
    char trained[32], all[32], need[32], have[32];
    print_data(p);
    if (job->command->teacher)
        printf("teacher   %s, %g of the loss\n", job->command->teacher,
               job->command->teacher_share);
    if (p->preference)
        printf("objective preference of the chosen over the rejected answer (DPO, beta %g)\n",
               job->command->dpo_beta);
    printf("training  %s of %s parameters (%s); %" PRIu64 " steps of %" PRIu64
           " x %u tokens, rate %.2g\n",
           units_format_count(p->trained_values, trained, sizeof trained),
           units_format_count(p->model_values, all, sizeof all),
           job->command->method == METHOD_FULL ? "full" : "LoRA", p->n_steps, p->accumulation,
           p->batch_rows, p->rate);
    printf("memory    %s beside the model, %s available%s%s\n",
           units_format_bytes(p->graph_bytes + p->optimizer_bytes, need, sizeof need),
           units_format_bytes(p->available_bytes, have, sizeof have), *p->note ? "; " : "",
           p->note);
    if (job->folder) printf("folder    %s\n", job->folder);
    fflush(stdout);
}

static void print_end(const struct tune_job *job) {
    if (job->command->json) return;
    if (job->ran) {
        printf("%s at loss %.4f", end_name(job->end), job->log.loss);
        if (!isnan(job->log.eval_loss)) printf(", evaluation %.4f", job->log.eval_loss);
        puts("");
    } else {
        puts("this run has finished already");
    }
    if (job->end == TRAIN_STOPPED)
        printf("go on with:  hearth tune resume %s\n", job->folder);
    else if (job->command->method == METHOD_FULL)
        printf("try it:      hearth run %s/model.gguf\n", job->folder);
    else
        printf("try it:      hearth run %s --lora %s/adapter.gguf\n"
               "merge it:    hearth quantize --lora %s/adapter.gguf %s merged.gguf Q8_0\n",
               job->command->model, job->folder, job->folder, job->command->model);
}

/* ---- results ---------------------------------------------------------------------- */

static hearth_status write_card(const struct tune_job *job, hearth_error *err) {
    const struct tune_command *c = job->command;
    const struct tuning_plan *p = tuning_plan(job->tuning);
    struct buf out;
    buf_init(&out, 1 << 16);
    buf_append_format(&out,
                      "---\nbase_model: %s\ntags: [%s]\nlibrary_name: hearth\n---\n\n# %s\n\n"
                      "%s of `%s`, trained with Hearth %s.\n\n| | |\n|---|---|\n",
                      c->model, c->method == METHOD_FULL ? "finetune" : "lora",
                      path_base(job->folder),
                      c->method == METHOD_FULL ? "A fine-tuned version" : "A low-rank adapter",
                      c->model, HEARTH_VERSION);
    for (size_t i = 0; i < c->data.count; i++)
        buf_append_format(&out, "| data | %s |\n", path_base(c->data.items[i]));
    buf_append_format(&out,
                      "| records | %" PRIu64 " trained, %" PRIu64 " held out |\n| steps | %" PRIu64
                      " of about %" PRIu64 " tokens |\n| learning rate | %.3g |\n",
                      p->n_records, p->n_eval_records, p->n_steps, p->accumulation * p->batch_rows,
                      p->rate);
    if (c->method == METHOD_LORA)
        buf_append_format(&out, "| rank, alpha | %" PRId64 ", %g |\n", c->rank, c->alpha);
    buf_append_format(&out, "| loss at the end | %.4f |\n", job->log.loss);
    if (!isnan(job->log.eval_loss))
        buf_append_format(&out, "| evaluation loss | %.4f |\n", job->log.eval_loss);
    buf_append_text(&out, "\nEvery setting is in `recipe.yaml`, the course of the run in "
                          "`log.jsonl`, a digest of the data in `run.json`.\n");
    char *path = in_folder(job, "README.md");
    hearth_status status = path && !out.failed
                               ? file_write(path, buf_text(&out), out.length, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for README.md");
    mem_free(path);
    buf_release(&out);
    return status;
}

static hearth_status write_adapter(const struct tune_job *job, hearth_error *err) {
    struct adapter_facts facts = {.base_name = job->command->model, .name = path_base(job->folder)};
    char *gguf = in_folder(job, "adapter.gguf"), *peft = in_folder(job, "adapter");
    hearth_error problem = {0};
    hearth_status status = gguf && peft
                               ? tuning_write_adapter(job->tuning, gguf, NULL, &facts, err)
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (status == HEARTH_OK &&
        tuning_write_adapter(job->tuning, NULL, peft, &facts, &problem) != HEARTH_OK)
        fprintf(stderr, "hearth: no PEFT folder was written: %s\n", problem.message);
    mem_free(gguf);
    mem_free(peft);
    return status;
}

static hearth_status write_result(const struct tune_job *job, hearth_error *err) {
    if (job->end == TRAIN_STOPPED) return HEARTH_OK;
    if (job->command->method == METHOD_LORA) {
        RETURN_IF_ERROR(write_adapter(job, err));
    } else {
        char *path = in_folder(job, "model.gguf");
        if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
        hearth_status status = tuning_write_model(job->tuning, path, err);
        mem_free(path);
        if (status != HEARTH_OK) return status;
    }
    return write_card(job, err);
}

/* ---- running ---------------------------------------------------------------------- */

static bool stop_wanted(void *context) {
    (void)context;
    return interrupt_requested();
}

static void report(void *context, const struct train_event *event) {
    tune_log_report(&((struct tune_job *)context)->log, event);
}

static hearth_status train(struct tune_job *job, hearth_error *err) {
    struct tuning_run_options run = {
        .may_resume = job->command->resume, .stop = stop_wanted, .report = report, .context = job};
    struct interrupt_guard guard;
    RETURN_IF_ERROR(file_make_folders(job->folder, err));
    RETURN_IF_ERROR(write_recipe(job, err));
    RETURN_IF_ERROR(tuning_resume(job->tuning, &run, &job->resumed, err));
    uint64_t step = tuning_step(job->tuning);
    job->ran = step < tuning_plan(job->tuning)->n_steps;
    if (!job->ran) return HEARTH_OK;
    RETURN_IF_ERROR(tune_log_open(&job->log, job->folder, step, tuning_plan(job->tuning)->n_steps,
                                  job->command->json, err));
    if (job->resumed && !job->command->json) printf("going on after step %" PRIu64 "\n", step);
    interrupt_begin(&guard);
    hearth_status status = tuning_run(job->tuning, &run, &job->end, err);
    interrupt_end(&guard);
    tune_log_close(&job->log);
    if (status == HEARTH_OK) status = write_result(job, err);
    hearth_error ignored;
    const char *state = status == HEARTH_OK ? end_name(job->end) : "failed";
    hearth_status written = write_run(job, state, status == HEARTH_OK ? err : &ignored);
    return status == HEARTH_OK ? written : status;
}

static hearth_status open_template(struct tune_job *job, hearth_error *err) {
    struct text source;
    char *text = NULL;
    size_t size = 0;
    if (job->command->template_file) {
        RETURN_IF_ERROR(
            file_read(job->command->template_file, TEMPLATE_SOURCE_MAX_BYTES, &text, &size, err));
        source = (struct text){text, size};
    } else if (!model_chat_template(&job->engine.model, &source)) {
        return HEARTH_OK;
    }
    hearth_status status = chat_template_open(&job->template, source.data, source.length, err);
    mem_free(text);
    return status;
}

static hearth_status open_teacher(struct tune_job *job, struct distil_options *distil,
                                  hearth_error *err) {
    const struct tune_command *c = job->command;
    struct engine_settings settings = {.model = c->teacher};
    distil->top_k = (uint32_t)c->top_k;
    distil->temperature = (float)c->temperature;
    distil->share = (float)c->teacher_share;
    if (!c->teacher) return HEARTH_OK;
    RETURN_IF_ERROR(engine_open_model(&job->teacher, &settings, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&job->teacher, err));
    distil->teacher = &job->teacher.model;
    distil->tokenizer = job->teacher.tokenizer;
    return HEARTH_OK;
}

static hearth_status open_run(struct tune_job *job, hearth_error *err) {
    const struct tune_command *c = job->command;
    struct engine_settings settings = {.model = c->model};
    struct tuning_options o = tuning_defaults();
    RETURN_IF_ERROR(take_data(c, &o.dataset, err));
    take_training(c, &o);
    take_schedule(c, &o);
    o.data = c->data.items;
    o.n_data = c->data.count;
    o.eval_data = c->eval_data.items;
    o.n_eval_data = c->eval_data.count;
    job->checkpoints = in_folder(job, "checkpoints");
    if (!job->checkpoints) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    o.folder = job->checkpoints;
    RETURN_IF_ERROR(engine_open_model(&job->engine, &settings, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&job->engine, err));
    RETURN_IF_ERROR(open_teacher(job, &o.distil, err));
    RETURN_IF_ERROR(open_template(job, err));
    return tuning_open(&job->tuning, &job->engine.model, job->engine.tokenizer, job->template, &o,
                       err);
}

static hearth_status run_job(struct tune_job *job, hearth_error *err) {
    RETURN_IF_ERROR(open_run(job, err));
    if (!job->command->json) print_plan(job);
    if (job->command->dry_run) return HEARTH_OK;
    RETURN_IF_ERROR(train(job, err));
    print_end(job);
    return HEARTH_OK;
}

static hearth_status tune(const struct tune_command *c, const struct option_table *table,
                          hearth_error *err) {
    struct tune_job job = {.command = c, .table = table, .log = {.eval_loss = NAN}};
    char *chosen = c->folder ? NULL : default_folder(c);
    job.folder = c->folder ? c->folder : chosen;
    hearth_status status =
        job.folder ? run_job(&job, err) : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    tuning_close(job.tuning);
    chat_template_close(job.template);
    engine_close(&job.teacher);
    engine_close(&job.engine);
    mem_free(job.checkpoints);
    mem_free(chosen);
    return status;
}

/* ---- the command -------------------------------------------------------------------- */

#define INT(option, key, help_text, place, low, high)                                              \
    {                                                                                              \
        .name = option, .aliases = key, .argument = "N", .help = help_text, .type = OPTION_INT,    \
        .least = low, .most = high, .integer = &c->place                                           \
    }
#define FLOAT(option, key, help_text, place, low, high)                                            \
    {                                                                                              \
        .name = option, .aliases = key, .argument = "X", .help = help_text, .type = OPTION_FLOAT,  \
        .least = low, .most = high, .number = &c->place                                            \
    }
#define FLAG(option, key, help_text, place)                                                        \
    { .name = option, .aliases = key, .help = help_text, .type = OPTION_FLAG, .flag = &c->place }
#define CHOICE(option, key, names, help_text, place)                                               \
    {                                                                                              \
        .name = option, .aliases = key, .argument = "HOW", .help = help_text,                      \
        .type = OPTION_CHOICE, .choices = names, .choice = &c->place                               \
    }
#define TEXT(option, key, value, help_text, place)                                                 \
    {                                                                                              \
        .name = option, .aliases = key, .argument = value, .help = help_text,                      \
        .type = OPTION_STRING, .string = &c->place                                                 \
    }
#define LIST(option, key, value, help_text, place)                                                 \
    {                                                                                              \
        .name = option, .aliases = key, .argument = value, .help = help_text, .type = OPTION_LIST, \
        .list = &c->place                                                                          \
    }

enum { TUNE_SPECS = 80 };

/* long: the table of options. Aliases are Axolotl's names of the same things. */
static size_t tune_specs(struct tune_command *c, struct option_spec specs[TUNE_SPECS]) {
    const struct option_spec own[] = {
        TEXT("model", "base-model", "MODEL", "what to tune, instead of the first argument", model),
        TEXT("recipe", NULL, "FILE", "YAML file with these options; the command line counts more",
             recipe),
        TEXT("output-dir", "output", "FOLDER", "of the run (default: MODEL-DATA here)", folder),
        FLAG("resume", NULL, "go on with an unfinished run of this folder", resume),
        FLAG("dry-run", NULL, "say what would be done, train nothing", dry_run),
        {.type = OPTION_HEADING, .help = "Data"},
        LIST("data", "datasets.path dataset", "FILE",
             "JSONL, JSON, CSV or text; may be repeated; 'hearth data' shows how it is understood",
             data),
        LIST("eval-data", "test-datasets.path", "FILE", "held-out data (default: a part of --data)",
             eval_data),
        TEXT("format", "datasets.type", "NAME",
             "alpaca, sharegpt, messages, pairs, preference, text (default: "
             "detected)",
             format),
        LIST("column", NULL, "FIELD=NAME", "the column NAME is FIELD; may be repeated", columns),
        TEXT("separator", NULL, "TEXT", "between the documents of text files", separator),
        TEXT("chat-template", NULL, "FILE", "Jinja template, instead of the model's",
             template_file),
        FLAG("skip-broken", NULL, "count broken records and go on", skip_broken),
        INT("max-samples", NULL, "only the first N records", max_samples, 0, 1e15),
        FLOAT("eval-split", "val-set-size",
              "fraction, or number, of records held out (default: a "
              "twentieth of 50 or more)",
              eval_fraction, -1, 1e9),
        CHOICE("train-turns", NULL, "all|last", "which of the assistant's turns (default: all)",
               turns),
        FLAG("train-prompts", "train-on-inputs", "train every token, not only answers",
             train_prompts),
        INT("sequence-length", "sequence-len",
            "tokens of the longest sequence (default: by the "
            "data, at most 2048)",
            sequence_length, 0, 1 << 24),
        CHOICE("too-long", "excess-length-strategy", "truncate|drop",
               "what becomes of longer records (default: truncate)", too_long),
        {.type = OPTION_HEADING, .help = "What is trained"},
        CHOICE("method", "adapter", "lora|full",
               "adapters, or every weight (default: lora; on a "
               "quantised model that is QLoRA)",
               method),
        INT("rank", "lora-r -r", "of the adapters (default: 16)", rank, 1, 4096),
        FLOAT("alpha", "lora-alpha", "scale of the adapters times rank (default: 32)", alpha, 1e-6,
              1e6),
        LIST("module", "lora-target-modules modules", "NAME",
             "weights with adapters, such as attn_q; may be repeated (default: all linear layers)",
             modules),
        FLOAT("lora-dropout", "dropout", "part of what adapters read that is dropped (default: 0)",
              dropout, 0, 0.99),
        FLOAT("neftune-noise-alpha", "noisy-embedding-alpha neftune",
              "noise on the embeddings, such as 5 (default: 0)", neftune_alpha, 0, 1e3),
        FLAG("rslora", "peft-use-rslora", "scale by the root of the rank", rank_stabilised),
        FLAG("train-embeddings", NULL, "with adapters: the embeddings, too", train_embeddings),
        FLAG("train-output", NULL, "with adapters: the output matrix, too", train_output),
        {.type = OPTION_HEADING, .help = "Preference pairs (DPO)"},
        FLOAT("beta", "dpo-beta rl-beta",
              "how closely the model stays with what it was (default: 0.1)", dpo_beta, 1e-6, 1e3),
        FLOAT("dpo-label-smoothing", "label-smoothing",
              "share of pairs taken to be the wrong way round (default: 0)", dpo_label_smoothing, 0,
              0.4999),
        FLAG("dpo-norm-loss", "dpo-length-normalised",
             "divide log-probabilities by the length of the answer", dpo_length_normalised),
        FLOAT("rpo-alpha", "dpo-sft-weight",
              "weight of the chosen answers' own likelihood (default: 0)", dpo_sft_weight, 0, 1e3),
        {.type = OPTION_HEADING, .help = "A teacher (distillation)"},
        TEXT("teacher", "teacher-model-name-or-path", "MODEL",
             "larger model with the same vocabulary, whose probabilities are trained towards",
             teacher),
        INT("kd-top-k", "teacher-top-k", "its likeliest tokens that count (default: 64)", top_k, 1,
            4096),
        FLOAT("kd-temperature", "teacher-temperature", "evens them out (default: 1)", temperature,
              1e-3, 1e3),
        FLOAT("kd-alpha", "teacher-share", "its share of the loss (default: 0.5)", teacher_share, 0,
              1),
        {.type = OPTION_HEADING, .help = "How long and how fast"},
        FLOAT("epochs", "num-epochs", "times through the data (default: 3)", epochs, 0, 1e6),
        INT("max-steps", "steps", "instead of epochs", max_steps, 0, 1e12),
        FLOAT("learning-rate", "lr",
              "(default: 2e-4 for adapters, 5e-5 for every weight; 2e-5 and 1e-6 on preference "
              "pairs)",
              rate, 0, 10),
        CHOICE("schedule", "lr-scheduler", "cosine|linear|constant", "(default: cosine)", schedule),
        FLOAT("min-lr-ratio", "cosine-min-lr-ratio",
              "what is left of the rate at the end "
              "(default: 0.1)",
              least_rate, 0, 1),
        FLOAT("warmup-ratio", NULL, "part of the steps in which the rate grows (default: 0.03)",
              warmup, 0, 1),
        INT("warmup-steps", NULL, "the same in steps", warmup_steps, 0, 1e12),
        INT("batch-tokens", NULL, "tokens of a forward pass (default: by data and memory)",
            batch_rows, 0, 1 << 20),
        INT("step-tokens", NULL,
            "tokens of an optimiser step, about (default: 2048 for adapters, "
            "4096)",
            step_rows, 0, 1 << 28),
        INT("accumulation", "gradient-accumulation-steps", "forward passes of a step, instead",
            accumulation, 0, 1 << 20),
        CHOICE("packing", "sample-packing", "on|by-length|off",
               "sequences side by side in a pass (default: on)", packing),
        {.type = OPTION_HEADING, .help = "Optimiser"},
        CHOICE("optimizer", NULL, "auto|adamw|adamw-8bit",
               "8-bit moments save memory (default: auto, as memory demands)", optimizer),
        FLOAT("weight-decay", NULL, "(default: 0)", weight_decay, 0, 10),
        FLOAT("max-grad-norm", NULL, "longer gradients are shortened (default: 1; 0: never)",
              max_norm, 0, 1e9),
        FLOAT("adam-beta1", NULL, "(default: 0.9)", beta1, 0, 0.99999999),
        FLOAT("adam-beta2", NULL, "(default: 0.999)", beta2, 0, 0.99999999),
        FLOAT("adam-epsilon", NULL, "(default: 1e-8)", epsilon, 0, 1),
        {.type = OPTION_HEADING, .help = "Evaluation and checkpoints"},
        INT("eval-steps", "eval-every", "steps between evaluations (default: a tenth of the run)",
            evaluate_every, 0, 1e12),
        INT("save-steps", "save-every", "steps between checkpoints (default: a tenth of the run)",
            save_every, 0, 1e12),
        INT("save-total-limit", "keep", "checkpoints kept, besides the best (default: 2)", keep, 1,
            1e6),
        INT("early-stopping-patience", "patience",
            "evaluations without gain that end the run (default: 0, never)", patience, 0, 1e6),
        {.type = OPTION_HEADING, .help = "Machine"},
        CHOICE("gradient-checkpointing", NULL, "auto|on|off",
               "compute layers twice to save memory (default: auto)", checkpointing),
        FLAG("exact", NULL, "float32 products, even where bfloat16 is faster", exact),
        {.name = "memory",
         .argument = "SIZE",
         .help = "use at most SIZE (default: what is free)",
         .type = OPTION_BYTES,
         .bytes = &c->memory},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "(default: one per core)",
         .environment = "HEARTH_THREADS",
         .type = OPTION_INT,
         .most = 512,
         .integer = &c->n_threads},
        INT("seed", NULL, "of order, split and first values (default: 1)", seed, 0, 9e15),
        {.name = "json",
         .help = "print nothing but the run's result as JSON",
         .type = OPTION_FLAG,
         .flag = &c->json},
    };
    _Static_assert(sizeof own / sizeof own[0] <= TUNE_SPECS, "room for all");
    memcpy(specs, own, sizeof own);
    return sizeof own / sizeof own[0];
}

static struct tune_command defaults(void) {
    struct tuning_options o = tuning_defaults();
    return (struct tune_command){.rank = o.lora.rank,
                                 .alpha = (double)o.lora.alpha,
                                 .epochs = o.epochs,
                                 .least_rate = o.least_rate,
                                 .warmup = o.warmup,
                                 .max_norm = (double)o.optimizer.max_norm,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .epsilon = 1e-8,
                                 .eval_fraction = -1,
                                 .dpo_beta = 0.1,
                                 .top_k = o.distil.top_k,
                                 .temperature = (double)o.distil.temperature,
                                 .teacher_share = (double)o.distil.share,
                                 .keep = (int64_t)o.keep,
                                 .seed = (int64_t)o.seed};
}

/* "hearth tune resume FOLDER": the folder's recipe, and --resume. */
static hearth_status take_resumed(struct tune_command *c, const struct option_table *table,
                                  const char *folder, struct arena *strings, hearth_error *err) {
    char *path = path_join(folder, "recipe.yaml");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = settings_file_read(path, table, strings, err);
    if (status != HEARTH_OK) error_prefix(err, status, "'%s' is not the folder of a run", folder);
    c->resume = true;
    c->folder = folder;
    mem_free(path);
    return status;
}

static hearth_status check_command(const struct tune_command *c, hearth_error *err) {
    if (!c->model)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a model is needed: hearth tune MODEL --data FILE");
    if (c->data.count == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "data is needed: hearth tune %s --data FILE",
                         c->model);
    return HEARTH_OK;
}

static int usage_failure(const hearth_error *err) {
    fprintf(stderr, "hearth tune: %s\n", err->message);
    return EXIT_USAGE;
}

int cmd_tune(int argc, char **argv) {
    struct tune_command c = defaults();
    struct option_spec specs[TUNE_SPECS];
    struct arena strings;
    struct option_arguments arguments;
    hearth_error err = {0};
    hearth_status status = HEARTH_OK;
    int code;
    const struct option_table table = {
        .command = "hearth tune",
        .arguments = "MODEL",
        .summary = "Fine-tunes a model on your data: 'hearth tune MODEL --data FILE' is enough.\n"
                   "Ctrl-C stops with a checkpoint; 'hearth tune resume FOLDER' goes on.",
        .examples = "hearth tune llama3.2:1b --data questions.jsonl\n"
                    "hearth tune model.gguf --data a.csv --data b.jsonl --rank 32 --epochs 2\n"
                    "hearth tune --recipe recipe.yaml --dry-run\n"
                    "hearth tune resume model-questions",
        .specs = specs,
        .n_specs = tune_specs(&c, specs),
        .max_arguments = 2};
    arena_init(&strings, 1 << 22);
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    bool resumes = arguments.count == 2 && strcmp(arguments.items[0], "resume") == 0;
    if (resumes)
        status = take_resumed(&c, &table, arguments.items[1], &strings, &err);
    else if (c.recipe)
        status = settings_file_read(c.recipe, &table, &strings, &err);
    if (status == HEARTH_OK && c.recipe && !resumes) /* the command line counts more */
        options_begin(&table, argc, argv, &arguments, &code);
    if (!resumes && arguments.count > 0) c.model = arguments.items[0];
    if (status == HEARTH_OK) status = check_command(&c, &err);
    code = status != HEARTH_OK ? usage_failure(&err) : EXIT_OK;
    if (status == HEARTH_OK && tune(&c, &table, &err) != HEARTH_OK) code = command_fail(&err);
    arena_release(&strings);
    return code;
}
