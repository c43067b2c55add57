/* hearth list: the models of this machine, as a table or as JSON. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "hub/hub.h"

static const char *source_name(enum hub_source source) {
    static const char *const names[] = {[HUB_CACHE] = "cache",
                                        [HUB_FOLDER] = "folder",
                                        [HUB_ALIAS] = "alias",
                                        [HUB_BUILT_IN] = "built-in"};
    return names[source];
}

/* "just now", "5 minutes ago", "3 days ago". */
static const char *format_age(int64_t modified, char *out, size_t out_size) {
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{365 * 86400, "year"}, {30 * 86400, "month"}, {7 * 86400, "week"},
                 {86400, "day"},        {3600, "hour"},        {60, "minute"}};
    int64_t age = (int64_t)time(NULL) - modified;
    snprintf(out, out_size, "just now");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        long long n = age / units[i].seconds;
        if (n < 1) continue;
        snprintf(out, out_size, "%lld %s%s ago", n, units[i].name, n == 1 ? "" : "s");
        break;
    }
    return out;
}

static void print_table(const struct hub_model *models, size_t count, bool paths) {
    int width = 4;
    for (size_t i = 0; i < count; i++)
        if ((int)strlen(models[i].name) > width) width = (int)strlen(models[i].name);
    printf("%-*s  %-12s %10s  %-15s%s\n", width, "NAME", "QUANT", "SIZE", "MODIFIED",
           paths ? "  PATH" : "");
    for (size_t i = 0; i < count; i++) {
        char size[32], age[32];
        units_format_bytes(models[i].size_bytes, size, sizeof size);
        format_age(models[i].modified, age, sizeof age);
        printf("%-*s  %-12s %10s  %-15s%s%s\n", width, models[i].name,
               models[i].quant[0] ? models[i].quant : "-", size, age, paths ? "  " : "",
               paths ? models[i].path : "");
    }
    if (count == 0) fprintf(stderr, "no models yet; try 'hearth pull llama3.2:1b'\n");
}

static json_t *to_json(const struct hub_model *m) {
    char modified[32] = "";
    struct tm utc;
    time_t when = (time_t)m->modified;
    if (gmtime_r(&when, &utc)) strftime(modified, sizeof modified, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_t *quant = m->quant[0] ? json_string(m->quant) : json_null();
    /* A path need not be UTF-8; then it cannot be said in JSON. */
    return json_pack("{s:s*, s:s*, s:o, s:s, s:I, s:s}", "name", m->name, "path", m->path, "quant",
                     quant, "source", source_name(m->source), "size", (json_int_t)m->size_bytes,
                     "modified", modified);
}

static int print_json(const struct hub_model *models, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *one = to_json(&models[i]);
        if (one) json_array_append_new(list, one);
    }
    int code = list && json_dumpf(list, stdout, JSON_INDENT(2)) == 0 ? EXIT_OK : EXIT_FAILED;
    putchar('\n');
    json_decref(list);
    return code;
}

int cmd_list(int argc, char **argv) {
    bool json = false, paths = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json},
        {.name = "paths",
         .letter = 'p',
         .help = "print paths as well",
         .type = OPTION_FLAG,
         .flag = &paths},
    };
    const struct option_table table = {
        .command = "hearth list",
        .summary =
            "Lists the models on this machine: those of the Hugging Face cache, of the folders\n"
            "in HEARTH_MODELS, those that the server made of others, and aliases.",
        .specs = specs,
        .n_specs = sizeof specs / sizeof specs[0]};
    struct option_arguments arguments;
    struct hub *hub;
    struct hub_model *models;
    size_t count;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    if (hub_open(&hub, &err) != HEARTH_OK) return command_fail(&err);
    if (hub_list(hub, &models, &count, &err) != HEARTH_OK) {
        hub_close(hub);
        return command_fail(&err);
    }
    code = EXIT_OK;
    if (json)
        code = print_json(models, count);
    else
        print_table(models, count, paths);
    hub_models_free(models, count);
    hub_close(hub);
    return code;
}
