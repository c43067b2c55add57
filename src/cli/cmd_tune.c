/* hearth tune: fine-tunes a model on one's own data, and looks after the runs that did. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/run_history.h"
#include "cli/settings_file.h"
#include "cli/tune_commands.h"
#include "cli/tune_hosts.h"
#include "cli/tune_train.h"
#include "model/quant_recipe.h"
#include "train/ranks_start.h"

/* A command line being read; strings of recipes live in `strings`. */
struct reading {
    struct tune_command *command;
    const struct option_table *table;
    struct option_arguments arguments;
    struct arena strings;
    int argc;
    char **argv;
};

static void lists_of(struct tune_command *c, struct option_list *lists[5]) {
    lists[0] = &c->data;
    lists[1] = &c->eval_data;
    lists[2] = &c->columns;
    lists[3] = &c->modules;
    lists[4] = NULL;
}

/* The recipe's settings, and over them those of the command line, which has been read once to
 * know the recipe: a list that it gives replaces the recipe's. */
static hearth_status take_recipe(struct reading *r, const char *path, hearth_error *err) {
    struct tune_command given = *r->command;
    struct option_list *from[5], *to[5];
    *r->command = tune_command_defaults();
    RETURN_IF_ERROR(settings_file_read(path, r->table, &r->strings, err));
    lists_of(&given, from);
    lists_of(r->command, to);
    for (size_t i = 0; to[i]; i++)
        if (from[i]->count > 0) *to[i] = (struct option_list){0};
    return options_parse(r->table, r->argc, r->argv, &r->arguments, err);
}

static hearth_status keep(struct reading *r, char *text, const char **out, hearth_error *err) {
    *out = text ? arena_strndup(&r->strings, text, strlen(text)) : NULL;
    mem_free(text);
    return *out ? HEARTH_OK : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
}

/* "hearth tune resume RUN": the recipe of its folder. */
static hearth_status take_run(struct reading *r, const char *run, hearth_error *err) {
    char *folder, *path;
    const char *kept;
    RETURN_IF_ERROR(run_history_folder(run, &folder, err));
    RETURN_IF_ERROR(keep(r, folder, &kept, err));
    if (!(path = path_join(kept, "recipe.yaml")))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = take_recipe(r, path, err);
    if (status != HEARTH_OK) error_prefix(err, status, "the recipe of run '%s'", run);
    mem_free(path);
    r->command->resume = true;
    r->command->folder = kept;
    return status;
}

static hearth_status make_absolute(struct reading *r, const char **path, hearth_error *err) {
    if (!*path || !file_exists(*path)) return HEARTH_OK;
    return keep(r, path_absolute(*path), path, err);
}

/* So that the run can be resumed from any folder. Names of models stay names. */
static hearth_status make_paths_absolute(struct reading *r, hearth_error *err) {
    struct tune_command *c = r->command;
    RETURN_IF_ERROR(make_absolute(r, &c->model, err));
    RETURN_IF_ERROR(make_absolute(r, &c->teacher, err));
    RETURN_IF_ERROR(make_absolute(r, &c->template_file, err));
    for (size_t i = 0; i < c->data.count; i++)
        RETURN_IF_ERROR(make_absolute(r, &c->data.items[i], err));
    for (size_t i = 0; i < c->eval_data.count; i++)
        RETURN_IF_ERROR(make_absolute(r, &c->eval_data.items[i], err));
    return HEARTH_OK;
}

static hearth_status check_command(const struct tune_command *c, hearth_error *err) {
    const struct quant_recipe *type;
    if (!c->model)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a model is needed: hearth tune MODEL --data FILE");
    if (c->data.count == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "data is needed: hearth tune %s --data FILE",
                         c->model);
    return c->outtype ? quant_recipe_find(&type, c->outtype, err) : HEARTH_OK;
}

static hearth_status take_settings(struct reading *r, bool resumes, hearth_error *err) {
    struct tune_command *c = r->command;
    if (resumes)
        RETURN_IF_ERROR(take_run(r, r->arguments.items[0], err));
    else if (c->recipe)
        RETURN_IF_ERROR(take_recipe(r, c->recipe, err));
    if (!resumes && r->arguments.count > 0) c->model = r->arguments.items[0];
    RETURN_IF_ERROR(check_command(c, err));
    return make_paths_absolute(r, err);
}

static const struct option_table tune_table = {
    .command = "hearth tune",
    .arguments = "MODEL",
    .summary = "Fine-tunes a model on your data: 'hearth tune MODEL --data FILE' is enough.\n"
               "Ctrl-C stops with a checkpoint; 'hearth tune resume RUN' goes on. Runs are looked\n"
               "after by 'hearth tune list', 'show', 'compare' and 'export'.",
    .examples = "hearth tune llama3.2:1b --data questions.jsonl\n"
                "hearth tune model.gguf --data a.csv --data b.jsonl --rank 32 --epochs 2\n"
                "hearth tune --recipe recipe.yaml --dry-run\n"
                "hearth tune resume model-questions\n"
                "hearth tune export model-questions -o tuned.gguf --format merged --type Q4_K_M",
    .max_arguments = 1};

static const struct option_table resume_table = {
    .command = "hearth tune resume",
    .arguments = "RUN",
    .summary = "Goes on with a run from its last checkpoint, as if it had never stopped. RUN is\n"
               "its folder, or its name as 'hearth tune list' has it.",
    .examples = "hearth tune resume model-questions",
    .min_arguments = 1,
    .max_arguments = 1};

static int usage_failure(const struct option_table *table, const hearth_error *err) {
    fprintf(stderr, "%s: %s\n", table->command, err->message);
    return EXIT_USAGE;
}

/* Starts this command on other hosts, where it finds itself started by mpirun. `argv` begins
 * with "tune". */
static int tune_elsewhere(const struct reading *r, int argc, char **argv) {
    static struct tune_hosts hosts;
    hearth_error err;
    int code = EXIT_OK;
    if (tune_hosts_parse(&hosts, r->command->hosts, &err) != HEARTH_OK)
        return usage_failure(r->table, &err);
    if (tune_hosts_check(&hosts, TUNE_HOSTS_START_SECONDS, &err) != HEARTH_OK ||
        tune_hosts_run(&hosts, argc, argv, &code, &err) != HEARTH_OK)
        return command_fail(&err);
    if (code == EXIT_OK) return EXIT_OK;
    if (tune_hosts_check(&hosts, TUNE_HOSTS_LOST_SECONDS, &err) != HEARTH_OK) command_fail(&err);
    fputs("hearth: the run has ended early, a process or host was lost or has failed; its "
          "checkpoints are complete: go on with --resume, on any number of hosts\n",
          stderr);
    return EXIT_FAILED;
}

/* `argv` begins with "tune", and where the run `resumes` goes on with that word. */
static int start(int argc, char **argv, bool resumes) {
    struct tune_command c = tune_command_defaults();
    struct option_spec specs[TUNE_SPECS];
    struct option_table table = resumes ? resume_table : tune_table;
    struct reading r = {
        .command = &c, .table = &table, .argc = argc - resumes, .argv = argv + resumes};
    hearth_error err = {0};
    int code;
    table.specs = specs;
    table.n_specs = tune_specs(&c, specs);
    if (!options_begin(&table, r.argc, r.argv, &r.arguments, &code)) return code;
    arena_init(&r.strings, 1 << 22);
    if (take_settings(&r, resumes, &err) != HEARTH_OK)
        code = usage_failure(&table, &err);
    else if (c.hosts && !ranks_started())
        code = tune_elsewhere(&r, argc, argv);
    else
        code = tune_train(&c, &table);
    arena_release(&r.strings);
    return code;
}

int cmd_tune(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } others[] = {{"list", tune_list},
                  {"show", tune_show},
                  {"compare", tune_compare},
                  {"export", tune_export}};
    const char *word = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(word, others[i].name) == 0) return others[i].run(argc - 1, argv + 1);
    return start(argc, argv, strcmp(word, "resume") == 0);
}
