#include "cli/run_history.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "store/stored_runs.h"
#include "train/run_folder.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of runs");
}

static char *file_of(enum path_kind kind, const char *name) {
    char *home = path_home(kind);
    char *path = home ? path_join(home, name) : NULL;
    mem_free(home);
    return path;
}

static bool is_run(const char *folder) {
    char *recipe = path_join(folder, "recipe.yaml");
    bool is = recipe && file_exists(recipe);
    mem_free(recipe);
    return is;
}

/* ---- run.json and rows -------------------------------------------------------------- */

static const char *text_of(const json_t *facts, const char *key) {
    return json_string_value(json_object_get(facts, key));
}

static uint64_t count_of(const json_t *facts, const char *key) {
    json_int_t n = json_integer_value(json_object_get(facts, key));
    return n > 0 ? (uint64_t)n : 0;
}

static double number_of(const json_t *facts, const char *key) {
    const json_t *number = json_object_get(facts, key);
    return json_is_number(number) ? json_number_value(number) : (double)NAN;
}

/* `began`: where the folder does not say. */
static hearth_status put_facts(struct store *store, const char *folder, const json_t *facts,
                               const char *began, hearth_error *err) {
    const char *started = text_of(facts, "started"), *state = text_of(facts, "state");
    json_t *data = json_object_get(facts, "data");
    char *absolute = path_absolute(folder);
    char *paths = json_is_array(data) ? json_dumps(data, JSON_COMPACT) : NULL;
    struct stored_run run = {.folder = absolute,
                             .began = started ? started : began,
                             .ended = text_of(facts, "ended"),
                             .name = absolute ? path_base(absolute) : NULL,
                             .model = text_of(facts, "model"),
                             .data = paths,
                             .method = text_of(facts, "method"),
                             .state = state ? state : "unknown",
                             .step = count_of(facts, "step"),
                             .steps = count_of(facts, "steps"),
                             .tokens = count_of(facts, "tokens"),
                             .loss = number_of(facts, "loss"),
                             .best_loss = number_of(facts, "best_eval_loss")};
    hearth_status status = absolute ? stored_runs_put(store, &run, err) : no_memory(err);
    free(paths);
    mem_free(absolute);
    return status;
}

hearth_status run_history_note(struct store *store, const char *folder, hearth_error *err) {
    json_t *facts;
    RETURN_IF_ERROR(run_folder_read(folder, &facts, err));
    hearth_status status = put_facts(store, folder, facts, "", err);
    json_decref(facts);
    return status;
}

static json_t *number_or_null(double number) {
    return isfinite(number) ? json_real(number) : json_null();
}

/* What the row alone says. A run that nobody can see is not running. */
static json_t *facts_of_row(const struct stored_run *run) {
    bool open = strcmp(run->state, "running") == 0;
    return json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s*, s:o*, s:I, s:I, s:I, s:o, s:o, s:b}",
                     "folder", run->folder, "started", run->began, "state",
                     open ? "interrupted" : run->state, "ended", run->ended, "model", run->model,
                     "method", run->method, "data",
                     run->data ? json_loads(run->data, 0, NULL) : NULL, "step",
                     (json_int_t)run->step, "steps", (json_int_t)run->steps, "tokens",
                     (json_int_t)run->tokens, "loss", number_or_null(run->loss), "best_eval_loss",
                     number_or_null(run->best_loss), "missing", true);
}

/* The folder's own words, as long as it is still the run's. */
static json_t *facts_of(const struct stored_run *run) {
    json_t *facts = NULL;
    if (is_run(run->folder)) run_folder_read(run->folder, &facts, NULL);
    const char *started = text_of(facts, "started");
    if (facts && started && strcmp(started, run->began) != 0) {
        json_decref(facts);
        facts = NULL;
    }
    if (!facts) facts = facts_of_row(run);
    json_object_set_new(facts, "id", json_integer(run->id));
    json_object_set_new(facts, "name", json_string(run->name));
    return facts;
}

/* ---- lines that wait -------------------------------------------------------------- */

static char *line_of(const char *folder, const char *started) {
    char *absolute = path_absolute(folder), *line = NULL;
    json_t *entry =
        absolute ? json_pack("{s:s, s:s}", "folder", absolute, "started", started) : NULL;
    char *text = entry ? json_dumps(entry, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) + sizeof "\n" : 0;
    if (text) line = mem_alloc(size);
    if (line) snprintf(line, size, "%s\n", text);
    free(text);
    json_decref(entry);
    mem_free(absolute);
    return line;
}

hearth_status run_history_postpone(const char *folder, const char *started, hearth_error *err) {
    char *path = file_of(PATH_STATE, "runs.jsonl"), *line = line_of(folder, started);
    char *home = path ? path_folder(path) : NULL;
    hearth_status status = path && line && home ? HEARTH_OK : no_memory(err);
    if (status == HEARTH_OK) status = file_make_folders(home, err);
    if (status == HEARTH_OK) status = file_append(path, line, strlen(line), err);
    mem_free(home);
    mem_free(line);
    mem_free(path);
    return status;
}

/* A line that is damaged is passed over. */
static hearth_status take_line(struct store *store, const char *line, size_t length,
                               hearth_error *err) {
    json_t *entry = json_loadb(line, length, 0, NULL), *facts = NULL;
    const char *folder = text_of(entry, "folder"), *started = text_of(entry, "started");
    if (folder && is_run(folder)) run_folder_read(folder, &facts, NULL);
    hearth_status status =
        folder ? put_facts(store, folder, facts, started ? started : "", err) : HEARTH_OK;
    json_decref(facts);
    json_decref(entry);
    return status;
}

static hearth_status take_lines(struct store *store, const char *path, hearth_error *err) {
    char *text;
    size_t size;
    hearth_status status = HEARTH_OK;
    if (!file_exists(path)) return HEARTH_OK;
    RETURN_IF_ERROR(file_read(path, RUN_HISTORY_LINES_MAX_BYTES, &text, &size, err));
    for (const char *line = text; line < text + size && status == HEARTH_OK;) {
        size_t length = strcspn(line, "\n");
        status = take_line(store, line, length, err);
        line += length + 1;
    }
    mem_free(text);
    if (status == HEARTH_OK) remove(path);
    return status;
}

/* Lines are taken from under a name of their own, which nobody adds to; one that is there was
 * left by a process that died over it. Entering a line twice changes nothing. */
static hearth_status take_postponed(struct store *store, hearth_error *err) {
    char *path = file_of(PATH_STATE, "runs.jsonl"), *taken = file_of(PATH_STATE, "runs.taken");
    char *guard = file_of(PATH_STATE, "runs.lock");
    struct file_lock lock = {-1};
    bool busy = true;
    hearth_status status = path && taken && guard ? HEARTH_OK : no_memory(err);
    if (status == HEARTH_OK && (file_exists(path) || file_exists(taken)))
        status = file_lock_open(&lock, guard, &busy, err);
    if (status == HEARTH_OK && !busy) status = take_lines(store, taken, err);
    if (status == HEARTH_OK && !busy && rename(path, taken) == 0)
        status = take_lines(store, taken, err);
    file_lock_close(&lock);
    mem_free(guard);
    mem_free(taken);
    mem_free(path);
    return status;
}

hearth_status run_history_file(char **path, hearth_error *err) {
    *path = file_of(PATH_DATA, "hearth.db");
    char *home = *path ? path_folder(*path) : NULL;
    hearth_status status = home ? file_make_folders(home, err) : no_memory(err);
    mem_free(home);
    return status;
}

hearth_status run_history_open(struct store **out, hearth_error *err) {
    char *path;
    *out = NULL;
    hearth_status status = run_history_file(&path, err);
    if (status == HEARTH_OK) status = store_open(out, path, err);
    if (status == HEARTH_OK) status = take_postponed(*out, err);
    if (status != HEARTH_OK) {
        store_close(*out);
        *out = NULL;
    }
    mem_free(path);
    return status;
}

/* ---- asking ------------------------------------------------------------------------- */

hearth_status run_history_list(json_t **runs, hearth_error *err) {
    struct stored_run_list list = {0};
    struct store *store;
    RETURN_IF_ERROR(run_history_open(&store, err));
    *runs = json_array();
    hearth_status status = stored_runs_read(store, &list, err);
    for (size_t i = 0; i < list.count && status == HEARTH_OK; i++)
        if (json_array_append_new(*runs, facts_of(&list.runs[i])) != 0) status = no_memory(err);
    stored_runs_release(&list);
    store_close(store);
    if (status == HEARTH_OK) return HEARTH_OK;
    json_decref(*runs);
    *runs = NULL;
    return status;
}

static hearth_status not_found(const char *run, const json_t *runs, hearth_error *err) {
    size_t count = json_array_size(runs);
    const char **names = mem_alloc_array(count + 1, sizeof *names);
    if (!names) return no_memory(err);
    for (size_t i = 0; i < count; i++)
        names[i] = text_of(json_array_get(runs, i), "name");
    const char *near = nearest_name(run, names, count);
    mem_free(names);
    if (near)
        return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no run '%s'; did you mean '%s'?",
                         run, near);
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "there is no run '%s': neither a folder with a recipe.yaml nor one that "
                     "'hearth tune list' names",
                     run);
}

static bool is_called(const json_t *facts, const char *run) {
    char id[24];
    const char *name = text_of(facts, "name");
    snprintf(id, sizeof id, "%" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(facts, "id")));
    return (name && strcmp(name, run) == 0) || strcmp(id, run) == 0;
}

/* Borrowed from the list; NULL when none is called so. */
static json_t *choose(const json_t *runs, const char *run) {
    json_t *missing = NULL, *facts;
    size_t i;
    json_array_foreach(runs, i, facts) {
        if (!is_called(facts, run)) continue;
        if (!json_is_true(json_object_get(facts, "missing"))) return facts;
        if (!missing) missing = facts;
    }
    return missing;
}

hearth_status run_history_find(const char *run, json_t **facts, hearth_error *err) {
    json_t *runs;
    *facts = NULL;
    if (is_run(run)) return run_folder_read(run, facts, err);
    RETURN_IF_ERROR(run_history_list(&runs, err));
    *facts = json_incref(choose(runs, run));
    hearth_status status = *facts ? HEARTH_OK : not_found(run, runs, err);
    json_decref(runs);
    return status;
}

hearth_status run_history_need_folder(const char *run, const json_t *facts, hearth_error *err) {
    if (!json_is_true(json_object_get(facts, "missing"))) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NOT_FOUND,
                     "run '%s' is no longer in '%s': the folder was removed, used anew or moved; "
                     "where it was moved, give its path",
                     run, text_of(facts, "folder"));
}

hearth_status run_history_folder(const char *run, char **folder, hearth_error *err) {
    json_t *facts;
    *folder = NULL;
    RETURN_IF_ERROR(run_history_find(run, &facts, err));
    hearth_status status = run_history_need_folder(run, facts, err);
    if (status == HEARTH_OK && !(*folder = mem_strdup(text_of(facts, "folder"))))
        status = no_memory(err);
    json_decref(facts);
    return status;
}
