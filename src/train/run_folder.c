#include "train/run_folder.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define RUN_MAX_BYTES ((size_t)16 << 20)
enum { LOCK_TRIES = 10, LOCK_REST_NS = 20 * 1000 * 1000 };
static const char lock_name[] = "run.lock";

/* Whoever looks at a run has its lock for a moment. */
static hearth_status lock_soon(struct file_lock *lock, const char *path, bool *taken,
                               hearth_error *err) {
    hearth_status status = file_lock_open(lock, path, taken, err);
    for (int tries = 1; status == HEARTH_OK && *taken && tries < LOCK_TRIES; tries++) {
        clock_rest(LOCK_REST_NS);
        status = file_lock_open(lock, path, taken, err);
    }
    return status;
}

hearth_status run_folder_lock(const char *folder, struct file_lock *lock, hearth_error *err) {
    bool taken;
    lock->descriptor = -1;
    RETURN_IF_ERROR(file_make_folders(folder, err));
    char *path = path_join(folder, lock_name);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = lock_soon(lock, path, &taken, err);
    mem_free(path);
    if (status == HEARTH_OK && taken)
        status = error_set(err, HEARTH_ERROR_ARGUMENT,
                           "another process is training in '%s': wait for it, or choose another "
                           "folder (--output-dir)",
                           folder);
    return status;
}

void run_folder_forget(const char *folder) {
    char *path = path_join(folder, lock_name);
    if (path) remove(path);
    remove(folder);
    mem_free(path);
}

bool run_folder_is_locked(const char *folder) {
    struct file_lock lock;
    bool taken = false;
    char *path = path_join(folder, lock_name);
    if (path && file_exists(path) && file_lock_open(&lock, path, &taken, NULL) == HEARTH_OK &&
        !taken)
        file_lock_close(&lock);
    mem_free(path);
    return taken;
}

static hearth_status parse_run(const char *path, json_t **run, hearth_error *err) {
    json_error_t problem;
    char *text;
    size_t size;
    RETURN_IF_ERROR(file_read(path, RUN_MAX_BYTES, &text, &size, err));
    *run = json_loadb(text, size, 0, &problem);
    mem_free(text);
    if (json_is_object(*run)) return HEARTH_OK;
    bool parsed = *run != NULL;
    json_decref(*run);
    *run = NULL;
    return error_set(err, HEARTH_ERROR_FORMAT, "'%s', line %d: %s", path, problem.line,
                     parsed ? "an object was expected" : problem.text);
}

hearth_status run_folder_read(const char *folder, json_t **run, hearth_error *err) {
    char *path = path_join(folder, "run.json");
    hearth_status status = HEARTH_OK;
    *run = NULL;
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    if (file_exists(path))
        status = parse_run(path, run, err);
    else
        *run = json_pack("{s:s}", "state", "running");
    mem_free(path);
    if (status != HEARTH_OK) return status;
    const char *state = json_string_value(json_object_get(*run, "state"));
    if (!state || (strcmp(state, "running") == 0 && !run_folder_is_locked(folder)))
        json_object_set_new(*run, "state", json_string("interrupted"));
    json_object_set_new(*run, "folder", json_string(folder));
    return HEARTH_OK;
}
