#include "server/http_routes.h"

#include <stdio.h>
#include <string.h>

#include "server/handlers.h"
#include "server/metrics.h"

#define ANSWERS(where, which, shape)                                                               \
    {                                                                                              \
        .method = "POST", .path = (where), .handle = handle_answer, .endpoint = (which),           \
        .errors = (shape), .takes_body = true                                                      \
    }
#define OWN(verb, where, function, ...)                                                            \
    {                                                                                              \
        .method = (verb), .path = (where), .handle = (function), .endpoint = ENDPOINT_COUNT,       \
        __VA_ARGS__                                                                                \
    }

#define MODELS(verb, where, function, shape)                                                       \
    OWN(verb, where, function, .errors = (shape), .takes_body = true)

/* What only needs the store. Signing in is what a key is shown for. */
#define STORED(verb, where, is_open)                                                               \
    OWN(verb, where, handle_stored, .errors = ERRORS_HEARTH, .open = (is_open),                    \
        .takes_body = true, .may_be_empty = true)

static const struct http_route routes[] = {
    ANSWERS("/v1/chat/completions", ENDPOINT_OPENAI_CHAT, ERRORS_OPENAI),
    ANSWERS("/v1/completions", ENDPOINT_OPENAI_COMPLETIONS, ERRORS_OPENAI),
    ANSWERS("/v1/embeddings", ENDPOINT_OPENAI_EMBEDDINGS, ERRORS_OPENAI),
    ANSWERS("/v1/responses", ENDPOINT_OPENAI_RESPONSES, ERRORS_OPENAI),
    ANSWERS("/v1/messages", ENDPOINT_ANTHROPIC_MESSAGES, ERRORS_ANTHROPIC),
    ANSWERS("/v1/messages/count_tokens", ENDPOINT_ANTHROPIC_COUNT, ERRORS_ANTHROPIC),
    ANSWERS("/api/chat", ENDPOINT_OLLAMA_CHAT, ERRORS_OLLAMA),
    ANSWERS("/api/generate", ENDPOINT_OLLAMA_GENERATE, ERRORS_OLLAMA),
    ANSWERS("/api/embed", ENDPOINT_OLLAMA_EMBED, ERRORS_OLLAMA),
    ANSWERS("/api/embeddings", ENDPOINT_OLLAMA_EMBED, ERRORS_OLLAMA),
    ANSWERS("/infill", ENDPOINT_INFILL, ERRORS_OPENAI),
    ANSWERS("/v1/rerank", ENDPOINT_RERANK, ERRORS_OPENAI),
    ANSWERS("/v1/reranking", ENDPOINT_RERANK, ERRORS_OPENAI),
    ANSWERS("/rerank", ENDPOINT_RERANK, ERRORS_OPENAI),
    ANSWERS("/reranking", ENDPOINT_RERANK, ERRORS_OPENAI),

    OWN("GET", "/v1/models", handle_models, .errors = ERRORS_OPENAI),
    OWN("GET", "/v1/models/*", handle_model, .errors = ERRORS_OPENAI),
    OWN("GET", "/api/tags", handle_ollama_tags, .errors = ERRORS_OLLAMA),
    OWN("GET", "/api/ps", handle_ollama_ps, .errors = ERRORS_OLLAMA),
    OWN("POST", "/api/show", handle_ollama_show, .errors = ERRORS_OLLAMA, .takes_body = true),
    OWN("GET", "/api/version", handle_ollama_version, .errors = ERRORS_OLLAMA, .open = true),
    OWN("GET", "/props", handle_props, .errors = ERRORS_OPENAI),
    OWN("GET", "/lora-adapters", handle_adapters, .errors = ERRORS_OPENAI),
    OWN("POST", "/lora-adapters", handle_switch_adapters, .errors = ERRORS_OPENAI,
        .takes_body = true),
    OWN("GET", "/slots", handle_slots, .errors = ERRORS_OPENAI),
    OWN("POST", "/slots/*", handle_slot, .errors = ERRORS_OPENAI, .takes_body = true,
        .may_be_empty = true),
    OWN("POST", "/tokenize", handle_tokenize, .errors = ERRORS_OPENAI, .takes_body = true),
    OWN("POST", "/detokenize", handle_detokenize, .errors = ERRORS_OPENAI, .takes_body = true),
    OWN("POST", "/apply-template", handle_apply_template, .errors = ERRORS_OPENAI,
        .takes_body = true),

    OWN("GET", "/health", handle_health, .errors = ERRORS_OPENAI, .open = true,
        .while_ending = true),
    OWN("GET", "/health/ready", handle_health, .errors = ERRORS_OPENAI, .open = true,
        .while_ending = true),
    OWN("GET", "/health/live", handle_live, .errors = ERRORS_OPENAI, .open = true,
        .while_ending = true),
    OWN("GET", "/metrics", handle_metrics, .errors = ERRORS_OPENAI, .while_ending = true),
    OWN("GET", "/api/hearth/v1/status", handle_status, .errors = ERRORS_HEARTH,
        .while_ending = true),
    OWN("GET", "/api/hearth/v1/requests", handle_requests, .errors = ERRORS_HEARTH),
    OWN("DELETE", "/api/hearth/v1/requests/*", handle_request_cancel, .errors = ERRORS_HEARTH),
    OWN("GET", "/api/hearth/v1/logs", handle_logs, .errors = ERRORS_HEARTH),
    OWN("GET", "/api/hearth/v1/models", handle_own_models, .errors = ERRORS_HEARTH),
    OWN("GET", "/api/hearth/v1/models/search", handle_model_search, .errors = ERRORS_HEARTH),
    MODELS("POST", "/api/hearth/v1/models/pull", handle_model_pull, ERRORS_HEARTH),
    MODELS("POST", "/api/hearth/v1/models/load", handle_model_load, ERRORS_HEARTH),
    MODELS("POST", "/api/hearth/v1/models/unload", handle_model_unload, ERRORS_HEARTH),
    MODELS("POST", "/api/hearth/v1/models/quantize", handle_model_quantize, ERRORS_HEARTH),
    OWN("DELETE", "/api/hearth/v1/models/*", handle_model_delete, .errors = ERRORS_HEARTH),
    MODELS("POST", "/api/pull", handle_ollama_pull, ERRORS_OLLAMA),
    MODELS("DELETE", "/api/delete", handle_ollama_delete, ERRORS_OLLAMA),
    MODELS("POST", "/api/copy", handle_ollama_copy, ERRORS_OLLAMA),

    OWN("GET", "/api/hearth/v1/tune/*", handle_tune, .errors = ERRORS_HEARTH),
    OWN("POST", "/api/hearth/v1/tune/*", handle_tune, .errors = ERRORS_HEARTH, .takes_body = true,
        .may_be_empty = true, .takes_form = true),
    OWN("DELETE", "/api/hearth/v1/tune/*", handle_tune, .errors = ERRORS_HEARTH),

    STORED("GET", "/api/hearth/v1/session", true),
    STORED("POST", "/api/hearth/v1/session", true),
    STORED("DELETE", "/api/hearth/v1/session", true),
    STORED("GET", "/api/hearth/v1/*", false),
    STORED("POST", "/api/hearth/v1/*", false),
    STORED("PUT", "/api/hearth/v1/*", false),
    STORED("PATCH", "/api/hearth/v1/*", false),
    STORED("DELETE", "/api/hearth/v1/*", false),

    OWN("GET", "/*", handle_asset, .errors = ERRORS_BY_PATH, .open = true),
};

enum { N_ROUTES = sizeof routes / sizeof routes[0] };
_Static_assert((int)N_ROUTES < (int)METRICS_PATHS, "every route is counted");

/* Where the rest begins, or NULL. */
static const char *match(const struct http_route *route, const char *path) {
    size_t n = strlen(route->path);
    if (route->path[n - 1] != '*') return strcmp(route->path, path) == 0 ? path + n : NULL;
    return strncmp(route->path, path, n - 1) == 0 ? path + n - 1 : NULL;
}

/* HEAD is answered as GET; libmicrohttpd leaves the body out. */
static bool has_method(const struct http_route *route, const char *method) {
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void add_method(char allowed[64], const char *method) {
    size_t n = strlen(allowed);
    if (strstr(allowed, method)) return;
    snprintf(allowed + n, 64 - n, "%s%s", n ? ", " : "", method);
    if (strcmp(method, "GET") == 0) add_method(allowed, "HEAD");
}

const struct http_route *http_routes_find(const char *method, const char *path, const char **rest,
                                          char allowed[64]) {
    allowed[0] = '\0';
    for (size_t i = 0; i < N_ROUTES; i++) {
        *rest = match(&routes[i], path);
        if (!*rest) continue;
        /* Which every path may be; "/" is one. */
        bool is_file = strcmp(routes[i].path, "/*") == 0 && path[1] != '\0';
        if (has_method(&routes[i], method) && (!is_file || !allowed[0])) return &routes[i];
        if (!is_file) add_method(allowed, routes[i].method);
    }
    *rest = NULL;
    return NULL;
}

size_t http_routes_count(void) {
    return N_ROUTES + 1;
}

size_t http_routes_number(const struct http_route *route) {
    size_t i = 0;
    if (!route) return N_ROUTES;
    while (strcmp(routes[i].path, route->path) != 0)
        i++;
    return i;
}

const char *http_routes_name(size_t number) {
    return number < N_ROUTES ? routes[number].path : "other";
}
