/* fetch_blob.h - downloads one file of known size, in ranges side by side, and goes
 * on where an earlier attempt, also a killed one, stopped.
 *
 *   <path>.hearth.incomplete   the bytes, with gaps
 *   <path>.hearth.ranges       which of them are there (range_log.h)
 *   <path>                     appears when all are there, checked and on disk
 *
 * Other tools name a partial file <path>.incomplete and take its length for what is
 * there; a file with gaps must not have that name. One of theirs is adopted when
 * the SHA-256 can vouch for the result.
 *
 * The caller holds the blob's lock. */
#ifndef HEARTH_HUB_FETCH_BLOB_H
#define HEARTH_HUB_FETCH_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "net/http.h"

struct fetch {
    const char *url;
    const char *authorization; /* or NULL */
    const char *path;          /* in an existing folder */
    const char *file;          /* what messages call it */
    const char *sha256;        /* 64 hexadecimal digits, or NULL: not checked */
    uint64_t size_bytes;
    unsigned connections;                                 /* 0: 4 */
    uint64_t chunk_bytes;                                 /* 0: 16 to 64 MiB, by size */
    void (*on_bytes)(void *context, uint64_t done_bytes); /* may be NULL */
    void *context;
    /* Turns an answer that is not a success into an error; NULL: http_check. */
    hearth_status (*refuse)(void *context, const struct http_response *response, hearth_error *err);
};

hearth_status fetch_blob(struct http_client *client, const struct fetch *fetch, hearth_error *err);

/* Bytes of a blob that an earlier attempt left on disk. */
uint64_t fetch_on_disk(const char *path);

#endif
