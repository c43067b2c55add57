#include "hub/hub_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { CACHE_PATH_BYTES = 4096, LOCK_POLL_US = 100000 };

static hearth_status no_memory(hearth_error *err) {
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a path of the model cache");
}

/* "org/repo" → "models--org--repo". */
static void folder_name(const char *repo, char *out, size_t out_size) {
    size_t org = strcspn(repo, "/");
    snprintf(out, out_size, "models--%.*s--%s", (int)org, repo, repo[org] ? repo + org + 1 : "");
}

char *cache_repo_folder(const struct hub *hub, const char *repo) {
    char name[HUB_REPO_BYTES + 16];
    folder_name(repo, name, sizeof name);
    return path_join(hub->cache, name);
}

bool cache_repo_of(const char *folder, char repo[HUB_REPO_BYTES]) {
    enum { PREFIX = sizeof "models--" - 1 };
    if (strncmp(folder, "models--", PREFIX) != 0) return false;
    const char *org = folder + PREFIX, *cut = strstr(org, "--");
    if (!cut || cut == org || !cut[2] || strstr(cut + 2, "--")) return false;
    int n = snprintf(repo, HUB_REPO_BYTES, "%.*s/%s", (int)(cut - org), org, cut + 2);
    return n > 0 && n < HUB_REPO_BYTES;
}

char *cache_path(const char *repo_folder, const char *kind, const char *name) {
    char *folder = path_join(repo_folder, kind);
    char *path = folder ? path_join(folder, name) : NULL;
    mem_free(folder);
    return path;
}

static hearth_status make_folder_of(const char *path, hearth_error *err) {
    char *folder = path_folder(path);
    hearth_status status = folder ? file_make_folders(folder, err) : no_memory(err);
    mem_free(folder);
    return status;
}

/* ---- locks ------------------------------------------------------------- */

static hearth_status open_lock(const struct hub *hub, const char *repo, const char *etag, int *lock,
                               hearth_error *err) {
    char name[HUB_REPO_BYTES + 32], path[CACHE_PATH_BYTES];
    folder_name(repo, name, sizeof name);
    *lock = -1;
    int n = snprintf(path, sizeof path, "%s/.locks/%s/%s.lock", hub->cache, name, etag);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_set(err, HEARTH_ERROR_LIMIT, "the path of the model cache is too long");
    RETURN_IF_ERROR(make_folder_of(path, err));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0) return error_set_errno(err, "cannot create the lock '%s'", path);
    return HEARTH_OK;
}

hearth_status cache_lock(const struct hub *hub, const char *repo, const char *etag,
                         const atomic_bool *cancel, int *lock, hearth_error *err) {
    bool told = false;
    RETURN_IF_ERROR(open_lock(hub, repo, etag, lock, err));
    while (flock(*lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            /* Some network file systems have no locks; then one pull at a time is up
             * to the user, as with other tools. */
            log_message(LOG_WARNING, "cannot lock '%s': %s", hub->cache, strerror(errno));
            return HEARTH_OK;
        }
        if (!told) log_message(LOG_WARNING, "waiting for another pull of '%s' to end", repo);
        told = true;
        if (cancel && atomic_load(cancel)) {
            cache_unlock(*lock);
            *lock = -1;
            return error_set(err, HEARTH_ERROR_CANCELLED, "stopped while waiting for another pull");
        }
        usleep(LOCK_POLL_US);
    }
    return HEARTH_OK;
}

bool cache_try_lock(const struct hub *hub, const char *repo, const char *etag, int *lock) {
    if (open_lock(hub, repo, etag, lock, NULL) != HEARTH_OK) return false;
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
    cache_unlock(*lock);
    return false;
}

void cache_unlock(int lock) {
    if (lock >= 0) close(lock);
}

/* ---- links ------------------------------------------------------------- */

/* "../../blobs/<etag>", one more "../" for each folder in the file's name. */
static void link_target(const char *file, const char *etag, struct buf *out) {
    buf_append_text(out, "../../");
    for (const char *c = file; *c; c++)
        if (*c == '/') buf_append_text(out, "../");
    buf_append_format(out, "blobs/%s", etag);
}

/* Puts the link under a temporary name first, so that an older entry is replaced in
 * one step. */
static bool make_link(const char *target, const char *path) {
    char temporary[CACHE_PATH_BYTES];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >=
        sizeof temporary)
        return false;
    unlink(temporary);
    if (symlink(target, temporary) != 0) return false;
    if (rename(temporary, path) == 0) return true;
    unlink(temporary);
    return false;
}

static bool already_linked(const char *path, const char *target) {
    char now[CACHE_PATH_BYTES];
    ssize_t n = readlink(path, now, sizeof now - 1);
    if (n < 0) return false;
    now[n] = '\0';
    return strcmp(now, target) == 0;
}

hearth_status cache_link(const struct hub *hub, const char *repo_folder, const char *commit,
                         const char *file, const char *etag, hearth_error *err) {
    hearth_status status = HEARTH_OK;
    struct buf target;
    char *snapshot = cache_path(repo_folder, "snapshots", commit);
    char *path = snapshot ? path_join(snapshot, file) : NULL;
    char *blob = cache_path(repo_folder, "blobs", etag);
    buf_init(&target, CACHE_PATH_BYTES);
    link_target(file, etag, &target);
    if (!path || !blob || target.failed)
        status = no_memory(err);
    else
        status = make_folder_of(path, err);
    if (status == HEARTH_OK && !already_linked(path, target.data)) {
        bool linked = !hub->no_symlinks && make_link(target.data, path);
        if (!linked && rename(blob, path) != 0)
            status = error_set_errno(err, "cannot create '%s'", path);
    }
    buf_release(&target);
    mem_free(snapshot);
    mem_free(path);
    mem_free(blob);
    return status;
}

/* ---- references -------------------------------------------------------- */

hearth_status cache_write_ref(const char *repo_folder, const char *revision, const char *commit,
                              hearth_error *err) {
    char *path = cache_path(repo_folder, "refs", revision);
    hearth_status status = path ? make_folder_of(path, err) : no_memory(err);
    if (status == HEARTH_OK) status = file_write(path, commit, strlen(commit), err);
    mem_free(path);
    return status;
}

bool cache_read_ref(const char *repo_folder, const char *revision, char commit[HUB_COMMIT_BYTES]) {
    char *text = NULL, *path = cache_path(repo_folder, "refs", revision);
    size_t size;
    if (path) file_read(path, HUB_COMMIT_BYTES, &text, &size, NULL);
    mem_free(path);
    const char *found = text ? text : revision;
    size_t length = strcspn(found, " \r\n");
    bool ok = length < HUB_COMMIT_BYTES;
    if (ok) snprintf(commit, HUB_COMMIT_BYTES, "%.*s", (int)length, found);
    mem_free(text);
    return ok && hub_safe_commit(commit);
}
