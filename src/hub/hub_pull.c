/* Pull, in order: list the repository, choose files, learn their identity, check the
 * disk, fetch each blob under its lock, link it, and last write the reference. A
 * folder's config.json is linked last, so that half a folder does not look whole. */
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "hub/fetch_blob.h"
#include "hub/hub_cache.h"
#include "hub/hub_expand.h"
#include "hub/hub_files.h"
#include "hub/hub_local.h"
#include "hub/hub_remote.h"

enum { RESERVE_BYTES = 16 << 20 /* that a disk should keep free */ };

struct pull {
    struct hub *hub;
    const struct hub_pull_options *options;
    struct hub_name name;
    struct http_client *client;
    struct hub_remote remote;
    char *repo_folder;
    struct hub_files files;
    struct hub_file **chosen; /* [n_chosen] into files */
    size_t n_chosen;
    struct hub_progress progress;
    uint64_t before; /* bytes of the files that are finished */
};

/* ---- choosing ---------------------------------------------------------- */

static void choose(struct pull *p, struct hub_file *file) {
    p->chosen[p->n_chosen++] = file;
}

static hearth_status choose_gguf(struct pull *p, const struct gguf_group *groups, size_t count,
                                 hearth_error *err) {
    const struct gguf_group *group = NULL;
    if (p->name.file[0]) {
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < groups[i].count; k++)
                if (strcmp(p->files.items[groups[i].first + k].name, p->name.file) == 0)
                    group = &groups[i];
    } else {
        RETURN_IF_ERROR(gguf_choose(groups, count, p->name.quant, p->name.repo, &group, err));
    }
    for (size_t i = 0; group && i < group->count; i++)
        choose(p, &p->files.items[group->first + i]);
    return HEARTH_OK;
}

static bool is_marker(const char *name) {
    return strcmp(name, "config.json") == 0 || strcmp(name, "adapter_config.json") == 0;
}

static hearth_status choose_folder(struct pull *p, hearth_error *err) {
    if (!hub_is_model_folder(&p->files))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s' has neither GGUF files nor config.json with safetensors; look for a "
                         "repository whose name ends in -GGUF",
                         p->name.repo);
    if (p->name.quant[0])
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "'%s' has no GGUF files, so no '%s' among them; pull it without ':%s', or "
                         "look for a repository whose name ends in -GGUF",
                         p->name.repo, p->name.quant, p->name.quant);
    for (int marker = 0; marker < 2; marker++)
        for (size_t i = 0; i < p->files.count; i++) {
            struct hub_file *file = &p->files.items[i];
            if (hub_is_folder_file(&p->files, file->name) && is_marker(file->name) == marker)
                choose(p, file);
        }
    return HEARTH_OK;
}

static hearth_status choose_files(struct pull *p, hearth_error *err) {
    struct gguf_group *groups;
    size_t count;
    p->chosen = mem_calloc(p->files.count + 1, sizeof *p->chosen);
    if (!p->chosen) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pull");
    RETURN_IF_ERROR(gguf_groups(&p->files, &groups, &count, err));
    hearth_status status = HEARTH_OK;
    if (count > 0) status = choose_gguf(p, groups, count, err);
    if (status == HEARTH_OK && p->n_chosen == 0 && p->name.file[0]) {
        const struct hub_file *file = hub_files_find(&p->files, p->name.file);
        if (file)
            choose(p, p->files.items + (file - p->files.items));
        else
            status = error_set(err, HEARTH_ERROR_NOT_FOUND, "'%s' has no file '%s'", p->name.repo,
                               p->name.file);
    } else if (status == HEARTH_OK && count == 0) {
        status = choose_folder(p, err);
    }
    mem_free(groups);
    return status;
}

/* ---- fetching ---------------------------------------------------------- */

static bool have_file(const struct pull *p, const struct hub_file *file) {
    uint64_t size = 0;
    char *blob = cache_path(p->repo_folder, "blobs", file->etag);
    bool have = blob && file_size(blob, &size, NULL) == HEARTH_OK && size == file->size_bytes;
    mem_free(blob);
    if (have) return true;
    /* Where links cannot be made, the bytes are in the snapshot itself. */
    char *snapshot = cache_path(p->repo_folder, "snapshots", p->remote.commit);
    char *entry = snapshot ? path_join(snapshot, file->name) : NULL;
    have = entry && file_size(entry, &size, NULL) == HEARTH_OK && size == file->size_bytes;
    mem_free(snapshot);
    mem_free(entry);
    return have;
}

static hearth_status check_disk(struct pull *p, hearth_error *err) {
    char need[32], have[32];
    uint64_t missing = 0, available = file_disk_free(p->hub->cache);
    for (size_t i = 0; i < p->n_chosen; i++) {
        const struct hub_file *file = p->chosen[i];
        p->progress.total_bytes += file->size_bytes;
        if (have_file(p, file)) continue;
        char *blob = cache_path(p->repo_folder, "blobs", file->etag);
        uint64_t there = blob ? fetch_on_disk(blob) : 0;
        if (there < file->size_bytes) missing += file->size_bytes - there;
        mem_free(blob);
    }
    if (available == 0 || missing == 0 || missing + RESERVE_BYTES <= available) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_IO,
                     "not enough room: '%s' needs %s more, '%s' has %s free; make room with "
                     "'hearth rm', or set HF_HUB_CACHE to a larger disk",
                     p->name.repo, units_format_bytes(missing, need, sizeof need), p->hub->cache,
                     units_format_bytes(available, have, sizeof have));
}

static void report(void *context, uint64_t done_bytes) {
    struct pull *p = context;
    p->progress.file_done = done_bytes;
    p->progress.total_done = p->before + done_bytes;
    if (p->options->on_progress) p->options->on_progress(p->options->context, &p->progress);
}

static hearth_status refuse(void *context, const struct http_response *response,
                            hearth_error *err) {
    struct pull *p = context;
    return hub_remote_refuse(&p->remote, response, err);
}

static hearth_status fetch_file(struct pull *p, const struct hub_file *file, hearth_error *err) {
    char *url = hub_remote_url(&p->remote, file->name);
    char *blob = cache_path(p->repo_folder, "blobs", file->etag);
    hearth_status status;
    if (url && blob) {
        struct fetch fetch = {.url = url,
                              .authorization = p->hub->authorization,
                              .path = blob,
                              .file = file->name,
                              .sha256 = hub_is_sha256(file->etag) ? file->etag : NULL,
                              .size_bytes = file->size_bytes,
                              .connections = p->options->connections,
                              .chunk_bytes = p->options->chunk_bytes,
                              .on_bytes = report,
                              .context = p,
                              .refuse = refuse};
        status = fetch_blob(p->client, &fetch, err);
    } else {
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pull");
    }
    mem_free(url);
    mem_free(blob);
    return status;
}

static hearth_status pull_file(struct pull *p, const struct hub_file *file, hearth_error *err) {
    int lock = -1;
    p->progress.file = file->name;
    p->progress.etag = file->etag;
    p->progress.file_total = file->size_bytes;
    RETURN_IF_ERROR(cache_lock(p->hub, p->name.repo, file->etag, p->options->cancel, &lock, err));
    hearth_status status = HEARTH_OK;
    /* Asked under the lock: another process may have just finished it. */
    if (!have_file(p, file)) status = fetch_file(p, file, err);
    char *blob = cache_path(p->repo_folder, "blobs", file->etag);
    if (status == HEARTH_OK && blob && file_exists(blob))
        status = cache_link(p->hub, p->repo_folder, p->remote.commit, file->name, file->etag, err);
    mem_free(blob);
    cache_unlock(lock);
    if (status == HEARTH_OK) report(p, file->size_bytes);
    p->before += file->size_bytes;
    return status;
}

/* ---- the whole --------------------------------------------------------- */

static hearth_status make_places(struct pull *p, hearth_error *err) {
    p->repo_folder = cache_repo_folder(p->hub, p->name.repo);
    char *blobs = p->repo_folder ? path_join(p->repo_folder, "blobs") : NULL;
    hearth_status status = blobs ? file_make_folders(blobs, err)
                                 : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a pull");
    mem_free(blobs);
    return status;
}

static hearth_status give_path(struct pull *p, char **path, hearth_error *err) {
    bool is_folder = p->n_chosen > 0 && is_marker(p->chosen[p->n_chosen - 1]->name);
    char *snapshot = cache_path(p->repo_folder, "snapshots", p->remote.commit);
    if (!path) {
        mem_free(snapshot);
        return HEARTH_OK;
    }
    if (is_folder && !p->name.file[0]) {
        *path = snapshot;
    } else {
        *path = snapshot ? path_join(snapshot, p->chosen[0]->name) : NULL;
        mem_free(snapshot);
    }
    if (*path) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path");
}

static hearth_status pull_repo(struct pull *p, char **path, hearth_error *err) {
    struct http_options http = {.cancel = p->options->cancel,
                                .backoff_ms = p->options->backoff_ms,
                                .stall_timeout_ms = p->options->stall_timeout_ms};
    RETURN_IF_ERROR(http_client_open(&p->client, &http, err));
    p->remote.client = p->client;
    RETURN_IF_ERROR(hub_remote_list(&p->remote, &p->files, err));
    RETURN_IF_ERROR(choose_files(p, err));
    RETURN_IF_ERROR(hub_remote_identify(&p->remote, p->chosen, p->n_chosen, err));
    RETURN_IF_ERROR(make_places(p, err));
    RETURN_IF_ERROR(check_disk(p, err));
    for (size_t i = 0; i < p->n_chosen; i++)
        RETURN_IF_ERROR(pull_file(p, p->chosen[i], err));
    if (strcmp(p->remote.revision, p->remote.commit) != 0)
        RETURN_IF_ERROR(cache_write_ref(p->repo_folder, p->remote.revision, p->remote.commit, err));
    return give_path(p, path, err);
}

static hearth_status pull_offline(struct hub *hub, const char *name, char **path,
                                  hearth_error *err) {
    char *found = NULL;
    hearth_status status = hub_resolve(hub, name, &found, NULL);
    if (status != HEARTH_OK)
        return error_set(err, HEARTH_ERROR_IO,
                         "cannot pull '%.200s': HF_HUB_OFFLINE is set and it is not in the cache; "
                         "unset it to use the network",
                         name);
    if (path)
        *path = found;
    else
        mem_free(found);
    return HEARTH_OK;
}

hearth_status hub_pull(struct hub *hub, const char *name, const struct hub_pull_options *options,
                       char **path, hearth_error *err) {
    static const struct hub_pull_options defaults = {0};
    struct pull p = {.hub = hub, .options = options ? options : &defaults};
    char *local = NULL;
    if (path) *path = NULL;
    hearth_status known = hub_expand(hub, name, &p.name, &local, err);
    if (known == HEARTH_ERROR_NOT_FOUND) return local_suggest(hub, name, err);
    if (known != HEARTH_OK) return known;
    if (local) {
        mem_free(local);
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "'%.200s' is already a local file; there is nothing to pull", name);
    }
    if (hub->offline) return pull_offline(hub, name, path, err);
    p.remote = (struct hub_remote){.hub = hub, .repo = p.name.repo, .revision = "main"};
    if (p.name.revision[0]) p.remote.revision = p.name.revision;
    if (p.options->revision) p.remote.revision = p.options->revision;
    if (!hub_safe_revision(p.remote.revision))
        return error_set(err, HEARTH_ERROR_ARGUMENT, "'%.100s' cannot be a revision",
                         p.remote.revision);
    hearth_status status = pull_repo(&p, path, err);
    http_client_close(p.client);
    hub_files_release(&p.files);
    mem_free(p.chosen);
    mem_free(p.repo_folder);
    return status;
}
