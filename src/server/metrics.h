/* metrics.h - what the server counts, in the text format that Prometheus reads.
 *
 * Counters are added to from any thread without locks. Names begin with hearth_; those of
 * llama.cpp's server that operators plot already are there too. */
#ifndef HEARTH_SERVER_METRICS_H
#define HEARTH_SERVER_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "chat/event.h"

enum { METRICS_BUCKETS = 14, METRICS_STATUSES = 24, METRICS_PATHS = 96 };

struct metrics_histogram {
    atomic_uint_fast64_t counts[METRICS_BUCKETS + 1]; /* the last: beyond all bounds */
    atomic_uint_fast64_t total_ns;
};

struct metrics {
    struct metrics_histogram first_token, between_tokens, queue, request;
    atomic_uint_fast64_t requests[METRICS_PATHS][METRICS_STATUSES];
    atomic_uint_fast64_t prompt_tokens, cached_tokens, answer_tokens, reasoning_tokens;
    atomic_uint_fast64_t drafted_tokens, accepted_tokens;
    atomic_uint_fast64_t prompt_ns, answer_ns;
    atomic_uint_fast64_t gone, overflowed, limited, refused; /* see metrics.c */
    atomic_int_fast64_t connections, active;
};

/* `path`: the number of the route, below METRICS_PATHS. */
void metrics_count_request(struct metrics *metrics, size_t path, int status, double seconds);
void metrics_observe(struct metrics_histogram *histogram, double seconds);
void metrics_count_usage(struct metrics *metrics, const struct event_usage *usage);

/* What the backend says now, for the gauges. */
struct metrics_now {
    uint64_t running, waiting, cache_bytes;
    int64_t certificate_expires_s; /* since 1970; 0: no TLS */
    double uptime_seconds;
};
/* `path_names`: of the numbers, [n_paths]. */
void metrics_put(struct metrics *metrics, const struct metrics_now *now,
                 const char *const *path_names, size_t n_paths, struct buf *out);

#endif
