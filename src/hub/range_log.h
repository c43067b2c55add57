/* range_log.h - which bytes of a file being fetched are already there.
 *
 * The file is cut into chunks of equal size; of each, a prefix is there. The log
 * lies beside the file and is written after every piece, so that a process that is
 * killed loses nothing: [magic 16][size u64][chunk size u64][prefix of chunk i u64]...
 * in this machine's byte order. A log that does not fit is thrown away. */
#ifndef HEARTH_HUB_RANGE_LOG_H
#define HEARTH_HUB_RANGE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct range_log {
    int fd;
    uint64_t size_bytes, chunk_bytes;
    size_t n_chunks;
    uint64_t *done; /* [n_chunks] bytes that are there, from the chunk's beginning */
};

/* Reads the log at `path`, or begins one. A log that is there keeps its own chunk
 * size. `have_bytes`: the length of the data file, which no claim may exceed. */
hearth_status range_log_open(struct range_log *log, const char *path, uint64_t size_bytes,
                             uint64_t chunk_bytes, uint64_t have_bytes, hearth_error *err);
/* Forgets everything; one chunk from now on. */
hearth_status range_log_restart(struct range_log *log, hearth_error *err);
/* Counts `n` more bytes as there. */
hearth_status range_log_add(struct range_log *log, size_t chunk, uint64_t n, hearth_error *err);
void range_log_close(struct range_log *log);

uint64_t range_log_begin(const struct range_log *log, size_t chunk);  /* offset in the file */
uint64_t range_log_length(const struct range_log *log, size_t chunk); /* of the whole chunk */
uint64_t range_log_total(const struct range_log *log);                /* bytes that are there */
uint64_t range_log_prefix(const struct range_log *log); /* of them, without a gap from 0 */

#endif
