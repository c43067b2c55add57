/* hearth tune compare: runs side by side, their figures and the settings in which they differ. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/run_history.h"
#include "cli/settings_file.h"
#include "cli/tune_commands.h"
#include "cli/tune_facts.h"
#include "cli/tune_options.h"

enum { COMPARED_MAX = 8, COLUMN = 18, NAME_COLUMN = 22, VALUE_MAX_BYTES = 1 << 16 };

/* One run with its recipe read. */
struct compared {
    struct tune_command command;
    struct option_spec specs[TUNE_SPECS];
    size_t n_specs;
    struct arena strings;
    json_t *facts;
};

struct comparison {
    struct compared *runs[COMPARED_MAX];
    size_t count;
    json_t *settings; /* {"rank": ["16", "32"]}, those that differ */
};

static hearth_status open_run(struct compared *run, const char *name, hearth_error *err) {
    struct option_table table = {.command = "hearth tune", .specs = run->specs};
    RETURN_IF_ERROR(tune_facts_read(name, &run->facts, err));
    RETURN_IF_ERROR(run_history_need_folder(name, run->facts, err));
    run->command = tune_command_defaults();
    run->n_specs = table.n_specs = tune_specs(&run->command, run->specs);
    char *path = path_join(tune_fact_text(run->facts, "folder"), "recipe.yaml");
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = settings_file_read(path, &table, &run->strings, err);
    mem_free(path);
    return status;
}

/* The value of a setting as in a recipe, "-" for none; given. */
static char *value_of(const struct compared *run, size_t i) {
    struct buf text;
    buf_init(&text, VALUE_MAX_BYTES);
    settings_put_option(&text, &run->specs[i]);
    const char *value = strstr(buf_text(&text), ": ");
    value = value ? value + 2 : "-";
    size_t n = strlen(value);
    while (n > 0 && value[n - 1] == '\n')
        n--;
    char *copy = mem_strndup(value, n);
    buf_release(&text);
    return copy;
}

static hearth_status compare_setting(struct comparison *c, size_t i, hearth_error *err) {
    json_t *values = json_array();
    bool differ = false;
    for (size_t r = 0; r < c->count; r++) {
        char *value = value_of(c->runs[r], i);
        json_array_append_new(values, json_string(value ? value : ""));
        mem_free(value);
        differ = differ || !json_equal(json_array_get(values, 0), json_array_get(values, r));
    }
    if (json_array_size(values) == c->count) {
        if (differ) json_object_set(c->settings, c->runs[0]->specs[i].name, values);
        json_decref(values);
        return HEARTH_OK;
    }
    json_decref(values);
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to compare settings");
}

static hearth_status compare(struct comparison *c, char **names, size_t count, hearth_error *err) {
    c->settings = json_object();
    for (; c->count < count;) {
        struct compared *run = mem_calloc(1, sizeof *run);
        if (!run) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to compare runs");
        arena_init(&run->strings, 1 << 22);
        c->runs[c->count++] = run;
        RETURN_IF_ERROR(open_run(run, names[c->count - 1], err));
    }
    const struct compared *first = c->count > 0 ? c->runs[0] : NULL;
    for (size_t i = 0; first && i < first->n_specs; i++)
        if (first->specs[i].type != OPTION_HEADING) RETURN_IF_ERROR(compare_setting(c, i, err));
    return HEARTH_OK;
}

static void release(struct comparison *c) {
    for (size_t r = 0; r < c->count; r++) {
        json_decref(c->runs[r]->facts);
        arena_release(&c->runs[r]->strings);
        mem_free(c->runs[r]);
    }
    json_decref(c->settings);
}

/* ---- printing ----------------------------------------------------------------------- */

static void print_row(const struct comparison *c, const char *key, int digits, const char *label) {
    printf("%-*s", NAME_COLUMN, label);
    for (size_t r = 0; r < c->count; r++) {
        char number[32];
        const json_t *facts = c->runs[r]->facts;
        const json_t *fact = json_object_get(facts, key);
        printf(" %*.*s", COLUMN, COLUMN,
               json_is_string(fact) ? path_base(json_string_value(fact))
                                    : tune_fact_number(facts, key, digits, number, sizeof number));
    }
    putchar('\n');
}

/* On one line and, when it is too long, its end, where paths differ. */
static void print_value(const char *value) {
    char line[COLUMN + 1] = "";
    size_t n = strlen(value), from = n > COLUMN ? n - COLUMN : 0;
    for (size_t i = from; i < n; i++)
        line[i - from] = value[i] == '\n' ? ' ' : value[i];
    line[n - from] = '\0';
    printf(" %*s", COLUMN, line);
}

static void print_comparison(const struct comparison *c) {
    static const struct {
        const char *key, *label;
        int digits;
    } rows[] = {{"folder", "run", 0},
                {"state", "state", 0},
                {"model", "model", 0},
                {"method", "method", 0},
                {"trained_values", "parameters", 0},
                {"records", "records", 0},
                {"step", "step", 0},
                {"seconds", "seconds", 3},
                {"rate", "rate", 3},
                {"loss", "loss", 4},
                {"best_eval_loss", "best evaluation", 4},
                {"best_step", "of step", 0}};
    const char *name;
    json_t *values, *value;
    size_t i;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        print_row(c, rows[r].key, rows[r].digits, rows[r].label);
    puts(json_object_size(c->settings) ? "\nsettings that differ" : "\nthe settings are the same");
    json_object_foreach(c->settings, name, values) {
        printf("%-*s", NAME_COLUMN, name);
        json_array_foreach(values, i, value) {
            print_value(json_string_value(value));
        }
        putchar('\n');
    }
}

static void print_json(const struct comparison *c) {
    json_t *runs = json_array();
    for (size_t r = 0; r < c->count; r++)
        json_array_append(runs, c->runs[r]->facts);
    json_t *all = json_pack("{s:o, s:O}", "runs", runs, "settings", c->settings);
    if (all) tune_facts_dump(all);
    json_decref(all);
}

int tune_compare(int argc, char **argv) {
    bool json = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json}};
    const struct option_table table = {
        .command = "hearth tune compare",
        .arguments = "RUN RUN...",
        .summary = "Runs side by side: figures, and the settings in which they differ.",
        .examples = "hearth tune compare model-questions model-questions-rank32",
        .specs = specs,
        .n_specs = 1,
        .min_arguments = 2,
        .max_arguments = COMPARED_MAX};
    struct option_arguments arguments;
    struct comparison c = {0};
    hearth_error err = {0};
    int code;
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    hearth_status status = compare(&c, arguments.items, arguments.count, &err);
    if (status == HEARTH_OK && json)
        print_json(&c);
    else if (status == HEARTH_OK)
        print_comparison(&c);
    release(&c);
    return status == HEARTH_OK ? EXIT_OK : command_fail(&err);
}
