/* How the server is: for load balancers, for Prometheus, for the app, for clients of llama.cpp's.
 */
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"
#include "server/http_routes.h"
#include "server/http_stream.h"
#include "server/metrics_models.h"

void handle_live(struct http_exchange *x) {
    http_reply_json(x, MHD_HTTP_OK, json_pack("{s:s}", "status", "ok"));
}

/* Whether requests should come here. */
void handle_health(struct http_exchange *x) {
    bool ending = http_server_is_ending(x->server);
    http_reply_json(x, ending ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK,
                    json_pack("{s:s}", "status", ending ? "shutting down" : "ok"));
}

void handle_logs(struct http_exchange *x) {
    if (asker_is_admin(&x->asker))
        log_feed_answer(x->server->feed, x);
    else
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "", "this key may not look after the server");
}

/* What the backend says of itself; NULL: the exchange has a reply. */
static json_t *backend_says(struct http_exchange *x) {
    hearth_error err = {0};
    json_t *says = json_object();
    hearth_status status =
        says ? backend_status(x->server->settings.backend, says, &err)
             : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for the status");
    if (status == HEARTH_OK) return says;
    json_decref(says);
    http_reply_failure(x, status, &err);
    return NULL;
}

static uint64_t cache_bytes(const json_t *says) {
    size_t i;
    const json_t *model;
    uint64_t sum = 0;
    json_array_foreach(json_object_get(says, "models"), i, model) {
        sum += (uint64_t)json_integer_value(json_object_get(model, "cache_bytes"));
    }
    return sum;
}

void handle_metrics(struct http_exchange *x) {
    struct http_server *server = x->server;
    const char *names[METRICS_PATHS];
    size_t n = http_routes_count();
    json_t *says = backend_says(x);
    if (!says) return;
    for (size_t i = 0; i < n && i < METRICS_PATHS; i++)
        names[i] = http_routes_name(i);
    const struct metrics_now now = {
        .running = (uint64_t)json_integer_value(json_object_get(says, "running")),
        .waiting = (uint64_t)json_integer_value(json_object_get(says, "waiting")),
        .cache_bytes = cache_bytes(says),
        .certificate_expires_s = server->tls ? http_tls_expires(server->tls) : 0,
        .uptime_seconds = clock_seconds_since(server->begun_ns)};
    x->reply.status = MHD_HTTP_OK;
    x->reply.type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_put(&server->metrics, &now, names, n, &x->reply.body);
    metrics_put_models(json_object_get(says, "models"), &x->reply.body);
    json_decref(says);
}

void handle_status(struct http_exchange *x) {
    json_t *says = backend_says(x);
    if (!says) return;
    http_reply_json(
        x, MHD_HTTP_OK,
        json_pack("{s:s, s:f, s:O?, s:O?, s:{s:I, s:I}, s:O?, s:{s:O?, s:O?}}", "version",
                  HEARTH_VERSION, "uptime_s", clock_seconds_since(x->server->begun_ns), "device",
                  json_object_get(says, "device"), "threads", json_object_get(says, "threads"),
                  "memory", "total_bytes", (json_int_t)cpu_memory_total(), "available_bytes",
                  (json_int_t)cpu_memory_available(), "models", json_object_get(says, "models"),
                  "queue", "running", json_object_get(says, "running"), "waiting",
                  json_object_get(says, "waiting")));
    json_decref(says);
}

/* ---- requests that are being answered ---------------------------------------------------- */

void handle_requests(struct http_exchange *x) {
    hearth_error err = {0};
    json_t *list = json_array();
    hearth_status status =
        list ? http_stream_list(x->server, &x->asker, list, &err)
             : error_set(&err, HEARTH_ERROR_NO_MEMORY, "no memory for the list of requests");
    if (status == HEARTH_OK)
        http_reply_json(x, MHD_HTTP_OK, json_pack("{s:O}", "requests", list));
    else
        http_reply_failure(x, status, &err);
    json_decref(list);
}

void handle_request_cancel(struct http_exchange *x) {
    if (http_stream_cancel(x->server, &x->asker, x->rest))
        http_reply_json(x, MHD_HTTP_OK, json_pack("{s:s}", "cancelled", x->rest));
    else
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "no request '%.64s' is being answered",
                         x->rest);
}

/* ---- slots --------------------------------------------------------------------------- */

enum { MOST_SLOTS = 4096 };

static json_int_t number_of(const json_t *object, const char *name, json_int_t missing) {
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? json_integer_value(value) : missing;
}

/* Appends those of a model, of which so many compute. Prompts are nobody's business. */
static void add_slots(json_t *slots, const json_t *model, json_int_t n, json_int_t running) {
    for (json_int_t i = 0; i < n && json_array_size(slots) < MOST_SLOTS; i++)
        json_array_append_new(slots, json_pack("{s:I, s:O*, s:I, s:b, s:b}", "id",
                                               (json_int_t)json_array_size(slots), "model",
                                               json_object_get(model, "name"), "n_ctx",
                                               number_of(model, "n_ctx", 0), "speculative",
                                               json_is_true(json_object_get(model, "speculative")),
                                               "is_processing", i < running));
}

json_t *status_slots(struct http_exchange *x) {
    json_t *says = backend_says(x), *slots = says ? json_array() : NULL;
    size_t i;
    const json_t *model;
    if (says && !slots) http_reply_json(x, MHD_HTTP_OK, NULL);
    json_array_foreach(json_object_get(says, "models"), i, model) {
        add_slots(slots, model, number_of(model, "slots", 1),
                  number_of(model, "running", number_of(says, "running", 0)));
    }
    json_decref(says);
    return slots;
}

void handle_slots(struct http_exchange *x) {
    const char *fails = http_exchange_query(x, "fail_on_no_slot");
    json_t *slots = status_slots(x);
    size_t i, n_free = 0;
    const json_t *slot;
    if (!slots) return;
    json_array_foreach(slots, i, slot) {
        n_free += json_is_false(json_object_get(slot, "is_processing"));
    }
    if (fails && strcmp(fails, "1") == 0 && n_free == 0) {
        http_reply_error(x, MHD_HTTP_SERVICE_UNAVAILABLE, "", "no slot available");
        json_decref(slots);
    } else
        http_reply_json(x, MHD_HTTP_OK, slots);
}
