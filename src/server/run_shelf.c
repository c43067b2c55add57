#include "server/run_shelf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/private_file.h"
#include "base/remove_tree.h"
#include "store/stored_runs.h"

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of runs");
}

hearth_status run_shelf_open(struct run_shelf *shelf, struct store_pool *store, hearth_error *err) {
    char *home = path_home(PATH_DATA);
    *shelf = (struct run_shelf){.folder = home ? path_join(home, "runs") : NULL, .store = store};
    mem_free(home);
    return shelf->folder ? private_folder_make(shelf->folder, err) : no_memory(err);
}

void run_shelf_close(struct run_shelf *shelf) {
    mem_free(shelf->folder);
    shelf->folder = NULL;
}

/* ---- lists ------------------------------------------------------------------------------ */

static hearth_status add(struct served_run_list *list, const char *id, const char *folder,
                         hearth_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        struct served_run *grown = mem_realloc_array(list->runs, capacity, sizeof *grown);
        if (!grown) return no_memory(err);
        list->runs = grown;
        list->capacity = capacity;
    }
    struct served_run *run = &list->runs[list->count];
    if (served_run_open(run, id, folder, NULL) == HEARTH_OK)
        list->count++;
    else
        served_run_close(run);
    return HEARTH_OK;
}

static hearth_status add_own(const struct run_shelf *shelf, struct served_run_list *list,
                             hearth_error *err) {
    char **names;
    size_t count;
    RETURN_IF_ERROR(file_list(shelf->folder, &names, &count, err));
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < count && status == HEARTH_OK; i++) {
        char *folder = served_run_id_is_valid(names[i]) ? path_join(shelf->folder, names[i]) : NULL;
        if (folder) status = add(list, names[i], folder, err);
        mem_free(folder);
    }
    file_names_free(names, count);
    return status;
}

static bool is_own(const struct run_shelf *shelf, const char *folder) {
    size_t n = strlen(shelf->folder);
    return strncmp(folder, shelf->folder, n) == 0 && folder[n] == '/';
}

static hearth_status read_rows(struct store *store, void *context, hearth_error *err) {
    return stored_runs_read(store, context, err);
}

/* A folder may have been several runs; the newest row comes first and counts. */
static bool is_listed(const struct served_run_list *list, const char *folder) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->runs[i].folder, folder) == 0) return true;
    return false;
}

static hearth_status add_others(const struct run_shelf *shelf, struct served_run_list *list,
                                hearth_error *err) {
    struct stored_run_list rows = {0};
    if (!shelf->store) return HEARTH_OK;
    hearth_status status = store_pool_read(shelf->store, read_rows, &rows, err);
    for (size_t i = 0; i < rows.count && status == HEARTH_OK; i++) {
        char id[24];
        const char *folder = rows.runs[i].folder;
        snprintf(id, sizeof id, "%" PRId64, rows.runs[i].id);
        if (!is_own(shelf, folder) && !is_listed(list, folder)) status = add(list, id, folder, err);
    }
    stored_runs_release(&rows);
    return status;
}

static const char *begin_of(const struct served_run *run) {
    const char *created = served_run_text(run, "created");
    const char *started = json_string_value(json_object_get(run->facts, "started"));
    return *created ? created : started ? started : "";
}

static int newer_first(const void *a, const void *b) {
    return strcmp(begin_of(b), begin_of(a));
}

hearth_status run_shelf_list(const struct run_shelf *shelf, struct served_run_list *list,
                             hearth_error *err) {
    *list = (struct served_run_list){0};
    RETURN_IF_ERROR(add_own(shelf, list, err));
    RETURN_IF_ERROR(add_others(shelf, list, err));
    if (list->count > 1) qsort(list->runs, list->count, sizeof *list->runs, newer_first);
    return HEARTH_OK;
}

void run_list_release(struct served_run_list *list) {
    for (size_t i = 0; i < list->count; i++)
        served_run_close(&list->runs[i]);
    mem_free(list->runs);
    *list = (struct served_run_list){0};
}

/* ---- one ---------------------------------------------------------------------------------- */

static hearth_status find_other(const struct run_shelf *shelf, const char *id,
                                struct served_run *run, hearth_error *err) {
    struct served_run_list list = {0};
    hearth_status status = add_others(shelf, &list, err);
    bool found = false;
    for (size_t i = 0; i < list.count && !found; i++) {
        found = strcmp(list.runs[i].id, id) == 0;
        if (!found) continue;
        *run = list.runs[i];
        list.runs[i] = (struct served_run){0};
    }
    run_list_release(&list);
    if (status != HEARTH_OK || found) return status;
    return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no such run");
}

hearth_status run_shelf_find(const struct run_shelf *shelf, const char *id, struct served_run *run,
                             hearth_error *err) {
    *run = (struct served_run){0};
    if (!served_run_id_is_valid(id)) return find_other(shelf, id, run, err);
    char *folder = path_join(shelf->folder, id);
    hearth_status status = folder ? served_run_open(run, id, folder, err) : no_memory(err);
    mem_free(folder);
    return status;
}

static hearth_status check_room(const struct run_shelf *shelf, hearth_error *err) {
    char **names;
    size_t count;
    RETURN_IF_ERROR(file_list(shelf->folder, &names, &count, err));
    file_names_free(names, count);
    if (count < RUN_SHELF_MOST) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_LIMIT, "there are %zu runs; delete some first", count);
}

hearth_status run_shelf_add(const struct run_shelf *shelf, const char *name,
                            char id[SERVED_RUN_ID_BYTES], char **folder, hearth_error *err) {
    char like[SERVED_RUN_ID_BYTES];
    served_run_make_id(name, like);
    RETURN_IF_ERROR(check_room(shelf, err));
    for (unsigned number = 1;; number++) {
        if (number == 1)
            memcpy(id, like, sizeof like);
        else
            snprintf(id, SERVED_RUN_ID_BYTES, "%.50s-%u", like, number);
        if (!(*folder = path_join(shelf->folder, id))) return no_memory(err);
        if (!file_exists(*folder)) break;
        mem_free(*folder);
    }
    hearth_status status = file_make_folders(*folder, err);
    if (status != HEARTH_OK) {
        mem_free(*folder);
        *folder = NULL;
    }
    return status;
}

static hearth_status forget_row(struct store *store, void *context, hearth_error *err) {
    return stored_runs_forget(store, context, err);
}

hearth_status run_shelf_remove(const struct run_shelf *shelf, const struct served_run *run,
                               hearth_error *err) {
    if (is_own(shelf, run->folder)) RETURN_IF_ERROR(remove_tree(run->folder, err));
    if (!shelf->store) return HEARTH_OK;
    return store_pool_write(shelf->store, forget_row, run->folder, err);
}
