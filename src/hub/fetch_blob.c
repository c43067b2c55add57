#include "hub/fetch_blob.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/units.h"
#include "hub/range_log.h"
#include "hub/trailing_hash.h"

enum {
    DEFAULT_CONNECTIONS = 4,
    MAX_CONNECTIONS = 32,
    MIN_CHUNK_BYTES = 16 << 20,
    MAX_CHUNK_BYTES = 64 << 20,
    CHUNKS_PER_CONNECTION = 8,
    PATH_BYTES = 4096
};

struct lane;

struct download {
    struct http_client *client;
    const struct fetch *fetch;
    char partial[PATH_BYTES], ranges[PATH_BYTES];
    int fd;
    struct range_log log;
    struct trailing_hash *hash;
    uint64_t done_bytes;
    size_t next_chunk;
    bool one_stream; /* the server does not serve ranges */
    struct lane {
        struct download *download;
        struct http_transfer *transfer;
        size_t chunk;
    } lanes[MAX_CONNECTIONS];
    unsigned n_lanes;
};

static bool partial_names(struct download *d) {
    const char *path = d->fetch->path;
    int n = snprintf(d->partial, sizeof d->partial, "%s.hearth.incomplete", path);
    int m = snprintf(d->ranges, sizeof d->ranges, "%s.hearth.ranges", path);
    return n > 0 && (size_t)n < sizeof d->partial && m > 0 && (size_t)m < sizeof d->ranges;
}

uint64_t fetch_on_disk(const char *path) {
    struct stat info;
    char partial[PATH_BYTES];
    int n = snprintf(partial, sizeof partial, "%s.hearth.incomplete", path);
    if (n < 0 || (size_t)n >= sizeof partial || stat(partial, &info) != 0) return 0;
    return (uint64_t)info.st_blocks * 512; /* POSIX counts in this unit; gaps take none */
}

static uint64_t chunk_size(const struct fetch *fetch, unsigned connections) {
    if (fetch->chunk_bytes) return fetch->chunk_bytes;
    uint64_t chunk = fetch->size_bytes / ((uint64_t)connections * CHUNKS_PER_CONNECTION);
    if (chunk < MIN_CHUNK_BYTES) return MIN_CHUNK_BYTES;
    return chunk > MAX_CHUNK_BYTES ? MAX_CHUNK_BYTES : chunk;
}

/* A partial file of another tool: its length is what is there. */
static void adopt(struct download *d) {
    char theirs[PATH_BYTES];
    uint64_t size = 0;
    const struct fetch *fetch = d->fetch;
    int n = snprintf(theirs, sizeof theirs, "%s.incomplete", fetch->path);
    if (!fetch->sha256 || n < 0 || (size_t)n >= sizeof theirs || file_exists(d->partial)) return;
    if (file_size(theirs, &size, NULL) != HEARTH_OK || size == 0 || size > fetch->size_bytes ||
        rename(theirs, d->partial) != 0)
        return;
    struct range_log log;
    unlink(d->ranges);
    if (range_log_open(&log, d->ranges, fetch->size_bytes, chunk_size(fetch, DEFAULT_CONNECTIONS),
                       size, NULL) != HEARTH_OK)
        return;
    for (size_t i = 0; i < log.n_chunks && range_log_begin(&log, i) < size; i++) {
        uint64_t left = size - range_log_begin(&log, i), length = range_log_length(&log, i);
        range_log_add(&log, i, left < length ? left : length, NULL);
    }
    range_log_close(&log);
}

static hearth_status open_download(struct download *d, hearth_error *err) {
    const struct fetch *fetch = d->fetch;
    struct stat info;
    if (!partial_names(d))
        return error_set(err, HEARTH_ERROR_LIMIT, "the path of '%s' is too long", fetch->file);
    adopt(d);
    d->fd = open(d->partial, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (d->fd < 0 || fstat(d->fd, &info) != 0)
        return error_set_errno(err, "cannot create '%s'", d->partial);
    d->n_lanes = fetch->connections ? fetch->connections : DEFAULT_CONNECTIONS;
    if (d->n_lanes > MAX_CONNECTIONS) d->n_lanes = MAX_CONNECTIONS;
    RETURN_IF_ERROR(range_log_open(&d->log, d->ranges, fetch->size_bytes,
                                   chunk_size(fetch, d->n_lanes), (uint64_t)info.st_size, err));
    d->done_bytes = range_log_total(&d->log);
    if (!fetch->sha256) return HEARTH_OK;
    return trailing_hash_start(&d->hash, d->fd, fetch->size_bytes, err);
}

static void close_download(struct download *d) {
    for (unsigned i = 0; i < d->n_lanes; i++)
        if (d->lanes[i].transfer) http_finish(d->lanes[i].transfer, NULL, NULL);
    trailing_hash_abandon(d->hash);
    range_log_close(&d->log);
    if (d->fd >= 0) close(d->fd);
}

static void remove_partial(struct download *d) {
    unlink(d->partial);
    unlink(d->ranges);
}

static hearth_status write_error(struct download *d, hearth_error *err) {
    char left[32];
    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG)
        return error_set_errno(err, "cannot write '%s'", d->partial);
    units_format_bytes(d->fetch->size_bytes - d->done_bytes, left, sizeof left);
    return error_set_errno(err,
                           "the disk is full while pulling '%s', %s are missing; make room and "
                           "pull again, what came so far is kept",
                           d->fetch->file, left);
}

/* Takes a piece of a chunk: bytes first, then the note that they are there. */
static hearth_status take_piece(void *context, const void *data, size_t n, hearth_error *err) {
    struct lane *lane = context;
    struct download *d = lane->download;
    struct range_log *log = &d->log;
    uint64_t done = log->done[lane->chunk];
    if (n > range_log_length(log, lane->chunk) - done)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the server sends more of '%s' than the %llu bytes it announced",
                         d->fetch->file, (unsigned long long)d->fetch->size_bytes);
    uint64_t offset = range_log_begin(log, lane->chunk) + done;
    for (size_t put = 0; put < n;) {
        ssize_t wrote = pwrite(d->fd, (const char *)data + put, n - put, (off_t)(offset + put));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return write_error(d, err);
        put += (size_t)wrote;
    }
    if (range_log_add(log, lane->chunk, n, NULL) != HEARTH_OK) return write_error(d, err);
    d->done_bytes += n;
    if (d->hash) trailing_hash_advance(d->hash, range_log_prefix(log));
    if (d->fetch->on_bytes) d->fetch->on_bytes(d->fetch->context, d->done_bytes);
    return HEARTH_OK;
}

static hearth_status start_lane(struct download *d, struct lane *lane, hearth_error *err) {
    const struct range_log *log = &d->log;
    while (d->next_chunk < log->n_chunks &&
           log->done[d->next_chunk] == range_log_length(log, d->next_chunk))
        d->next_chunk++;
    if (d->next_chunk == log->n_chunks) return HEARTH_OK;
    lane->chunk = d->next_chunk++;
    lane->download = d;
    struct http_request request = {.url = d->fetch->url,
                                   .authorization = d->fetch->authorization,
                                   .on_body = take_piece,
                                   .context = lane};
    uint64_t begin = range_log_begin(log, lane->chunk), done = log->done[lane->chunk];
    if (log->n_chunks > 1 || done > 0) {
        request.range_begin = begin + done;
        request.range_end = begin + range_log_length(log, lane->chunk);
    }
    return http_start(d->client, &request, &lane->transfer, err);
}

/* Without ranges nothing that is there can be continued. */
static hearth_status restart_in_one_stream(struct download *d, hearth_error *err) {
    char host[300];
    log_message(LOG_WARNING, "%s does not serve parts of a file: fetching '%s' in one stream",
                http_host(d->fetch->url, host, sizeof host), d->fetch->file);
    for (unsigned i = 0; i < d->n_lanes; i++) {
        if (d->lanes[i].transfer) http_finish(d->lanes[i].transfer, NULL, NULL);
        d->lanes[i].transfer = NULL;
    }
    trailing_hash_abandon(d->hash);
    d->hash = NULL;
    d->one_stream = true;
    d->n_lanes = 1;
    d->next_chunk = 0;
    d->done_bytes = 0;
    if (ftruncate(d->fd, 0) != 0) return error_set_errno(err, "cannot write '%s'", d->partial);
    RETURN_IF_ERROR(range_log_restart(&d->log, err));
    if (d->fetch->sha256)
        RETURN_IF_ERROR(trailing_hash_start(&d->hash, d->fd, d->fetch->size_bytes, err));
    return start_lane(d, &d->lanes[0], err);
}

static hearth_status wrong_size(struct download *d, uint64_t found, hearth_error *err) {
    remove_partial(d);
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "the server has %llu bytes of '%s', but announced %llu; what came was "
                     "removed: pull again later",
                     (unsigned long long)found, d->fetch->file,
                     (unsigned long long)d->fetch->size_bytes);
}

static hearth_status judge_answer(struct download *d, const struct http_response *response,
                                  const struct lane *lane, hearth_error *err) {
    uint64_t size = d->fetch->size_bytes;
    if (response->status == 416) return wrong_size(d, response->total_bytes, err);
    if (response->status != 200 && response->status != 206)
        return d->fetch->refuse ? d->fetch->refuse(d->fetch->context, response, err)
                                : http_check(response, err);
    if (response->has_total && response->total_bytes != size)
        return wrong_size(d, response->total_bytes, err);
    if (d->log.done[lane->chunk] != range_log_length(&d->log, lane->chunk))
        return wrong_size(d, range_log_begin(&d->log, lane->chunk) + d->log.done[lane->chunk], err);
    return HEARTH_OK;
}

static hearth_status settle(struct download *d, struct http_transfer *transfer, hearth_error *err) {
    struct lane *lane = http_transfer_context(transfer);
    struct http_response response;
    lane->transfer = NULL;
    hearth_status status = http_finish(transfer, &response, err);
    if (status == HEARTH_ERROR_UNSUPPORTED && response.range_ignored && !d->one_stream)
        status = restart_in_one_stream(d, err);
    else if (status == HEARTH_ERROR_FORMAT && response.has_total &&
             response.total_bytes != d->fetch->size_bytes)
        status = wrong_size(d, response.total_bytes, err);
    else if (status == HEARTH_OK) {
        status = judge_answer(d, &response, lane, err);
        if (status == HEARTH_OK && !d->one_stream) status = start_lane(d, lane, err);
    }
    http_response_release(&response);
    return status;
}

static hearth_status transfer_all(struct download *d, hearth_error *err) {
    struct http_transfer *ended;
    if (d->fetch->size_bytes == 0) return HEARTH_OK;
    for (unsigned i = 0; i < d->n_lanes; i++)
        RETURN_IF_ERROR(start_lane(d, &d->lanes[i], err));
    while ((ended = http_next(d->client)))
        RETURN_IF_ERROR(settle(d, ended, err));
    return HEARTH_OK;
}

static hearth_status verify(struct download *d, hearth_error *err) {
    char found[SHA256_HEX_BYTES];
    if (!d->hash) return HEARTH_OK;
    trailing_hash_advance(d->hash, d->fetch->size_bytes);
    struct trailing_hash *hash = d->hash;
    d->hash = NULL;
    RETURN_IF_ERROR(trailing_hash_finish(hash, found, err));
    if (strcmp(found, d->fetch->sha256) == 0) return HEARTH_OK;
    remove_partial(d);
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "'%s' is damaged: SHA-256 should be %.12s..., what came has %.12s...; it was "
                     "removed: pull again",
                     d->fetch->file, d->fetch->sha256, found);
}

static hearth_status publish(struct download *d, hearth_error *err) {
    if (fsync(d->fd) != 0) return write_error(d, err);
    if (rename(d->partial, d->fetch->path) != 0)
        return error_set_errno(err, "cannot rename '%s'", d->partial);
    unlink(d->ranges);
    char *folder = path_folder(d->fetch->path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    mem_free(folder);
    return HEARTH_OK;
}

hearth_status fetch_blob(struct http_client *client, const struct fetch *fetch, hearth_error *err) {
    struct download *d = mem_calloc(1, sizeof *d);
    if (!d) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a download");
    d->client = client;
    d->fetch = fetch;
    d->fd = d->log.fd = -1;
    hearth_status status = open_download(d, err);
    if (status == HEARTH_OK && d->hash) trailing_hash_advance(d->hash, range_log_prefix(&d->log));
    if (status == HEARTH_OK) status = transfer_all(d, err);
    if (status == HEARTH_OK) status = verify(d, err);
    if (status == HEARTH_OK) status = publish(d, err);
    close_download(d);
    mem_free(d);
    return status;
}
