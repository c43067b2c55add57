#include "hub/range_log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { MAGIC_BYTES = 16, HEADER_BYTES = 32, MAX_CHUNKS = 1 << 20 };

static const char magic[MAGIC_BYTES + 1] = "hearth-ranges-1\n";

static size_t chunks_of(uint64_t size_bytes, uint64_t chunk_bytes) {
    return size_bytes ? (size_t)((size_bytes - 1) / chunk_bytes + 1) : 1;
}

uint64_t range_log_begin(const struct range_log *log, size_t chunk) {
    return chunk * log->chunk_bytes;
}

uint64_t range_log_length(const struct range_log *log, size_t chunk) {
    uint64_t left = log->size_bytes - range_log_begin(log, chunk);
    return left < log->chunk_bytes ? left : log->chunk_bytes;
}

uint64_t range_log_total(const struct range_log *log) {
    uint64_t total = 0;
    for (size_t i = 0; i < log->n_chunks; i++)
        total += log->done[i];
    return total;
}

uint64_t range_log_prefix(const struct range_log *log) {
    for (size_t i = 0; i < log->n_chunks; i++)
        if (log->done[i] < range_log_length(log, i)) return range_log_begin(log, i) + log->done[i];
    return log->size_bytes;
}

static hearth_status set_chunks(struct range_log *log, uint64_t chunk_bytes, hearth_error *err) {
    log->chunk_bytes = chunk_bytes ? chunk_bytes : 1;
    log->n_chunks = chunks_of(log->size_bytes, log->chunk_bytes);
    mem_free(log->done);
    log->done = log->n_chunks <= MAX_CHUNKS ? mem_calloc(log->n_chunks, sizeof *log->done) : NULL;
    if (log->done) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a download of %llu bytes",
                     (unsigned long long)log->size_bytes);
}

static bool read_all(int fd, void *data, size_t size, uint64_t offset) {
    return pread(fd, data, size, (off_t)offset) == (ssize_t)size;
}

static bool claims_fit(const struct range_log *log, uint64_t have_bytes) {
    for (size_t i = 0; i < log->n_chunks; i++)
        if (log->done[i] > range_log_length(log, i) ||
            (log->done[i] && range_log_begin(log, i) + log->done[i] > have_bytes))
            return false;
    return true;
}

/* False: there is nothing usable. */
static bool load(struct range_log *log, uint64_t have_bytes) {
    uint8_t header[HEADER_BYTES];
    uint64_t size, chunk;
    if (!read_all(log->fd, header, sizeof header, 0) || memcmp(header, magic, MAGIC_BYTES) != 0)
        return false;
    memcpy(&size, header + MAGIC_BYTES, sizeof size);
    memcpy(&chunk, header + MAGIC_BYTES + sizeof size, sizeof chunk);
    if (size != log->size_bytes || chunk == 0 || chunks_of(size, chunk) > MAX_CHUNKS) return false;
    return set_chunks(log, chunk, NULL) == HEARTH_OK &&
           read_all(log->fd, log->done, log->n_chunks * sizeof *log->done, HEADER_BYTES) &&
           claims_fit(log, have_bytes);
}

static hearth_status write_all(struct range_log *log, const void *data, size_t size,
                               uint64_t offset, hearth_error *err) {
    if (pwrite(log->fd, data, size, (off_t)offset) == (ssize_t)size) return HEARTH_OK;
    return error_set_errno(err, "cannot note the progress of a download");
}

static hearth_status begin(struct range_log *log, uint64_t chunk_bytes, hearth_error *err) {
    uint8_t header[HEADER_BYTES];
    RETURN_IF_ERROR(set_chunks(log, chunk_bytes, err));
    memcpy(header, magic, MAGIC_BYTES);
    memcpy(header + MAGIC_BYTES, &log->size_bytes, sizeof log->size_bytes);
    memcpy(header + MAGIC_BYTES + sizeof log->size_bytes, &log->chunk_bytes,
           sizeof log->chunk_bytes);
    if (ftruncate(log->fd, 0) != 0)
        return error_set_errno(err, "cannot note the progress of a download");
    RETURN_IF_ERROR(write_all(log, header, sizeof header, 0, err));
    return write_all(log, log->done, log->n_chunks * sizeof *log->done, HEADER_BYTES, err);
}

hearth_status range_log_open(struct range_log *log, const char *path, uint64_t size_bytes,
                             uint64_t chunk_bytes, uint64_t have_bytes, hearth_error *err) {
    *log = (struct range_log){.size_bytes = size_bytes};
    log->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (log->fd < 0) return error_set_errno(err, "cannot create '%s'", path);
    if (load(log, have_bytes)) return HEARTH_OK;
    hearth_status status = begin(log, chunk_bytes, err);
    if (status != HEARTH_OK) range_log_close(log);
    return status;
}

hearth_status range_log_restart(struct range_log *log, hearth_error *err) {
    return begin(log, log->size_bytes, err);
}

hearth_status range_log_add(struct range_log *log, size_t chunk, uint64_t n, hearth_error *err) {
    log->done[chunk] += n;
    return write_all(log, &log->done[chunk], sizeof *log->done,
                     HEADER_BYTES + chunk * sizeof *log->done, err);
}

void range_log_close(struct range_log *log) {
    if (log->fd >= 0) close(log->fd);
    mem_free(log->done);
    *log = (struct range_log){.fd = -1};
}
