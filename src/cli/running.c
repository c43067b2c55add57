#include "cli/running.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"

#define MAX_RUNNING_BYTES ((size_t)64 << 10)

static char *running_folder(void) {
    char *state = path_home(PATH_STATE);
    char *folder = state ? path_join(state, "running") : NULL;
    mem_free(state);
    return folder;
}

static json_t *entry_of(const json_t *model, const char *device) {
    return json_pack("{s:I, s:O?, s:O?, s:s, s:O?, s:O?, s:O?, s:I}", "pid", (json_int_t)getpid(),
                     "model", json_object_get(model, "path"), "family",
                     json_object_get(model, "family"), "device", device, "weight_bytes",
                     json_object_get(model, "size_bytes"), "allocated_bytes",
                     json_object_get(model, "allocated_bytes"), "context",
                     json_object_get(model, "n_ctx"), "since", (json_int_t)time(NULL));
}

void running_announce(struct running_model *running, const json_t *model, const char *device) {
    char name[32];
    *running = (struct running_model){0};
    char *folder = running_folder();
    if (!folder || file_make_folders(folder, NULL) != HEARTH_OK) {
        mem_free(folder);
        return;
    }
    snprintf(name, sizeof name, "%ld.json", (long)getpid());
    running->path = path_join(folder, name);
    mem_free(folder);
    json_t *entry = entry_of(model, device);
    char *text = entry ? json_dumps(entry, JSON_COMPACT) : NULL;
    if (running->path && text) file_write(running->path, text, strlen(text), NULL);
    free(text);
    json_decref(entry);
}

void running_retract(struct running_model *running) {
    if (running->path) unlink(running->path);
    mem_free(running->path);
    running->path = NULL;
}

/* The entry of a living process, or NULL; entries of dead ones are removed. */
static json_t *read_entry(const char *path) {
    char *text;
    size_t size;
    if (file_read(path, MAX_RUNNING_BYTES, &text, &size, NULL) != HEARTH_OK) return NULL;
    json_t *entry = json_loadb(text, size, 0, NULL);
    mem_free(text);
    json_int_t pid = json_integer_value(json_object_get(entry, "pid"));
    if (pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM)) return entry;
    unlink(path);
    json_decref(entry);
    return NULL;
}

static json_t *read_entries(hearth_error *err) {
    char **names = NULL;
    size_t count = 0;
    json_t *entries = json_array();
    char *folder = running_folder();
    if (folder && file_is_folder(folder) && file_list(folder, &names, &count, err) != HEARTH_OK) {
        json_decref(entries);
        entries = NULL;
    }
    for (size_t i = 0; entries && i < count; i++) {
        char *path = path_join(folder, names[i]);
        json_t *entry = path ? read_entry(path) : NULL;
        if (entry) json_array_append_new(entries, entry);
        mem_free(path);
    }
    file_names_free(names, count);
    mem_free(folder);
    return entries;
}

static void print_entries(const json_t *entries) {
    size_t i;
    json_t *entry;
    if (json_array_size(entries) == 0) {
        puts("no model is in use");
        return;
    }
    printf("%-8s %-10s %-10s %-8s %s\n", "PID", "WEIGHTS", "MEMORY", "CONTEXT", "MODEL");
    json_array_foreach(entries, i, entry) {
        char weights[32], memory[32];
        const char *model = json_string_value(json_object_get(entry, "model"));
        printf(
            "%-8lld %-10s %-10s %-8lld %s\n",
            (long long)json_integer_value(json_object_get(entry, "pid")),
            units_format_bytes((uint64_t)json_integer_value(json_object_get(entry, "weight_bytes")),
                               weights, sizeof weights),
            units_format_bytes(
                (uint64_t)json_integer_value(json_object_get(entry, "allocated_bytes")), memory,
                sizeof memory),
            (long long)json_integer_value(json_object_get(entry, "context")), model ? model : "?");
    }
}

int cmd_ps(int argc, char **argv) {
    bool json = false;
    const struct option_spec specs[] = {
        {.name = "json", .help = "print JSON", .type = OPTION_FLAG, .flag = &json},
    };
    const struct option_table table = {.command = "hearth ps",
                                       .summary = "Lists the models that are in use, by process.",
                                       .specs = specs,
                                       .n_specs = 1};
    struct option_arguments arguments;
    int code;
    hearth_error err = {0};
    if (!options_begin(&table, argc, argv, &arguments, &code)) return code;
    json_t *entries = read_entries(&err);
    if (!entries) return command_fail(&err);
    if (json) {
        json_dumpf(entries, stdout, JSON_INDENT(1));
        putchar('\n');
    } else
        print_entries(entries);
    json_decref(entries);
    return EXIT_OK;
}
