#include "cli/run_index.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/nearest.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of runs");
}

static char *index_path(void) {
    char *state = path_home(PATH_STATE);
    char *path = state ? path_join(state, "runs.jsonl") : NULL;
    mem_free(state);
    return path;
}

/* ---- adding ----------------------------------------------------------------------- */

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

hearth_status run_index_add(const char *folder, const char *started, hearth_error *err) {
    char *path = index_path(), *line = line_of(folder, started);
    char *home = path ? path_folder(path) : NULL;
    hearth_status status = path && line && home ? HEARTH_OK : no_memory(err);
    if (status == HEARTH_OK) status = file_make_folders(home, err);
    if (status == HEARTH_OK) status = file_append(path, line, strlen(line), err);
    mem_free(home);
    mem_free(line);
    mem_free(path);
    return status;
}

/* ---- reading ---------------------------------------------------------------------- */

static bool is_run(const char *folder) {
    char *recipe = path_join(folder, "recipe.yaml");
    bool is = recipe && file_exists(recipe);
    mem_free(recipe);
    return is;
}

/* The folder moves to the end of the list, or joins it. */
static bool take_folder(char ***list, size_t *count, const char *folder) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*list)[i], folder) != 0) continue;
        char *known = (*list)[i];
        memmove(&(*list)[i], &(*list)[i + 1], (*count - i - 1) * sizeof **list);
        (*list)[*count - 1] = known;
        return true;
    }
    char **grown = mem_realloc_array(*list, *count + 1, sizeof *grown);
    if (grown) *list = grown;
    char *copy = grown ? mem_strdup(folder) : NULL;
    if (copy) (*list)[(*count)++] = copy;
    return copy != NULL;
}

static bool take_line(char ***list, size_t *count, const char *line, size_t length) {
    json_t *entry = json_loadb(line, length, 0, NULL);
    const char *folder = json_string_value(json_object_get(entry, "folder"));
    bool fits = !folder || !is_run(folder) || take_folder(list, count, folder);
    json_decref(entry);
    return fits;
}

static void reverse(char **list, size_t count) {
    for (size_t i = 0; i < count / 2; i++) {
        char *other = list[i];
        list[i] = list[count - 1 - i];
        list[count - 1 - i] = other;
    }
}

hearth_status run_index_read(char ***folders, size_t *count, hearth_error *err) {
    char *path = index_path(), *text = NULL;
    size_t size = 0;
    *folders = NULL;
    *count = 0;
    hearth_status status = path ? HEARTH_OK : no_memory(err);
    if (status == HEARTH_OK && file_exists(path))
        status = file_read(path, RUN_INDEX_MAX_BYTES, &text, &size, err);
    for (char *line = text; status == HEARTH_OK && line && line < text + size;) {
        size_t length = strcspn(line, "\n");
        if (!take_line(folders, count, line, length)) status = no_memory(err);
        line += length + 1;
    }
    mem_free(text);
    mem_free(path);
    if (status == HEARTH_OK) {
        reverse(*folders, *count);
        return HEARTH_OK;
    }
    file_names_free(*folders, *count);
    *folders = NULL;
    *count = 0;
    return status;
}

/* ---- finding ---------------------------------------------------------------------- */

static hearth_status not_found(const char *run, char **folders, size_t count, hearth_error *err) {
    const char **names = mem_alloc_array(count + 1, sizeof *names);
    if (!names) return no_memory(err);
    for (size_t i = 0; i < count; i++)
        names[i] = path_base(folders[i]);
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

hearth_status run_index_find(const char *run, char **folder, hearth_error *err) {
    char **folders;
    size_t count, i = 0;
    *folder = is_run(run) ? mem_strdup(run) : NULL;
    if (*folder) return HEARTH_OK;
    RETURN_IF_ERROR(run_index_read(&folders, &count, err));
    while (i < count && strcmp(path_base(folders[i]), run) != 0)
        i++;
    hearth_status status = i < count ? HEARTH_OK : not_found(run, folders, count, err);
    if (status == HEARTH_OK && !(*folder = mem_strdup(folders[i]))) status = no_memory(err);
    file_names_free(folders, count);
    return status;
}
