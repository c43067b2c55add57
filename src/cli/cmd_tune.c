/* hearth tune: fine-tunes a model on one's own data.
 *
 * A run is a folder: recipe.yaml (every setting, so that the run can be resumed or repeated),
 * checkpoints/, log.jsonl, run.json and, in the end, what was trained. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/settings_file.h"
#include "cli/tune_folder.h"
#include "infer/prompt.h"

struct tune_job {
    const struct tune_command *command;
    const struct option_table *table;
    const char *folder;
    char *checkpoints;
    struct engine engine;
    struct chat_template *template;
    struct tuning *tuning;
    struct tune_log log;
    enum train_end end;
    bool resumed, ran; /* ran: it had steps left */
};

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
        printf("%s at loss %.4f", tune_end_name(job->end), job->log.loss);
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

/* ---- running ---------------------------------------------------------------------- */

static bool stop_wanted(void *context) {
    (void)context;
    return interrupt_requested();
}

static void report(void *context, const struct train_event *event) {
    tune_log_report(&((struct tune_job *)context)->log, event);
}

static struct tune_run describe(const struct tune_job *job) {
    return (struct tune_run){.command = job->command,
                             .folder = job->folder,
                             .family = job->engine.model.config.family,
                             .tuning = job->tuning,
                             .log = &job->log,
                             .end = job->end};
}

static hearth_status train(struct tune_job *job, hearth_error *err) {
    struct tuning_run_options run = {
        .may_resume = job->command->resume, .stop = stop_wanted, .report = report, .context = job};
    struct interrupt_guard guard;
    RETURN_IF_ERROR(file_make_folders(job->folder, err));
    RETURN_IF_ERROR(tune_folder_write_recipe(job->folder, job->table, err));
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
    struct tune_run files = describe(job);
    if (status == HEARTH_OK) status = tune_folder_write_result(&files, err);
    hearth_error ignored;
    const char *state = status == HEARTH_OK ? tune_end_name(job->end) : "failed";
    hearth_status written =
        tune_folder_write_run(&files, state, status == HEARTH_OK ? err : &ignored);
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

static hearth_status open_run(struct tune_job *job, hearth_error *err) {
    const struct tune_command *c = job->command;
    struct engine_settings settings = {.model = c->model};
    struct tuning_options o;
    RETURN_IF_ERROR(tune_command_take(c, &o, err));
    job->checkpoints = path_join(job->folder, "checkpoints");
    if (!job->checkpoints) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    o.folder = job->checkpoints;
    RETURN_IF_ERROR(engine_open_model(&job->engine, &settings, err));
    RETURN_IF_ERROR(engine_need_tokenizer(&job->engine, err));
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
    char *chosen = c->folder ? NULL : tune_folder_default(c);
    job.folder = c->folder ? c->folder : chosen;
    hearth_status status =
        job.folder ? run_job(&job, err) : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    tuning_close(job.tuning);
    chat_template_close(job.template);
    engine_close(&job.engine);
    mem_free(job.checkpoints);
    mem_free(chosen);
    return status;
}

/* ---- the command -------------------------------------------------------------------- */

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
    struct tune_command c = tune_command_defaults();
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
