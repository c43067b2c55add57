#include "server/served_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/run_folder.h"

#define ASKED_MAX_BYTES ((size_t)1 << 16)
static const char asked_name[] = "served.json";

/* ---- ids ------------------------------------------------------------------------------------ */

static bool is_letter(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_divider(char c) {
    return c == '-' || c == '_' || c == '.';
}

static bool is_plain(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || is_divider(c);
}

bool served_run_id_is_valid(const char *id) {
    size_t n = 0;
    while (is_plain(id[n]))
        n++;
    return is_letter(id[0]) && !id[n] && n < SERVED_RUN_ID_BYTES;
}

void served_run_make_id(const char *text, char id[SERVED_RUN_ID_BYTES]) {
    enum { KEPT = 48 }; /* room for a number behind it */
    size_t n = 0;
    for (const char *c = text; *c && n < KEPT; c++) {
        char lower = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        bool divides = !is_plain(lower) || is_divider(lower);
        if (n == 0 ? !is_letter(lower) : divides && is_divider(id[n - 1])) continue;
        id[n++] = is_plain(lower) ? lower : '-';
    }
    while (n > 0 && is_divider(id[n - 1]))
        n--;
    id[n] = '\0';
    if (n == 0) memcpy(id, "run", sizeof "run");
}

/* ---- files ---------------------------------------------------------------------------------- */

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a run");
}

char *served_run_file(const struct served_run *run, const char *name) {
    char *path = path_join(run->folder, name);
    if (path && file_exists(path)) return path;
    mem_free(path);
    return NULL;
}

static hearth_status read_asked(struct served_run *run, hearth_error *err) {
    char *text, *path = served_run_file(run, asked_name);
    size_t size;
    if (!path) return HEARTH_OK;
    hearth_status status = file_read(path, ASKED_MAX_BYTES, &text, &size, err);
    if (status == HEARTH_OK) {
        run->asked = json_loadb(text, size, 0, NULL);
        if (!json_is_object(run->asked))
            status =
                error_set(err, HEARTH_ERROR_FORMAT, "'%s' is damaged: remove the folder", path);
        mem_free(text);
    }
    mem_free(path);
    return status;
}

static bool is_run(const struct served_run *run) {
    char *recipe = served_run_file(run, "recipe.yaml");
    mem_free(recipe);
    return recipe != NULL;
}

hearth_status served_run_open(struct served_run *run, const char *id, const char *folder,
                              hearth_error *err) {
    *run = (struct served_run){.folder = mem_strdup(folder)};
    if (!run->folder) return no_memory(err);
    snprintf(run->id, sizeof run->id, "%s", id);
    if (!is_run(run)) return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no run '%.64s'", id);
    RETURN_IF_ERROR(read_asked(run, err));
    return run_folder_read(folder, &run->facts, err);
}

void served_run_close(struct served_run *run) {
    mem_free(run->folder);
    json_decref(run->asked);
    json_decref(run->facts);
    *run = (struct served_run){0};
}

const char *served_run_text(const struct served_run *run, const char *key) {
    const char *text = json_string_value(json_object_get(run->asked, key));
    return text ? text : "";
}

hearth_status served_run_set(struct served_run *run, const char *key, const char *value,
                             hearth_error *err) {
    char *path = path_join(run->folder, asked_name), *text = NULL;
    if (!run->asked) run->asked = json_object();
    if (value)
        json_object_set_new(run->asked, key, json_string(value));
    else
        json_object_del(run->asked, key);
    text = json_dumps(run->asked, JSON_INDENT(1));
    hearth_status status =
        path && text ? file_write(path, text, strlen(text), err) : no_memory(err);
    free(text);
    mem_free(path);
    return status;
}

/* ---- what it is ------------------------------------------------------------------------------ */

static const char *fact(const struct served_run *run, const char *key) {
    const char *text = json_string_value(json_object_get(run->facts, key));
    return text ? text : "";
}

static bool is(const char *text, const char *word) {
    return strcmp(text, word) == 0;
}

const char *served_run_state(const struct served_run *run, bool computes) {
    const char *found = fact(run, "state"), *wanted = served_run_text(run, "wanted");
    if (!computes && (is(found, "finished") || is(found, "early stop"))) return "finished";
    if (is(wanted, "pause")) return "paused";
    if (is(wanted, "stop")) return "stopped";
    if (is(wanted, "nothing")) return "failed";
    if (computes || is(found, "running")) return "running";
    if (is(wanted, "run")) return "waiting";
    return is(found, "failed") ? "failed" : "paused";
}

bool served_run_state_is_last(const char *state) {
    return is(state, "finished") || is(state, "failed") || is(state, "stopped");
}

const char *served_run_model(const struct served_run *run) {
    const char *asked = served_run_text(run, "model");
    return *asked ? asked : fact(run, "model");
}

static json_t *text_or_none(const char *text) {
    return *text ? json_string(text) : NULL;
}

static json_t *either(const struct served_run *run, const char *asked, const char *found) {
    const char *text = served_run_text(run, asked);
    return text_or_none(*text ? text : fact(run, found));
}

/* An adapter lies in the run's folder, and goes by the run's id. */
static json_t *adapter_of(const struct served_run *run) {
    char *path = served_run_file(run, "adapter.gguf");
    mem_free(path);
    return path ? json_string(run->id) : NULL;
}

json_t *served_run_describe(const struct served_run *run, bool computes) {
    const char *state = served_run_state(run, computes), *name = served_run_text(run, "name");
    bool failed = is(state, "failed");
    const json_t *facts = run->facts;
    return json_pack(
        "{s:s, s:s, s:s, s:o*, s:o*, s:o*, s:O*, s:O*, s:O*, s:O*, s:O*, s:o*, s:o*, s:o*}", "id",
        run->id, "name", *name ? name : path_base(run->folder), "state", state, "model",
        text_or_none(served_run_model(run)), "created", either(run, "created", "started"), "method",
        text_or_none(fact(run, "method")), "step", json_object_get(facts, "step"), "steps",
        json_object_get(facts, "steps"), "loss", json_object_get(facts, "loss"), "samples",
        json_object_get(facts, "samples"), "thinking", json_object_get(facts, "thinking"), "error",
        failed ? either(run, "problem", "problem") : NULL, "adapter", adapter_of(run), "result",
        text_or_none(served_run_text(run, "result")));
}
