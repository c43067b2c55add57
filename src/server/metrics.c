#include "server/metrics.h"

#include <inttypes.h>

/* Seconds; from a token of a small model to the answer of a large one. */
static const double bounds[METRICS_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                               0.25,  0.5,    1,     2.5,  5,     10,   60};

/* Whatever is not among them counts as the last. */
static const int statuses[METRICS_STATUSES] = {200, 201, 202, 204, 206, 304, 307, 400,
                                               401, 403, 404, 405, 408, 409, 411, 413,
                                               414, 415, 422, 429, 431, 500, 503, 0};

static uint64_t get(atomic_uint_fast64_t *value) {
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void add(atomic_uint_fast64_t *value, uint64_t n) {
    atomic_fetch_add_explicit(value, n, memory_order_relaxed);
}

void metrics_observe(struct metrics_histogram *h, double seconds) {
    size_t i = 0;
    while (i < METRICS_BUCKETS && seconds > bounds[i])
        i++;
    add(&h->counts[i], 1);
    if (seconds > 0) add(&h->total_ns, (uint64_t)(seconds * 1e9));
}

void metrics_count_request(struct metrics *m, size_t path, int status, double seconds) {
    size_t i = 0;
    while (i < METRICS_STATUSES - 1 && statuses[i] != status)
        i++;
    if (path < METRICS_PATHS) add(&m->requests[path][i], 1);
    metrics_observe(&m->request, seconds);
}

void metrics_count_usage(struct metrics *m, const struct event_usage *u) {
    add(&m->prompt_tokens, u->n_prompt);
    add(&m->cached_tokens, u->n_cached);
    add(&m->answer_tokens, u->n_answer);
    add(&m->reasoning_tokens, u->n_reasoning);
    add(&m->drafted_tokens, u->n_drafted);
    add(&m->accepted_tokens, u->n_accepted);
    add(&m->prompt_ns, (uint64_t)(u->prompt_seconds * 1e9));
    add(&m->answer_ns, (uint64_t)(u->answer_seconds * 1e9));
    metrics_observe(&m->queue, u->queue_seconds);
}

/* ---- text ------------------------------------------------------------------------ */

static void put_head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_counter(struct buf *out, const char *name, uint64_t value, const char *help) {
    put_head(out, name, "counter", help);
    buf_append_format(out, "%s %" PRIu64 "\n", name, value);
}

static void put_gauge(struct buf *out, const char *name, double value, const char *help) {
    put_head(out, name, "gauge", help);
    buf_append_format(out, "%s %.15g\n", name, value);
}

static void put_histogram(struct buf *out, const char *name, struct metrics_histogram *h,
                          const char *help) {
    uint64_t n = 0;
    put_head(out, name, "histogram", help);
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        n += get(&h->counts[i]);
        buf_append_format(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds[i], n);
    }
    n += get(&h->counts[METRICS_BUCKETS]);
    buf_append_format(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, n);
    buf_append_format(out, "%s_sum %.9g\n%s_count %" PRIu64 "\n", name,
                      (double)get(&h->total_ns) * 1e-9, name, n);
}

static void put_requests(struct metrics *m, const char *const *names, size_t n_names,
                         struct buf *out) {
    put_head(out, "hearth_requests_total", "counter", "Requests, by endpoint and HTTP status");
    for (size_t i = 0; i < n_names && i < METRICS_PATHS; i++)
        for (size_t k = 0; k < METRICS_STATUSES; k++) {
            uint64_t n = get(&m->requests[i][k]);
            if (n == 0) continue;
            buf_append_format(out, "hearth_requests_total{endpoint=\"%s\",status=\"", names[i]);
            if (statuses[k])
                buf_append_format(out, "%d", statuses[k]);
            else
                buf_append_text(out, "other");
            buf_append_format(out, "\"} %" PRIu64 "\n", n);
        }
}

static void put_tokens(struct metrics *m, struct buf *out) {
    put_counter(out, "hearth_prompt_tokens_total", get(&m->prompt_tokens), "Tokens of prompts");
    put_counter(out, "hearth_cached_tokens_total", get(&m->cached_tokens),
                "Tokens of prompts that were computed before");
    put_counter(out, "hearth_answer_tokens_total", get(&m->answer_tokens), "Tokens generated");
    put_counter(out, "hearth_reasoning_tokens_total", get(&m->reasoning_tokens),
                "Tokens generated that were thinking");
    put_counter(out, "hearth_drafted_tokens_total", get(&m->drafted_tokens),
                "Tokens guessed by speculation");
    put_counter(out, "hearth_accepted_tokens_total", get(&m->accepted_tokens),
                "Guessed tokens that were right");
}

/* The names that llama.cpp's server gives them. */
static void put_llamacpp(struct metrics *m, const struct metrics_now *now, struct buf *out) {
    double prompt_s = (double)get(&m->prompt_ns) * 1e-9;
    double answer_s = (double)get(&m->answer_ns) * 1e-9;
    uint64_t prompt = get(&m->prompt_tokens) - get(&m->cached_tokens);
    uint64_t answer = get(&m->answer_tokens);
    put_counter(out, "llamacpp:prompt_tokens_total", prompt, "Tokens of prompts computed");
    put_counter(out, "llamacpp:tokens_predicted_total", answer, "Tokens generated");
    put_head(out, "llamacpp:prompt_seconds_total", "counter", "Seconds spent on prompts");
    buf_append_format(out, "llamacpp:prompt_seconds_total %.9g\n", prompt_s);
    put_head(out, "llamacpp:tokens_predicted_seconds_total", "counter", "Seconds spent on answers");
    buf_append_format(out, "llamacpp:tokens_predicted_seconds_total %.9g\n", answer_s);
    put_gauge(out, "llamacpp:prompt_tokens_seconds", prompt_s > 0 ? (double)prompt / prompt_s : 0,
              "Tokens of prompts computed a second");
    put_gauge(out, "llamacpp:predicted_tokens_seconds",
              answer_s > 0 ? (double)answer / answer_s : 0, "Tokens generated a second");
    put_gauge(out, "llamacpp:requests_processing", (double)now->running, "Requests that run");
    put_gauge(out, "llamacpp:requests_deferred", (double)now->waiting, "Requests that wait");
}

void metrics_put(struct metrics *m, const struct metrics_now *now, const char *const *path_names,
                 size_t n_paths, struct buf *out) {
    put_requests(m, path_names, n_paths, out);
    put_histogram(out, "hearth_request_seconds", &m->request, "From the first byte to the last");
    put_histogram(out, "hearth_time_to_first_token_seconds", &m->first_token,
                  "From a request to the first piece of its answer");
    put_histogram(out, "vllm:time_to_first_token_seconds", &m->first_token,
                  "From a request to the first piece of its answer");
    put_histogram(out, "hearth_time_between_tokens_seconds", &m->between_tokens,
                  "From one piece of an answer to the next");
    put_histogram(out, "hearth_queue_seconds", &m->queue, "How long requests waited");
    put_tokens(m, out);
    put_counter(out, "hearth_answers_abandoned_total", get(&m->gone),
                "Answers that ended because their client left");
    put_counter(out, "hearth_answers_unread_total", get(&m->overflowed),
                "Answers that ended because their client did not read them");
    put_counter(out, "hearth_requests_limited_total", get(&m->limited),
                "Requests refused because of their key's limits or a full queue");
    put_counter(out, "hearth_requests_forbidden_total", get(&m->refused),
                "Requests refused because of key, host or origin");
    put_gauge(out, "hearth_connections", (double)atomic_load(&m->connections), "Open connections");
    put_gauge(out, "hearth_requests_active", (double)atomic_load(&m->active),
              "Requests being answered");
    put_gauge(out, "hearth_requests_running", (double)now->running, "Jobs that compute");
    put_gauge(out, "hearth_requests_waiting", (double)now->waiting, "Jobs that wait");
    put_gauge(out, "hearth_cache_bytes", (double)now->cache_bytes, "Memory of keys and values");
    put_gauge(out, "hearth_uptime_seconds", now->uptime_seconds, "Since the server started");
    if (now->certificate_expires_s)
        put_gauge(out, "hearth_certificate_expires_seconds", (double)now->certificate_expires_s,
                  "When the certificate ends to be valid, since 1970");
    put_llamacpp(m, now, out);
}
