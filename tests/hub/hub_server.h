/* hub_server.h - a model hub on 127.0.0.1 for tests: the listing, the resolve
 * redirects and ranges of the real one, and faults on demand.
 *
 *   GET  /api/models/ORG/REPO/revision/REV      the listing
 *   GET  /api/models?...                        `search_answer`
 *   HEAD, GET /ORG/REPO/resolve/REV/FILE        200, or 302 to /cdn/...
 *   GET  /cdn/ORG/REPO/FILE                     the bytes, with Range
 *
 * Fields of `faults` may be changed between requests. */
#ifndef HEARTH_TESTS_HUB_SERVER_H
#define HEARTH_TESTS_HUB_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HUB_SERVER_FILES = 32, HUB_SERVER_RANGES = 512 };

struct hub_server_file {
    const char *name;
    const uint8_t *data;
    size_t size;
    bool is_large; /* kept apart: its etag is the SHA-256, it is redirected to /cdn/ */
    char etag[65];
};

struct hub_faults {
    _Atomic size_t cut_after;    /* bytes of a body, then the connection breaks... */
    atomic_int cuts;             /* ...this many times */
    atomic_bool stall;           /* bodies stop half way and hang */
    atomic_int status_500_times; /* on /cdn/ */
    atomic_int status_429_times; /* on /cdn/, with Retry-After: 1 */
    atomic_bool wrong_bytes;     /* one byte in the middle is different */
    atomic_bool no_ranges;
    _Atomic long wrong_size;       /* added to the size that is announced */
    atomic_bool absolute_location; /* of the redirect, under another host name */
    atomic_int gated_status;       /* 401 or 403 unless the token is right; 0 open */
    atomic_bool no_sizes;          /* the listing lacks sizes */
    atomic_uint delay_us;          /* before each block of 16 KiB */
    const char *location_of_file;  /* a hostile name in the listing, or NULL */
    const char *search_answer;     /* NULL: 404 */
};

struct hub_server;

/* Serves one repository; `token` is what "Authorization: Bearer" must carry where a
 * token is asked for. Files are borrowed; etags of large ones are filled in. */
struct hub_server *hub_server_start(const char *repo, const char *commit, const char *token,
                                    struct hub_server_file *files, size_t n_files);
void hub_server_stop(struct hub_server *server);
unsigned hub_server_port(const struct hub_server *server);
struct hub_faults *hub_server_faults(struct hub_server *server);

/* What happened since the last reset. */
struct hub_server_counts {
    atomic_uint listings, heads, resolves, bodies;
    _Atomic uint64_t body_bytes;       /* that were sent from /cdn/ */
    atomic_uint tokens_at_cdn;         /* requests there that carried one */
    atomic_uint running, most_at_once; /* bodies in flight */
};
struct hub_server_counts *hub_server_counts(struct hub_server *server);
/* Forgets faults and counts; only when nothing is running. */
void hub_server_reset(struct hub_server *server);

#endif
