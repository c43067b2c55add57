/* hearth tune export: what a run trained, as a file for Hearth or for others. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/run_history.h"
#include "cli/settings_file.h"
#include "cli/tune_commands.h"
#include "cli/tune_facts.h"
#include "cli/tune_result.h"
#include "model/quant_recipe.h"

enum { FORMAT_GGUF, FORMAT_PEFT, FORMAT_MERGED };

struct export_command {
    const char *run, *output, *type, *checkpoint;
    int format;
    int64_t n_threads;
    bool json;
    uint64_t which;
};

struct export_job {
    const struct export_command *command;
    struct tune_command recipe;
    struct arena strings;
    json_t *facts;
    struct engine engine;
    char *template_text;
    struct tune_result result;
};

/* Of the recipe; or the fallback, if the run used it; or none but the model's own. */
static hearth_status find_template(struct export_job *job, const char **out, hearth_error *err) {
    size_t size;
    *out = NULL;
    if (json_is_true(json_object_get(job->facts, "fallback_template")))
        *out = example_fallback_template;
    if (!job->recipe.template_file) return HEARTH_OK;
    RETURN_IF_ERROR(file_read(job->recipe.template_file, TEMPLATE_SOURCE_MAX_BYTES,
                              &job->template_text, &size, err));
    *out = job->template_text;
    return HEARTH_OK;
}

static hearth_status read_recipe(struct export_job *job, const char *folder, hearth_error *err) {
    struct option_spec specs[TUNE_SPECS];
    struct option_table table = {.command = "hearth tune", .specs = specs};
    char *path = path_join(folder, "recipe.yaml");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    job->recipe = tune_command_defaults();
    table.n_specs = tune_specs(&job->recipe, specs);
    hearth_status status = settings_file_read(path, &table, &job->strings, err);
    mem_free(path);
    if (status == HEARTH_OK && !job->recipe.model)
        status = error_set(err, HEARTH_ERROR_FORMAT, "the recipe in '%s' names no model", folder);
    job->recipe.n_threads = job->command->n_threads;
    return status;
}

static hearth_status write_output(struct export_job *job, hearth_error *err) {
    const struct export_command *c = job->command;
    if (c->format == FORMAT_PEFT) return tune_result_write_peft(&job->result, c->output, err);
    if (c->format == FORMAT_GGUF && !c->type && tune_result_is_adapter(&job->result))
        return tune_result_write_adapter(&job->result, c->output, err);
    return tune_result_write_model(&job->result, c->type, c->output, err);
}

static hearth_status export_run(struct export_job *job, hearth_error *err) {
    const struct export_command *c = job->command;
    RETURN_IF_ERROR(tune_facts_read(c->run, &job->facts, err));
    RETURN_IF_ERROR(run_history_need_folder(c->run, job->facts, err));
    const char *folder = tune_fact_text(job->facts, "folder");
    RETURN_IF_ERROR(read_recipe(job, folder, err));
    struct engine_settings settings = {.model = job->recipe.model};
    RETURN_IF_ERROR(engine_open_model(&job->engine, &settings, err));
    job->result = (struct tune_result){
        .command = &job->recipe, .folder = folder, .model = &job->engine.model};
    RETURN_IF_ERROR(find_template(job, &job->result.chat_template, err));
    RETURN_IF_ERROR(tune_result_open(&job->result, c->which, err));
    return write_output(job, err);
}

static void report(const struct export_job *job) {
    const struct export_command *c = job->command;
    uint64_t step = job->result.tuned.state.step;
    if (!c->json) {
        printf("%s has the weights of step %" PRIu64 "\n", c->output, step);
        return;
    }
    json_t *all = json_pack("{s:s, s:s, s:I}", "output", c->output, "run", job->result.folder,
                            "step", (json_int_t)step);
    if (all) tune_facts_dump(all);
    json_decref(all);
}

static hearth_status check_command(struct export_command *c, hearth_error *err) {
    const struct quant_recipe *type;
    char *end;
    if (!c->output)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "where to? -o OUT names the file or folder");
    if (c->type && c->format == FORMAT_PEFT)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "--type is for models, not for PEFT folders");
    if (c->type) RETURN_IF_ERROR(quant_recipe_find(&type, c->type, err));
    c->which = !c->checkpoint || strcmp(c->checkpoint, "best") == 0 ? TUNED_BEST : TUNED_LAST;
    if (c->which == TUNED_BEST || strcmp(c->checkpoint, "last") == 0) return HEARTH_OK;
    c->which = strtoull(c->checkpoint, &end, 10);
    if (*end || c->which == TUNED_LAST || c->which == TUNED_BEST || *c->checkpoint == '-')
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "--checkpoint '%s' is not best, last or the number of a step",
                         c->checkpoint);
    return HEARTH_OK;
}

static int run_export(struct export_command *c) {
    struct export_job job = {.command = c};
    hearth_error err = {0};
    if (check_command(c, &err) != HEARTH_OK) {
        fprintf(stderr, "hearth tune export: %s\n", err.message);
        return EXIT_USAGE;
    }
    arena_init(&job.strings, 1 << 22);
    hearth_status status = export_run(&job, &err);
    if (status == HEARTH_OK) report(&job);
    tune_result_close(&job.result);
    engine_close(&job.engine);
    mem_free(job.template_text);
    json_decref(job.facts);
    arena_release(&job.strings);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}

int tune_export(int argc, char **argv) {
    struct export_command c = {0};
    const struct option_spec specs[] = {
        {.name = "output",
         .letter = 'o',
         .argument = "OUT",
         .help = "file to write; a folder with --format peft",
         .type = OPTION_STRING,
         .string = &c.output},
        {.name = "format",
         .argument = "HOW",
         .help = "gguf: an adapter, or the model when all of it was trained; peft: a folder that "
                 "PEFT reads; merged: a model with the adapter in its weights (default: gguf)",
         .type = OPTION_CHOICE,
         .choices = "gguf|peft|merged",
         .choice = &c.format},
        {.name = "type",
         .argument = "TYPE",
         .help = "of a model's weights, such as Q4_K_M; an adapter is merged for it (default: as "
                 "the model's, Q8_0 for a quantised one)",
         .type = OPTION_STRING,
         .string = &c.type},
        {.name = "checkpoint",
         .argument = "WHICH",
         .help = "best evaluation, last, or the number of a step (default: best)",
         .type = OPTION_STRING,
         .string = &c.checkpoint},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: one per core)",
         .environment = "HEARTH_THREADS",
         .type = OPTION_INT,
         .most = 512,
         .integer = &c.n_threads},
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &c.json},
    };
    const struct option_table table = {
        .command = "hearth tune export",
        .arguments = "RUN",
        .summary = "Writes what a run trained. Needs the model and a checkpoint, not the data.",
        .examples = "hearth tune export model-questions -o tuned.gguf --format merged --type "
                    "Q4_K_M\n"
                    "hearth tune export model-questions -o adapter --format peft",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0],
        .min_arguments = 1,
        .max_arguments = 1};
    struct option_arguments arguments;
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    c.run = arguments.items[0];
    return run_export(&c);
}
