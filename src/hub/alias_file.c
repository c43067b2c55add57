#include "hub/alias_file.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { MAX_FILE_BYTES = 1 << 20 };

/* An object; empty when there is no file. */
static hearth_status load(const char *path, json_t **root, hearth_error *err) {
    char *text = NULL;
    size_t size = 0;
    json_error_t where;
    *root = NULL;
    hearth_status status =
        file_exists(path) ? file_read(path, MAX_FILE_BYTES, &text, &size, err) : HEARTH_OK;
    if (status != HEARTH_OK) return status;
    *root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &where) : json_object();
    if (!*root) {
        status = error_set(err, HEARTH_ERROR_FORMAT,
                           "the alias file '%s' is not JSON (line %d: %s); repair or remove it",
                           path, text ? where.line : 0, text ? where.text : "no memory");
    } else if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        status = error_set(err, HEARTH_ERROR_FORMAT,
                           "the alias file '%s' should hold an object {\"name\": \"target\"}; "
                           "repair or remove it",
                           path);
    }
    mem_free(text);
    return status;
}

static int by_name(const void *a, const void *b) {
    return strcasecmp(((const struct alias *)a)->name, ((const struct alias *)b)->name);
}

hearth_status aliases_read(const char *path, struct alias **aliases, size_t *count,
                           hearth_error *err) {
    json_t *root, *value;
    const char *name;
    *aliases = NULL;
    *count = 0;
    RETURN_IF_ERROR(load(path, &root, err));
    hearth_status status = HEARTH_OK;
    struct alias *list = mem_calloc(json_object_size(root) + 1, sizeof *list);
    size_t n = 0;
    if (!list) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the aliases");
    json_object_foreach(root, name, value) {
        if (status != HEARTH_OK || !json_is_string(value)) continue;
        list[n] = (struct alias){mem_strdup(name), mem_strdup(json_string_value(value))};
        if (!list[n].name || !list[n].target)
            status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the aliases");
        n++;
    }
    json_decref(root);
    if (status != HEARTH_OK) {
        aliases_free(list, n);
        return status;
    }
    qsort(list, n, sizeof *list, by_name);
    *aliases = list;
    *count = n;
    return HEARTH_OK;
}

void aliases_free(struct alias *aliases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        mem_free(aliases[i].name);
        mem_free(aliases[i].target);
    }
    mem_free(aliases);
}

const struct alias *aliases_find(const struct alias *aliases, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(aliases[i].name, name) == 0) return &aliases[i];
    return NULL;
}

static void remove_any_case(json_t *root, const char *name) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(root, next, key, value) {
        if (strcasecmp(key, name) == 0) json_object_del(root, key);
    }
}

static hearth_status change(const char *path, const char *name, const char *target,
                            hearth_error *err) {
    json_t *root;
    RETURN_IF_ERROR(load(path, &root, err));
    remove_any_case(root, name);
    bool ok = !target || json_object_set_new(root, name, json_string(target)) == 0;
    char *text = ok ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    hearth_status status =
        text ? file_write(path, text, strlen(text), err)
             : error_set(err, HEARTH_ERROR_ARGUMENT, "cannot save the alias '%s': not UTF-8", name);
    free(text);
    json_decref(root);
    return status;
}

hearth_status alias_set(const char *path, const char *name, const char *target, hearth_error *err) {
    char *folder = path_folder(path);
    hearth_status status = folder ? file_make_folders(folder, err) : HEARTH_ERROR_NO_MEMORY;
    char *lock_path = folder ? path_join(folder, ".aliases.lock") : NULL;
    int lock = -1;
    if (status == HEARTH_OK && lock_path)
        lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (status == HEARTH_OK && lock < 0)
        status = error_set_errno(err, "cannot write to '%s'", folder);
    if (status == HEARTH_OK) {
        flock(lock, LOCK_EX);
        status = change(path, name, target, err);
    }
    if (lock >= 0) close(lock);
    mem_free(lock_path);
    mem_free(folder);
    return status;
}
