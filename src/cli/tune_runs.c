/* hearth tune list and show: what is known of runs, from the history and their folders. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/run_history.h"
#include "cli/tune_commands.h"
#include "cli/tune_facts.h"
#include "cli/tune_samples.h"

/* ---- list --------------------------------------------------------------------------- */

static void print_runs(const json_t *runs) {
    const json_t *run;
    size_t i;
    if (json_array_size(runs) == 0) {
        puts("no runs yet: hearth tune MODEL --data FILE begins one");
        return;
    }
    printf("%4s  %-24s %-11s %-6s %13s %8s %8s  %s\n", "ID", "NAME", "STATE", "METHOD", "STEP",
           "LOSS", "EVAL", "FOLDER");
    json_array_foreach(runs, i, run) {
        char id[20], step[40], steps[20], done[20], loss[20], eval[20];
        bool missing = json_is_true(json_object_get(run, "missing"));
        snprintf(step, sizeof step, "%s/%s", tune_fact_number(run, "step", 0, done, sizeof done),
                 tune_fact_number(run, "steps", 0, steps, sizeof steps));
        printf("%4s  %-24s %-11s %-6s %13s %8s %8s  %s%s\n",
               tune_fact_number(run, "id", 0, id, sizeof id), tune_fact_text(run, "name"),
               tune_fact_text(run, "state"), tune_fact_text(run, "method"), step,
               tune_fact_number(run, "loss", 4, loss, sizeof loss),
               tune_fact_number(run, "best_eval_loss", 4, eval, sizeof eval),
               tune_fact_text(run, "folder"), missing ? " (moved or removed)" : "");
    }
}

int tune_list(int argc, char **argv) {
    bool json = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json}};
    const struct option_table table = {
        .command = "hearth tune list",
        .summary = "The tuning runs of this user, the one begun last first. EVAL is the lowest\n"
                   "evaluation loss. Of a run whose folder was moved or removed its figures are\n"
                   "known; where it was moved to, it is found by its path.",
        .specs = specs,
        .n_specs = 1};
    struct option_arguments arguments;
    hearth_error err = {0};
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    json_t *runs = NULL;
    hearth_status status = run_history_list(&runs, &err);
    if (status == HEARTH_OK && json)
        tune_facts_dump(runs);
    else if (status == HEARTH_OK)
        print_runs(runs);
    json_decref(runs);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}

/* ---- show --------------------------------------------------------------------------- */

static void print_fact(const json_t *run, const char *key, int digits, const char *label) {
    char number[32];
    const json_t *fact = json_object_get(run, key);
    if (json_is_number(fact))
        printf("%-12s %s\n", label, tune_fact_number(run, key, digits, number, sizeof number));
    else if (json_is_string(fact))
        printf("%-12s %s\n", label, json_string_value(fact));
}

static void print_checkpoints(const json_t *run) {
    const json_t *checkpoints = json_object_get(run, "checkpoints"), *step;
    size_t i;
    if (json_array_size(checkpoints) == 0) return;
    printf("%-12s", "checkpoints");
    json_array_foreach(checkpoints, i, step) {
        printf(" %" JSON_INTEGER_FORMAT, json_integer_value(step));
    }
    putchar('\n');
}

static void print_run(const json_t *run) {
    static const struct {
        const char *key, *label;
        int digits;
    } facts[] = {{"folder", "folder", 0},
                 {"state", "state", 0},
                 {"problem", "problem", 0},
                 {"started", "started", 0},
                 {"ended", "ended", 0},
                 {"model", "model", 0},
                 {"family", "family", 0},
                 {"method", "method", 0},
                 {"records", "records", 0},
                 {"eval_records", "held out", 0},
                 {"data_sha256", "data sha256", 0},
                 {"trained_values", "parameters", 0},
                 {"rate", "rate", 8},
                 {"step", "step", 0},
                 {"steps", "of steps", 0},
                 {"tokens", "tokens", 0},
                 {"seconds", "seconds", 1},
                 {"loss", "loss", 4},
                 {"eval_loss", "evaluation", 4},
                 {"best_eval_loss", "best", 4},
                 {"best_step", "of step", 0},
                 {"result_step", "result of", 0}};
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        print_fact(run, facts[i].key, facts[i].digits, facts[i].label);
    if (json_is_true(json_object_get(run, "missing")))
        puts("The folder was moved, removed or used anew; this is what was known of the run.");
    print_checkpoints(run);
    tune_samples_print(json_object_get(run, "samples"), stdout);
}

int tune_show(int argc, char **argv) {
    bool json = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json}};
    const struct option_table table = {
        .command = "hearth tune show",
        .arguments = "RUN",
        .summary = "What became of a run. RUN is its folder, or its name or number as\n"
                   "'hearth tune list' has it.",
        .specs = specs,
        .n_specs = 1,
        .min_arguments = 1,
        .max_arguments = 1};
    struct option_arguments arguments;
    hearth_error err = {0};
    json_t *run = NULL;
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (tune_facts_read(arguments.items[0], &run, &err) != HEARTH_OK) return command_fail(&err);
    if (json)
        tune_facts_dump(run);
    else
        print_run(run);
    json_decref(run);
    return EXIT_OK;
}
