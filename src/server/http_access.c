/* The way of a request through libmicrohttpd: its target, its head, its body, its end. */
#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/mem.h"
#include "base/rng.h"
#include "server/http_errors.h"
#include "server/http_gate.h"
#include "server/http_parts.h"
#include "server/http_routes.h"
#include "server/http_stream.h"
#include "server/http_task.h"
#include "server/json_depth.h"

enum { MAX_JSON_DEPTH = 128, MAX_JSON_VALUES = 1 << 20, MAX_DROPPED_BYTES = 1 << 20 };

/* ---- connections --------------------------------------------------------------------- */

static void prepare_tls(struct http_server *server, struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        server->tls ? MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)
                    : NULL;
    if (info && info->tls_session) http_tls_prepare(server->tls, info->tls_session);
}

void http_access_connection(void *context, struct MHD_Connection *connection, void **link,
                            enum MHD_ConnectionNotificationCode code) {
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        atomic_fetch_sub(&server->metrics.connections, 1);
        http_watch_close_link(server->watch, *link);
        *link = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    atomic_fetch_add(&server->metrics.connections, 1);
    *link = info ? http_watch_open_link(server->watch, info->connect_fd) : NULL;
    http_watch_limit(server->watch, *link, server->settings.header_s);
    prepare_tls(server, connection);
}

/* ---- the request line ---------------------------------------------------------------- */

static void make_id(struct http_server *server, char id[HTTP_ID_BYTES]) {
    pthread_mutex_lock(&server->mutex);
    uint64_t number = server->n_requests++;
    pthread_mutex_unlock(&server->mutex);
    snprintf(id, HTTP_ID_BYTES, "%016llx%08llx", (unsigned long long)rng_at(server->id_key, number),
             (unsigned long long)(number & 0xffffffff));
}

void *http_access_target(void *context, const char *target, struct MHD_Connection *connection) {
    struct http_server *server = context;
    struct http_exchange *x = mem_calloc(1, sizeof *x);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!x) return NULL;
    x->server = server;
    x->connection = connection;
    x->link = info ? info->socket_context : NULL;
    x->begun_ns = clock_now_ns();
    x->path_is_valid = http_target_path(target, x->path, sizeof x->path);
    buf_init(&x->body, server->settings.max_body_bytes);
    buf_init(&x->reply.body, SIZE_MAX / 4);
    make_id(server, x->id);
    http_watch_limit(server->watch, x->link, server->settings.header_s);
    return x;
}

/* ---- the body --------------------------------------------------------------------------- */

/* A refused request's body is read all the same where it is short, so that the connection can be
 * used again and the client sees the answer rather than a broken pipe. */
static enum MHD_Result drop(struct http_exchange *x, size_t *n) {
    x->dropped_bytes += *n;
    *n = 0;
    return x->dropped_bytes <= MAX_DROPPED_BYTES ? MHD_YES : MHD_NO;
}

/* What the bodies of all requests may take together is bounded, too. */
static bool reserve(struct http_exchange *x, size_t n) {
    struct http_server *server = x->server;
    size_t all = atomic_fetch_add(&server->body_bytes, n) + n;
    x->reserved_bytes += n;
    return all <= server->settings.max_bodies_bytes;
}

static void release_body(struct http_exchange *x) {
    atomic_fetch_sub(&x->server->body_bytes, x->reserved_bytes);
    x->reserved_bytes = 0;
    buf_release(&x->body);
}

static enum MHD_Result take_body(struct http_exchange *x, const char *data, size_t *n) {
    if (x->drops_body) return drop(x, n);
    bool has_room = reserve(x, *n);
    if (has_room && buf_append(&x->body, data, *n)) {
        *n = 0;
        return MHD_YES;
    }
    release_body(x);
    x->drops_body = true;
    if (has_room)
        http_gate_refuse_size(x);
    else
        http_gate_refuse_load(x);
    return drop(x, n);
}

static const char *what_is_wrong(const json_error_t *error) {
    switch (json_error_code(error)) {
    case json_error_numeric_overflow: return "has a number that is too large";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "has U+0000 in a text";
    default: return "is not valid JSON";
    }
}

/* What a parser saw may be bytes of no character; where it stopped is said instead. */
static void read_json(struct http_exchange *x) {
    json_error_t error;
    if (x->body.length == 0 && x->route->may_be_empty) return;
    if (x->body.length == 0) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "", "the request has no body; JSON is expected");
        return;
    }
    if (!json_depth_within(x->body.data, x->body.length, MAX_JSON_DEPTH, MAX_JSON_VALUES)) {
        http_reply_error(x, MHD_HTTP_BAD_REQUEST, "",
                         "the body is nested deeper than %d levels, or has more than %d values",
                         MAX_JSON_DEPTH, MAX_JSON_VALUES);
        return;
    }
    /* Dialects know U+0000 in texts; elsewhere texts end there. */
    bool is_dialect = x->route->endpoint != ENDPOINT_COUNT;
    x->json = json_loadb(x->body.data, x->body.length, is_dialect ? JSON_ALLOW_NUL : 0, &error);
    if (x->json) return;
    http_reply_error(x, MHD_HTTP_BAD_REQUEST, "", "the body %s: line %d, column %d, byte %d",
                     what_is_wrong(&error), error.line, error.column, error.position);
}

/* ---- the whole request --------------------------------------------------------------------- */

static bool is_form(const struct http_exchange *x) {
    static const char form[] = "multipart/form-data";
    const char *type = http_exchange_header(x, MHD_HTTP_HEADER_CONTENT_TYPE);
    return x->route->takes_form && type && strncasecmp(type, form, sizeof form - 1) == 0;
}

/* Only what models are asked: other bodies hold keys. */
static bool logs_body(const struct http_exchange *x) {
    return x->server->log.bodies && x->route && x->route->endpoint != ENDPOINT_COUNT;
}

/* What was asked is taken apart by now; the answer may take long. */
static void forget_body(struct http_exchange *x) {
    json_decref(x->json);
    x->json = NULL;
    if (!logs_body(x)) release_body(x);
}

static void answer(struct http_exchange *x) {
    http_watch_limit(x->server->watch, x->link, 0);
    if (x->reply.status) return;
    if (x->route->takes_body && !is_form(x)) read_json(x);
    if (!x->reply.status) x->route->handle(x);
    forget_body(x);
}

static enum MHD_Result go_on(struct http_exchange *x) {
    if (x->stream && !http_stream_resume(x)) return MHD_NO;
    if (x->task && !http_task_resume(x)) return MHD_NO;
    if (x->reply.status && !x->answered) return http_reply_send(x) ? MHD_YES : MHD_NO;
    return MHD_YES;
}

/* The head is there, nothing of the body. */
static enum MHD_Result begin(struct http_exchange *x, const char *method) {
    char allowed[64];
    x->saw_head = true;
    x->method = method;
    x->route = x->path_is_valid ? http_routes_find(method, x->path, &x->rest, allowed) : NULL;
    http_server_count_request(x->server, 1);
    http_watch_limit(x->server->watch, x->link, x->server->settings.body_s);
    http_gate_pass(x, allowed);
    if (!x->reply.status) return MHD_YES;
    x->drops_body = true;
    if (x->reply.closes || !http_gate_may_drop(x)) {
        x->reply.closes = true;
        return http_reply_send(x) ? MHD_YES : MHD_NO;
    }
    return MHD_YES;
}

enum MHD_Result http_access_handle(void *context, struct MHD_Connection *connection,
                                   const char *path, const char *method, const char *version,
                                   const char *data, size_t *n_data, void **exchange) {
    struct http_exchange *x = *exchange;
    (void)context;
    (void)connection;
    (void)path;
    (void)version;
    if (!x) return MHD_NO; /* there was no memory for it */
    if (!x->saw_head) return begin(x, method);
    if (*n_data > 0) return take_body(x, data, n_data);
    if (x->saw_end) return go_on(x);
    x->saw_end = true;
    answer(x);
    bool waits = x->stream || x->task; /* which have suspended the connection */
    return waits || x->answered ? MHD_YES : go_on(x);
}

/* ---- the end ------------------------------------------------------------------------------- */

static const char *remote_of(const struct http_exchange *x, char out[INET6_ADDRSTRLEN]) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    if (address && address->sa_family == AF_INET)
        return inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                         out, INET6_ADDRSTRLEN);
    if (address && address->sa_family == AF_INET6)
        return inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                         out, INET6_ADDRSTRLEN);
    return NULL;
}

static void report_usage(const struct http_exchange *x, const struct access_entry *entry,
                         const struct http_stream_facts *facts) {
    struct usage_row row = {.time = date_now_ms(),
                            .status = entry->status,
                            .prompt_tokens = (int64_t)facts->usage.n_prompt,
                            .answer_tokens = (int64_t)facts->usage.n_answer,
                            .queue_ms = (int64_t)(facts->usage.queue_seconds * 1e3),
                            .prompt_ms = (int64_t)(facts->usage.prompt_seconds * 1e3),
                            .answer_ms = (int64_t)(facts->usage.answer_seconds * 1e3)};
    if (!x->server->settings.usage) return;
    if (x->has_key) snprintf(row.key, sizeof row.key, "%s", x->asker.holder.id);
    snprintf(row.model, sizeof row.model, "%s", facts->model);
    snprintf(row.endpoint, sizeof row.endpoint, "%s", x->route->path);
    usage_queue_put(x->server->settings.usage, &row);
}

static void report(struct http_exchange *x) {
    struct http_server *server = x->server;
    char remote[INET6_ADDRSTRLEN];
    struct access_entry entry = {.id = x->id,
                                 .client_id = *x->client_id ? x->client_id : NULL,
                                 .remote = remote_of(x, remote),
                                 .method = x->method,
                                 .path = x->path,
                                 .key = x->has_key ? x->key.id : NULL,
                                 .body = x->body.data,
                                 .body_bytes = logs_body(x) ? x->body.length : 0,
                                 .status = x->answered ? x->reply.status : 0,
                                 .sent_bytes =
                                     x->reply.data ? x->reply.n_data : x->reply.body.length,
                                 .seconds = clock_seconds_since(x->begun_ns),
                                 .first_seconds = -1};
    if (x->task && http_task_sent_bytes(x->task)) entry.sent_bytes = http_task_sent_bytes(x->task);
    if (x->stream) {
        struct http_stream_facts facts = http_stream_facts(x->stream);
        entry.n_prompt = facts.usage.n_prompt;
        entry.n_answer = facts.usage.n_answer;
        entry.first_seconds = facts.first_seconds;
        if (facts.sent_bytes) entry.sent_bytes = facts.sent_bytes;
        entry.gone = facts.gone;
        report_usage(x, &entry, &facts);
    }
    metrics_count_request(&server->metrics, http_routes_number(x->route), entry.status,
                          entry.seconds);
    access_log_put(&server->log, &entry);
}

void http_access_completed(void *context, struct MHD_Connection *connection, void **exchange,
                           enum MHD_RequestTerminationCode why) {
    struct http_exchange *x = *exchange;
    struct http_server *server = context;
    (void)connection;
    (void)why;
    if (!x) return;
    if (x->saw_head) report(x);
    http_stream_leave(x);
    http_task_leave(x);
    log_feed_leave(server->feed, x->log_reader);
    run_feed_leave(server->run_feed, x->run_reader);
    if (x->holds_slot) limits_end(server->limits, &x->key);
    http_watch_limit(server->watch, x->link, server->settings.idle_s);
    if (x->saw_head) http_server_count_request(server, -1);
    json_decref(x->json);
    release_body(x);
    buf_release(&x->reply.body);
    mem_free(x);
    *exchange = NULL;
}
