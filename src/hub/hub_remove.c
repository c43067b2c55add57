/* Removing a model from the cache: first the snapshots' entries, then the blobs that
 * no snapshot links to any more, then what is empty. A blob whose lock is held is
 * being pulled and stays. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/alias_file.h"
#include "hub/hub_cache.h"
#include "hub/hub_expand.h"
#include "hub/hub_local.h"

enum { PATH_BYTES = 4096, MAX_NAMED = 8 };

struct removal {
    const struct hub *hub;
    struct hub_name name;
    bool all;
    char *repo_folder;
    char **commits;
    size_t n_commits, n_removed;
    char (*etags)[HUB_ETAG_BYTES]; /* [n_etags] that the removed entries linked to */
    size_t n_etags, etag_capacity;
    uint64_t freed_bytes;
};

/* ---- folders and links ------------------------------------------------- */

/* The blob a link of a snapshot names. */
static bool linked_etag(const char *path, char etag[HUB_ETAG_BYTES]) {
    char target[PATH_BYTES];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0) return false;
    target[n] = '\0';
    const char *base = path_base(target);
    if (!strstr(target, "../blobs/") || !hub_safe_etag(base)) return false;
    memcpy(etag, base, strlen(base) + 1);
    return true;
}

/* Calls `visit` for everything that is not a folder, links not followed; then, if
 * `prune`, removes the folders that are empty. */
static void for_each_entry(const char *folder, int depth, bool prune,
                           void (*visit)(const char *path, void *context), void *context) {
    char **names;
    size_t count;
    if (depth > HUB_MAX_DEPTH + 2 || file_list(folder, &names, &count, NULL) != HEARTH_OK) return;
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        char *path = path_join(folder, names[i]);
        if (path && lstat(path, &info) == 0) {
            if (S_ISDIR(info.st_mode))
                for_each_entry(path, depth + 1, prune, visit, context);
            else if (visit)
                visit(path, context);
        }
        mem_free(path);
    }
    file_names_free(names, count);
    if (prune) rmdir(folder);
}

static void unlink_entry(const char *path, void *context) {
    (void)context;
    unlink(path);
}

/* ---- entries ----------------------------------------------------------- */

static hearth_status remember_etag(struct removal *r, const char *etag, hearth_error *err) {
    if (r->n_etags == r->etag_capacity) {
        size_t capacity = r->etag_capacity ? r->etag_capacity * 2 : 16;
        char(*grown)[HUB_ETAG_BYTES] = mem_realloc_array(r->etags, capacity, sizeof *grown);
        if (!grown) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to remove a model");
        r->etags = grown;
        r->etag_capacity = capacity;
    }
    memcpy(r->etags[r->n_etags++], etag, HUB_ETAG_BYTES);
    return HEARTH_OK;
}

static hearth_status remove_entry(struct removal *r, const char *snapshot,
                                  const struct hub_file *file, hearth_error *err) {
    char etag[HUB_ETAG_BYTES] = "";
    char *path = path_join(snapshot, file->name);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to remove a model");
    bool linked = linked_etag(path, etag);
    hearth_status status = linked ? remember_etag(r, etag, err) : HEARTH_OK;
    if (status == HEARTH_OK && unlink(path) != 0)
        status = error_set_errno(err, "cannot remove '%s'", path);
    if (status == HEARTH_OK) r->n_removed++;
    if (status == HEARTH_OK && !linked) r->freed_bytes += file->size_bytes;
    mem_free(path);
    return status;
}

static bool group_has_file(const struct hub_files *files, const struct gguf_group *group,
                           const char *name) {
    for (size_t i = 0; i < group->count; i++)
        if (strcmp(files->items[group->first + i].name, name) == 0) return true;
    return false;
}

/* The range of the sorted list that the name means; all of it without a choice. */
static hearth_status range_to_remove(const struct removal *r, const struct hub_files *files,
                                     size_t *first, size_t *count) {
    struct gguf_group *groups;
    const struct gguf_group *group = NULL;
    size_t n_groups;
    *first = 0;
    *count = files->count;
    RETURN_IF_ERROR(gguf_groups(files, &groups, &n_groups, NULL));
    bool whole = r->all || (n_groups == 0 && !r->name.file[0] && !r->name.quant[0] &&
                            hub_is_model_folder(files));
    hearth_status status = HEARTH_OK;
    if (!whole && r->name.file[0]) {
        const struct hub_file *file = hub_files_find(files, r->name.file);
        *first = file ? (size_t)(file - files->items) : 0;
        *count = file ? 1 : 0;
        for (size_t i = 0; i < n_groups; i++)
            if (group_has_file(files, &groups[i], r->name.file)) group = &groups[i];
    } else if (!whole) {
        status = gguf_choose(groups, n_groups, r->name.quant, r->name.repo, &group, NULL);
        if (status != HEARTH_OK) *count = 0;
    }
    if (group) *first = group->first, *count = group->count;
    mem_free(groups);
    return status == HEARTH_ERROR_NO_MEMORY ? status : HEARTH_OK;
}

static hearth_status remove_from_snapshot(struct removal *r, const char *commit,
                                          hearth_error *err) {
    struct hub_files files = {0};
    size_t first = 0, count = 0;
    char *snapshot = cache_path(r->repo_folder, "snapshots", commit);
    if (!snapshot) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to remove a model");
    hearth_status status = hub_files_walk(&files, snapshot, err);
    if (status == HEARTH_OK) status = range_to_remove(r, &files, &first, &count);
    for (size_t i = 0; status == HEARTH_OK && i < count; i++)
        status = remove_entry(r, snapshot, &files.items[first + i], err);
    hub_files_release(&files);
    mem_free(snapshot);
    return status;
}

/* ---- blobs ------------------------------------------------------------- */

static void forget_if_linked(const char *path, void *context) {
    struct removal *r = context;
    char etag[HUB_ETAG_BYTES];
    if (!linked_etag(path, etag)) return;
    for (size_t i = 0; i < r->n_etags; i++)
        if (strcmp(r->etags[i], etag) == 0) r->etags[i][0] = '\0';
}

static void remove_blob(struct removal *r, const char *etag) {
    uint64_t size = 0;
    int lock;
    char *path = cache_path(r->repo_folder, "blobs", etag);
    if (!path || !cache_try_lock(r->hub, r->name.repo, etag, &lock)) {
        mem_free(path);
        return;
    }
    file_size(path, &size, NULL);
    if (unlink(path) == 0) r->freed_bytes += size;
    cache_unlock(lock);
    mem_free(path);
}

/* Partial downloads of a repository of which nothing is left. */
static void remove_partial(const char *path, void *context) {
    struct removal *r = context;
    struct stat info;
    char etag[HUB_ETAG_BYTES];
    const char *base = path_base(path), *mark = strstr(base, ".hearth.");
    int lock;
    if (!mark || (size_t)(mark - base) >= sizeof etag) return;
    snprintf(etag, sizeof etag, "%.*s", (int)(mark - base), base);
    if (!cache_try_lock(r->hub, r->name.repo, etag, &lock)) return;
    if (stat(path, &info) == 0 && unlink(path) == 0)
        r->freed_bytes += (uint64_t)info.st_blocks * 512;
    r->n_removed++;
    cache_unlock(lock);
}

static void sweep(struct removal *r, const char *kind, bool prune,
                  void (*visit)(const char *path, void *context)) {
    char *folder = path_join(r->repo_folder, kind);
    if (folder) for_each_entry(folder, 0, prune, visit, r);
    mem_free(folder);
}

static void remove_leftovers(struct removal *r) {
    sweep(r, "snapshots", true, forget_if_linked);
    for (size_t i = 0; i < r->n_etags; i++)
        if (r->etags[i][0]) remove_blob(r, r->etags[i]);
    char *snapshots = path_join(r->repo_folder, "snapshots");
    bool nothing_left = snapshots && !file_exists(snapshots);
    mem_free(snapshots);
    if (!nothing_left) return;
    sweep(r, "blobs", true, remove_partial);
    sweep(r, "refs", true, unlink_entry);
    sweep(r, ".no_exist", true, unlink_entry);
    rmdir(r->repo_folder);
}

/* ---- the whole --------------------------------------------------------- */

static hearth_status not_only_one(const struct removal *r, const struct model_list *list,
                                  hearth_error *err) {
    char names[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < list->count && i < MAX_NAMED && length < sizeof names; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "",
                                   list->items[i].name);
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "'%s' holds %zu models: %s; say which, or add --all", r->name.repo,
                     list->count, names);
}

/* A repository with no whole model in it, an interrupted pull, goes whole. */
static hearth_status check_choice(struct removal *r, hearth_error *err) {
    struct model_list list = {0};
    if (r->all || r->name.quant[0] || r->name.file[0]) return HEARTH_OK;
    hearth_status status = local_scan_repo(r->hub, r->name.repo, &list, err);
    if (status == HEARTH_OK && list.count > 1) status = not_only_one(r, &list, err);
    r->all = status == HEARTH_OK && list.count == 0;
    model_list_release(&list);
    return status;
}

static hearth_status remove_repo(struct removal *r, hearth_error *err) {
    r->repo_folder = cache_repo_folder(r->hub, r->name.repo);
    if (!r->repo_folder)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to remove a model");
    RETURN_IF_ERROR(check_choice(r, err));
    RETURN_IF_ERROR(
        local_snapshots(r->repo_folder, r->name.revision, &r->commits, &r->n_commits, err));
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; status == HEARTH_OK && i < r->n_commits; i++)
        status = remove_from_snapshot(r, r->commits[i], err);
    remove_leftovers(r);
    if (status == HEARTH_OK && r->n_removed == 0)
        status = error_set(err, HEARTH_ERROR_NOT_FOUND, "'%s%s%s' is not on this machine",
                           r->name.repo, r->name.quant[0] ? ":" : "", r->name.quant);
    return status;
}

static hearth_status remove_alias(struct hub *hub, const char *name, bool *was_alias,
                                  hearth_error *err) {
    struct alias *aliases;
    size_t count;
    RETURN_IF_ERROR(aliases_read(hub->alias_file, &aliases, &count, err));
    *was_alias = aliases_find(aliases, count, name) != NULL;
    aliases_free(aliases, count);
    return *was_alias ? alias_set(hub->alias_file, name, NULL, err) : HEARTH_OK;
}

/* A file of Hearth's own folder. */
static bool is_own(const struct hub *hub, const char *path) {
    char *folder = path_folder(path);
    bool own = folder && strcmp(folder, hub->own) == 0;
    mem_free(folder);
    return own;
}

static hearth_status remove_own(struct removal *r, const char *path, hearth_error *err) {
    RETURN_IF_ERROR(file_size(path, &r->freed_bytes, err));
    if (unlink(path) == 0) return HEARTH_OK;
    r->freed_bytes = 0;
    return error_set_errno(err, "cannot remove '%s'", path);
}

static hearth_status remove_path(struct removal *r, const char *path, hearth_error *err) {
    if (is_own(r->hub, path)) return remove_own(r, path, err);
    return error_set(err, HEARTH_ERROR_ARGUMENT,
                     "'%.200s' is outside the model cache; remove the file yourself", path);
}

hearth_status hub_remove(struct hub *hub, const char *name, bool all, uint64_t *freed_bytes,
                         hearth_error *err) {
    struct removal r = {.hub = hub, .all = all};
    char *path = NULL;
    bool was_alias = false;
    if (freed_bytes) *freed_bytes = 0;
    RETURN_IF_ERROR(remove_alias(hub, name, &was_alias, err));
    if (was_alias) return HEARTH_OK;
    hearth_status status = hub_expand(hub, name, &r.name, &path, err);
    if (status == HEARTH_ERROR_NOT_FOUND) return local_suggest(hub, name, err);
    if (status == HEARTH_OK) status = path ? remove_path(&r, path, err) : remove_repo(&r, err);
    if (freed_bytes) *freed_bytes = r.freed_bytes;
    mem_free(path);
    mem_free(r.repo_folder);
    mem_free(r.etags);
    file_names_free(r.commits, r.n_commits);
    return status;
}
