#include "cli/tune_train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/interrupt.h"
#include "cli/run_history.h"
#include "cli/tune_folder.h"
#include "cli/tune_result.h"
#include "cli/tune_samples.h"
#include "train/ranks_start.h"
#include "train/run_folder.h"

struct tune_job {
    const struct tune_command *command;
    const struct option_table *table;
    const char *folder;
    char *checkpoints;
    struct file_lock lock;
    struct engine engine, teacher; /* teacher: zero without */
    struct chat_template *template;
    char *template_text;        /* of --chat-template */
    const char *needs_template; /* the model has none, or another one: what it was tuned with */
    struct tuning *tuning;
    struct tune_log log;
    struct ranks *ranks;   /* NULL: this process alone trains */
    struct store *history; /* NULL: it cannot be used */
    enum train_end end;
    char started[RUN_STARTED_BYTES], ended[RUN_STARTED_BYTES];
    uint64_t result_step, sampled_step;
    bool is_adapter, resumed, ran; /* ran: it had steps left */
    json_t *samples;
};

/* The rank that prints and writes. */
static bool is_first(const struct tune_job *job) {
    return ranks_rank(job->ranks) == 0;
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

static void print_ranks(const struct tune_job *job) {
    const struct tuning_plan *p = tuning_plan(job->tuning);
    static const char *const divided[] = {"", "moments", "moments and gradients",
                                          "moments, gradients and weights"};
    uint64_t count = (uint64_t)ranks_count(job->ranks), batches = p->accumulation;
    if (count == 1) return;
    char kept[32];
    printf("ranks     %" PRIu64 "%s%s; each keeps %s of what is trained", count,
           p->zero_stage ? ", each with a part of the " : "", divided[p->zero_stage],
           units_format_bytes(p->state_bytes, kept, sizeof kept));
    if (batches % count)
        printf("; a step has %" PRIu64 " batches: --accumulation %" PRIu64 " keeps all ranks busy",
               batches, (batches / count + 1) * count);
    puts("");
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
           job->command->method == METHOD_FULL ? "full"
           : job->command->decomposed          ? "DoRA"
                                               : "LoRA",
           p->n_steps, p->accumulation, p->batch_rows, p->rate);
    printf("memory    %s beside the model, %s available%s%s\n",
           units_format_bytes(p->graph_bytes + p->optimizer_bytes, need, sizeof need),
           units_format_bytes(p->available_bytes, have, sizeof have), *p->note ? "; " : "",
           p->note);
    print_ranks(job);
    if (job->folder) printf("folder    %s\n", job->folder);
    fflush(stdout);
}

static const char *end_name(enum train_end end) {
    return end == TRAIN_FINISHED ? "finished" : end == TRAIN_STALE ? "early stop" : "stopped";
}

static void print_result(const struct tune_job *job) {
    const char *folder = job->folder;
    if (!job->is_adapter || job->command->outtype)
        printf("try it:      hearth run %s/model.gguf\n", folder);
    else
        printf("try it:      hearth run %s --lora %s/adapter%s%s%s%s\n", job->command->model,
               folder, job->command->decomposed ? "" : ".gguf",
               job->needs_template ? " --template " : "", job->needs_template ? folder : "",
               job->needs_template ? "/chat_template.jinja" : "");
    printf("export it:   hearth tune export %s -o tuned.gguf --format merged --type Q8_0\n",
           folder);
}

static void print_end(const struct tune_job *job) {
    const struct run_state *state = tuning_state(job->tuning);
    tune_samples_print(job->samples, stdout);
    if (!job->ran) puts("this run has finished already");
    printf("%s after step %" PRIu64, end_name(job->end), state->step);
    if (isfinite(job->log.loss)) printf(", loss %.4f", job->log.loss);
    if (isfinite(job->log.eval_loss)) printf(", evaluation %.4f", job->log.eval_loss);
    puts("");
    if (job->end == TRAIN_STOPPED) {
        printf("go on with:  hearth tune resume %s\n", job->folder);
        return;
    }
    if (job->result_step == state->best_step)
        printf("written:     the weights of step %" PRIu64 ", the best evaluation (%.4f)\n",
               job->result_step, state->best_loss);
    print_result(job);
}

static hearth_status print_json(const struct tune_job *job, hearth_error *err) {
    json_t *run;
    RETURN_IF_ERROR(run_folder_read(job->folder, &run, err));
    json_dumpf(run, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8));
    putchar('\n');
    json_decref(run);
    return HEARTH_OK;
}

/* ---- results ---------------------------------------------------------------------- */

static bool stop_wanted(void *context) {
    (void)context;
    return interrupt_requested();
}

/* The history is an extra: where it fails, the run goes on. */
static void say_history(struct tune_job *job, const char *problem) {
    fprintf(stderr, "hearth: 'hearth tune list' does not know all of this run: %s\n", problem);
    store_close(job->history);
    job->history = NULL;
}

static hearth_status write_run(struct tune_job *job, const char *state, const char *problem,
                               hearth_error *err) {
    hearth_error unknown = {0};
    const struct tune_run run = {.command = job->command,
                                 .folder = job->folder,
                                 .family = job->engine.model.config.family,
                                 .state = state,
                                 .problem = problem,
                                 .started = job->started,
                                 .ended = *job->ended ? job->ended : NULL,
                                 .tuning = job->tuning,
                                 .log = &job->log,
                                 .result_step = job->result_step,
                                 .samples = job->samples};
    RETURN_IF_ERROR(tune_folder_write_run(&run, err));
    if (job->history && run_history_note(job->history, job->folder, &unknown) != HEARTH_OK)
        say_history(job, unknown.message);
    return job->result_step ? tune_folder_write_card(&run, err) : HEARTH_OK;
}

static hearth_status write_model(const struct tune_job *job, const struct tune_result *result,
                                 hearth_error *err) {
    char *path = path_join(job->folder, "model.gguf");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = tune_result_write_model(result, job->command->outtype, path, err);
    mem_free(path);
    return status;
}

/* Some families store fused what an adapter of theirs changes apart: then there is no PEFT
 * folder, and as long as there is a GGUF file nothing is lost by it. */
static void write_peft(const struct tune_job *job, const struct tune_result *result,
                       const char *folder) {
    hearth_error problem = {0};
    if (tune_result_write_peft(result, folder, &problem) == HEARTH_OK) return;
    fprintf(stderr, "hearth: no PEFT folder was written: %s\n", problem.message);
    if (job->command->decomposed)
        fprintf(stderr,
                "hearth: 'hearth tune export %s -o tuned.gguf --format merged' makes a "
                "model of it\n",
                job->folder);
}

static hearth_status write_adapter(const struct tune_job *job, const struct tune_result *result,
                                   hearth_error *err) {
    char *gguf = path_join(job->folder, "adapter.gguf"), *peft = path_join(job->folder, "adapter");
    char *jinja = path_join(job->folder, "chat_template.jinja");
    const char *template = job->needs_template;
    hearth_status status = gguf && peft && jinja
                               ? HEARTH_OK
                               : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (status == HEARTH_OK && !job->command->decomposed)
        status = tune_result_write_adapter(result, gguf, err);
    if (status == HEARTH_OK && template)
        status = file_write(jinja, template, strlen(template), err);
    if (status == HEARTH_OK) write_peft(job, result, peft);
    mem_free(jinja);
    mem_free(peft);
    mem_free(gguf);
    return status;
}

/* Answers are an extra: where they fail, the run has not. `before`: NULL, or the model as it
 * was. */
static void make_samples(const struct tune_job *job, const struct tuned *after,
                         const struct model *before, json_t **samples) {
    hearth_error problem = {0};
    struct tune_sampling sampling = {.tuning = job->tuning,
                                     .before = before,
                                     .after = after,
                                     .tokenizer = job->engine.tokenizer,
                                     .template = job->template,
                                     .n_samples = (unsigned)job->command->n_samples,
                                     .n_threads = (unsigned)job->command->n_threads,
                                     .stop = stop_wanted};
    if (sampling.n_samples == 0) return;
    hearth_status status = tune_samples_make(&sampling, samples, &problem);
    if (status == HEARTH_OK)
        status = tune_log_put_samples(job->folder, after->state.step, *samples, &problem);
    if (status != HEARTH_OK) fprintf(stderr, "hearth: no samples: %s\n", problem.message);
}

static void make_last_samples(struct tune_job *job, const struct tuned *after) {
    struct interrupt_guard guard;
    interrupt_begin_work(&guard);
    make_samples(job, after, &job->engine.model, &job->samples);
    interrupt_end(&guard);
}

/* From the checkpoint of the best evaluation, or the last one. */
static hearth_status write_result(struct tune_job *job, hearth_error *err) {
    struct tune_result result = {.command = job->command,
                                 .folder = job->folder,
                                 .model = &job->engine.model,
                                 .chat_template = job->needs_template};
    hearth_status status = tune_result_open(&result, TUNED_BEST, err);
    job->is_adapter = status == HEARTH_OK && tune_result_is_adapter(&result);
    if (status == HEARTH_OK && job->is_adapter) status = write_adapter(job, &result, err);
    if (status == HEARTH_OK && (!job->is_adapter || job->command->outtype))
        status = write_model(job, &result, err);
    if (status == HEARTH_OK) job->result_step = result.tuned.state.step;
    if (status == HEARTH_OK) make_last_samples(job, &result.tuned);
    tune_result_close(&result);
    return status;
}

/* ---- running ---------------------------------------------------------------------- */

/* What the model answers by now, from the checkpoint that was just saved. */
static void make_live_samples(struct tune_job *job, uint64_t step) {
    struct tune_result result = {
        .command = job->command, .folder = job->folder, .model = &job->engine.model};
    json_t *samples = NULL;
    bool last = step == tuning_plan(job->tuning)->n_steps; /* those come with the result */
    if (!job->command->live_samples || last || job->sampled_step == step || stop_wanted(NULL))
        return;
    job->sampled_step = step;
    if (tune_result_open(&result, step, NULL) == HEARTH_OK)
        make_samples(job, &result.tuned, NULL, &samples);
    json_decref(samples);
    tune_result_close(&result);
}

/* What is known of a run keeps up with its checkpoints, so that it is right about one that was
 * killed. */
static void report(void *context, const struct train_event *event) {
    struct tune_job *job = context;
    tune_log_report(&job->log, event);
    if (event->kind != TRAIN_SAVED) return;
    write_run(job, "running", NULL, NULL);
    make_live_samples(job, event->step);
}

static void put_time(char out[RUN_STARTED_BYTES]) {
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(out, RUN_STARTED_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* Now, or when a run that goes on was begun. */
static void find_start(struct tune_job *job) {
    json_t *run = NULL;
    const char *before = NULL;
    if (job->resumed && run_folder_read(job->folder, &run, NULL) == HEARTH_OK)
        before = json_string_value(json_object_get(run, "started"));
    if (before)
        snprintf(job->started, sizeof job->started, "%s", before);
    else
        put_time(job->started);
    json_decref(run);
}

static void open_history(struct tune_job *job) {
    hearth_error problem = {0};
    if (run_history_open(&job->history, &problem) == HEARTH_OK) return;
    say_history(job, problem.message);
    run_history_postpone(job->folder, job->started, NULL);
}

/* The folder begins to be a run, or goes on being one. */
static hearth_status begin(struct tune_job *job, hearth_error *err) {
    bool quiet = job->command->json;
    const struct run_state *state = tuning_state(job->tuning);
    uint64_t n_steps = tuning_plan(job->tuning)->n_steps;
    if (!is_first(job)) return HEARTH_OK;
    find_start(job);
    RETURN_IF_ERROR(tune_folder_write_recipe(job->folder, job->table, err));
    RETURN_IF_ERROR(tune_log_open(&job->log, job->folder, state, n_steps, quiet, err));
    open_history(job);
    RETURN_IF_ERROR(write_run(job, "running", NULL, err));
    if (job->resumed && !quiet) printf("going on after step %" PRIu64 "\n", state->step);
    fflush(stdout);
    return HEARTH_OK;
}

/* What is lost by a failure, and what is not. */
static void say_what_is_kept(const struct tune_job *job) {
    char *last = NULL;
    if (checkpoint_latest(job->checkpoints, &last, NULL) == HEARTH_OK && last)
        fprintf(stderr,
                "hearth: what was saved is sound: 'hearth tune resume %s' goes on from %s\n",
                job->folder, path_base(last));
    mem_free(last);
}

static hearth_status finish(struct tune_job *job, hearth_status status, hearth_error *err) {
    char problem[HEARTH_ERROR_MESSAGE_BYTES];
    if (!is_first(job)) return status;
    tune_log_close(&job->log);
    if (status == HEARTH_OK && job->end != TRAIN_STOPPED) status = write_result(job, err);
    put_time(job->ended);
    if (status == HEARTH_OK) return write_run(job, end_name(job->end), NULL, err);
    snprintf(problem, sizeof problem, "%s", err ? err->message : "");
    write_run(job, "failed", problem, NULL);
    say_what_is_kept(job);
    return status;
}

static hearth_status train(struct tune_job *job, hearth_error *err) {
    struct tuning_run_options run = {.may_resume = job->command->resume,
                                     .stop = stop_wanted,
                                     .report = is_first(job) ? report : NULL,
                                     .context = job};
    struct interrupt_guard guard;
    RETURN_IF_ERROR(tuning_resume(job->tuning, &run, &job->resumed, err));
    RETURN_IF_ERROR(ranks_agree(job->ranks, begin(job, err), err));
    hearth_status status = HEARTH_OK;
    job->ran = tuning_state(job->tuning)->step < tuning_plan(job->tuning)->n_steps;
    if (job->ran) {
        interrupt_begin_work(&guard);
        status = tuning_run(job->tuning, &run, &job->end, err);
        interrupt_end(&guard);
    }
    return finish(job, status, err);
}

static hearth_status open_template(struct tune_job *job, hearth_error *err) {
    struct text source;
    size_t size = 0;
    const char *file = job->command->template_file;
    if (file) {
        RETURN_IF_ERROR(
            file_read(file, TEMPLATE_SOURCE_MAX_BYTES, &job->template_text, &size, err));
        source = (struct text){job->template_text, size};
        job->needs_template = job->template_text;
    } else if (!model_chat_template(&job->engine.model, &source)) {
        return HEARTH_OK;
    }
    hearth_status status = chat_template_open(&job->template, source.data, source.length, err);
    return status == HEARTH_OK ? status
                               : error_prefix(err, status, "cannot use the chat template%s%s%s",
                                              file ? " '" : "", file ? file : "", file ? "'" : "");
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

static hearth_status open_models(struct tune_job *job, struct distil_options *distil,
                                 hearth_error *err) {
    struct engine_settings settings = {.model = job->command->model};
    RETURN_IF_ERROR(engine_open_model(&job->engine, &settings, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&job->engine, err));
    RETURN_IF_ERROR(open_teacher(job, distil, err));
    return open_template(job, err);
}

static hearth_status open_run(struct tune_job *job, hearth_error *err) {
    const struct tune_command *c = job->command;
    struct tuning_options o;
    RETURN_IF_ERROR(tune_command_take(c, &o, err));
    job->checkpoints = path_join(job->folder, "checkpoints");
    if (!job->checkpoints) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    o.folder = job->checkpoints;
    o.ranks = job->ranks;
    RETURN_IF_ERROR(ranks_agree(job->ranks, open_models(job, &o.distil, err), err));
    RETURN_IF_ERROR(tuning_open(&job->tuning, &job->engine.model, job->engine.tokenizer,
                                job->template, &o, err));
    if (tuning_plan(job->tuning)->template_missing) job->needs_template = example_fallback_template;
    return HEARTH_OK;
}

/* Rank 0 has the folder for all. */
static hearth_status lock_folder(struct tune_job *job, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    if (job->command->dry_run) return HEARTH_OK;
    if (is_first(job)) status = run_folder_lock(job->folder, &job->lock, err);
    return ranks_agree(job->ranks, status, err);
}

static hearth_status say_end(const struct tune_job *job, hearth_error *err) {
    if (job->command->json) return print_json(job, err);
    print_end(job);
    return HEARTH_OK;
}

static hearth_status run_job(struct tune_job *job, hearth_error *err) {
    const struct tune_command *c = job->command;
    bool existed = file_exists(job->folder);
    RETURN_IF_ERROR(ranks_join(&job->ranks, err));
    RETURN_IF_ERROR(lock_folder(job, err));
    hearth_status status = open_run(job, err);
    if (status != HEARTH_OK && !c->dry_run && !existed && is_first(job))
        run_folder_forget(job->folder);
    if (status != HEARTH_OK) return status;
    if (!c->json && is_first(job)) print_plan(job);
    if (c->dry_run) return HEARTH_OK;
    RETURN_IF_ERROR(train(job, err));
    return is_first(job) ? say_end(job, err) : HEARTH_OK;
}

/* Says what failed; what all ranks know, one of them says. */
static int fail(const struct tune_job *job, hearth_status status, hearth_error *err) {
    if (!ranks_speaks(job->ranks)) return EXIT_FAILED;
    if (!is_first(job)) error_prefix(err, status, "rank %d", ranks_rank(job->ranks));
    return command_fail(err);
}

int tune_train(const struct tune_command *c, const struct option_table *table) {
    struct tune_job job = {.command = c,
                           .table = table,
                           .lock = {-1},
                           .end = TRAIN_FINISHED,
                           .log = {.loss = NAN, .eval_loss = NAN}};
    hearth_error err = {0};
    char *chosen = c->folder ? NULL : tune_folder_default(c);
    job.folder = c->folder ? c->folder : chosen;
    hearth_status status =
        job.folder ? run_job(&job, &err) : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory");
    int code = status == HEARTH_OK ? EXIT_OK : fail(&job, status, &err);
    tuning_close(job.tuning);
    chat_template_close(job.template);
    engine_close(&job.teacher);
    engine_close(&job.engine);
    store_close(job.history);
    file_lock_close(&job.lock);
    json_decref(job.samples);
    mem_free(job.template_text);
    mem_free(job.checkpoints);
    mem_free(chosen);
    ranks_close(job.ranks, status != HEARTH_OK);
    return code;
}
