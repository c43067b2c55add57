/* Resolving a name to a path, and helping when there is none. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/alias_file.h"
#include "hub/hub_cache.h"
#include "hub/hub_expand.h"
#include "hub/hub_local.h"
#include "hub/short_names.h"

enum { N_NEAREST = 3, MAX_COMPARED_BYTES = 120 };

/* ---- in the cache ------------------------------------------------------ */

/* The model that `name` means among the files of one snapshot: a relative path, ""
 * for the folder itself; borrowed from `files`. */
static hearth_status find_in_files(const struct hub_files *files, const struct hub_name *name,
                                   const char **found, hearth_error *err) {
    struct gguf_group *groups;
    const struct gguf_group *group = NULL;
    size_t count;
    *found = NULL;
    if (name->file[0]) {
        const struct hub_file *file = hub_files_find(files, name->file);
        if (file) *found = file->name;
        return file ? HEARTH_OK
                    : error_set(err, HEARTH_ERROR_NOT_FOUND, "'%s' has no local file '%s'",
                                name->repo, name->file);
    }
    RETURN_IF_ERROR(gguf_groups(files, &groups, &count, err));
    hearth_status status = HEARTH_OK;
    if (count > 0)
        status = gguf_choose(groups, count, name->quant, name->repo, &group, err);
    else if (!name->quant[0] && hub_is_model_folder(files))
        *found = "";
    else
        status = error_set(err, HEARTH_ERROR_NOT_FOUND, "'%s' is not completely here", name->repo);
    if (group) *found = group->name;
    mem_free(groups);
    return status;
}

static hearth_status find_in_snapshot(const char *snapshot, const struct hub_name *name,
                                      char **path, hearth_error *err) {
    struct hub_files files = {0};
    const char *found = ""; /* the folder itself */
    hearth_status status = hub_files_walk(&files, snapshot, err);
    if (status == HEARTH_OK) status = find_in_files(&files, name, &found, err);
    if (status == HEARTH_OK) {
        *path = found && *found ? path_join(snapshot, found) : mem_strdup(snapshot);
        if (!*path) status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    }
    hub_files_release(&files);
    return status;
}

static hearth_status find_in_cache(const struct hub *hub, const struct hub_name *name, char **path,
                                   hearth_error *err) {
    char **commits = NULL, *folder = cache_repo_folder(hub, name->repo);
    size_t count = 0;
    if (!folder) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
    hearth_status status = local_snapshots(folder, name->revision, &commits, &count, err);
    if (status == HEARTH_OK && count == 0)
        status = error_set(err, HEARTH_ERROR_NOT_FOUND, "'%s' is not on this machine", name->repo);
    for (size_t i = 0; i < count; i++) {
        char *snapshot = cache_path(folder, "snapshots", commits[i]);
        /* The message of the first, current snapshot is the one to keep. */
        hearth_status one = snapshot
                                ? find_in_snapshot(snapshot, name, path, i ? NULL : err)
                                : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
        mem_free(snapshot);
        if (i == 0 || one == HEARTH_OK) status = one;
        if (one == HEARTH_OK) break;
    }
    file_names_free(commits, count);
    mem_free(folder);
    return status;
}

/* ---- nearest names ----------------------------------------------------- */

/* Levenshtein's distance, letter case ignored. */
static unsigned distance(const char *a, const char *b) {
    unsigned row[MAX_COMPARED_BYTES + 1];
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX_COMPARED_BYTES || m > MAX_COMPARED_BYTES) return MAX_COMPARED_BYTES;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            unsigned best = diagonal + !same;
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

struct nearest {
    const char *wanted;
    const char *names[N_NEAREST];
    unsigned distances[N_NEAREST];
    size_t count;
};

static void consider(struct nearest *nearest, const char *name) {
    size_t length = strlen(nearest->wanted);
    unsigned d = distance(nearest->wanted, name), limit = length < 6 ? 2 : (unsigned)length / 3;
    if (length >= 3 && strcasestr(name, nearest->wanted)) d = 1;
    for (size_t i = 0; i < nearest->count; i++)
        if (strcasecmp(nearest->names[i], name) == 0) return;
    if (d > limit) return;
    size_t at = nearest->count;
    while (at > 0 && nearest->distances[at - 1] > d)
        at--;
    if (at == N_NEAREST) return;
    if (nearest->count < N_NEAREST) nearest->count++;
    for (size_t i = nearest->count - 1; i > at; i--) {
        nearest->names[i] = nearest->names[i - 1];
        nearest->distances[i] = nearest->distances[i - 1];
    }
    nearest->names[at] = name;
    nearest->distances[at] = d;
}

static void append_message(hearth_error *err, const char *text) {
    size_t length = strlen(err->message);
    snprintf(err->message + length, sizeof err->message - length, "%s", text);
}

hearth_status local_suggest(struct hub *hub, const char *name, hearth_error *err) {
    struct hub_model *models = NULL;
    size_t count = 0;
    struct nearest nearest = {.wanted = name};
    if (!err) return HEARTH_ERROR_NOT_FOUND;
    hub_list(hub, &models, &count, NULL);
    for (size_t i = 0; i < count; i++)
        consider(&nearest, models[i].name);
    for (size_t i = 0; i < n_short_names; i++)
        consider(&nearest, short_names[i].name);
    for (size_t i = 0; i < nearest.count; i++) {
        append_message(err, i == 0 ? "; did you mean " : " or ");
        append_message(err, nearest.names[i]);
    }
    if (nearest.count) append_message(err, "?");
    hub_models_free(models, count);
    return HEARTH_ERROR_NOT_FOUND;
}

static bool can_be_pulled(const struct hub *hub, const char *name) {
    struct hub_name parts;
    char *path = NULL;
    bool ok = hub_expand(hub, name, &parts, &path, NULL) == HEARTH_OK && parts.repo[0];
    mem_free(path);
    return ok;
}

hearth_status hub_resolve(struct hub *hub, const char *name, char **path, hearth_error *err) {
    struct hub_name parts;
    *path = NULL;
    hearth_status status = hub_expand(hub, name, &parts, path, err);
    if (status == HEARTH_OK && !*path) status = find_in_cache(hub, &parts, path, err);
    if (status != HEARTH_ERROR_NOT_FOUND || !err) return status;
    err->code = status;
    if (can_be_pulled(hub, name)) {
        append_message(err, "; fetch it with 'hearth pull ");
        append_message(err, name);
        append_message(err, "'");
        return status;
    }
    return local_suggest(hub, name, err);
}

/* ---- names of the user's own -------------------------------------------- */

static hearth_status check_own_name(const char *name, hearth_error *err) {
    if (*name && strlen(name) <= MAX_COMPARED_BYTES && !strchr("-./", name[0]) &&
        !strchr(name, ' ') && hub_safe_file(name))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "'%.120s' cannot be a model's name: use letters, digits, '-', '.', ':'", name);
}

hearth_status hub_own_path(struct hub *hub, const char *name, char **path, hearth_error *err) {
    char file[MAX_COMPARED_BYTES + sizeof ".gguf"], *found = NULL;
    *path = NULL;
    RETURN_IF_ERROR(check_own_name(name, err));
    if (strchr(name, '/') || !hub_safe_file(name))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%.120s' cannot be the name of a file", name);
    if (hub_resolve(hub, name, &found, NULL) == HEARTH_OK) {
        mem_free(found);
        return error_set(err, HEARTH_ERROR_ARGUMENT, "there is a model '%.120s' already", name);
    }
    RETURN_IF_ERROR(file_make_folders(hub->own, err));
    snprintf(file, sizeof file, "%s.gguf", name);
    *path = path_join(hub->own, file);
    if (*path) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
}

hearth_status hub_alias(struct hub *hub, const char *alias, const char *target, hearth_error *err) {
    char *path = NULL;
    struct hub_name parts;
    RETURN_IF_ERROR(check_own_name(alias, err));
    if (strcasecmp(alias, target) == 0)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%s' cannot stand for itself", alias);
    if (file_exists(alias))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%s' is a file or folder here, which would hide the name", alias);
    hearth_status status = hub_expand(hub, target, &parts, &path, err);
    if (status == HEARTH_ERROR_NOT_FOUND) status = local_suggest(hub, target, err);
    /* A file's alias should work from every folder. */
    char *full = status == HEARTH_OK && path ? path_absolute(path) : NULL;
    if (status == HEARTH_OK) status = alias_set(hub->alias_file, alias, full ? full : target, err);
    mem_free(full);
    mem_free(path);
    return status;
}
