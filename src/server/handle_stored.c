/* The parts of Hearth's own interface that only need the store: conversations, keys, sessions,
 * settings, usage. A request is taken apart here, and answered by api_dispatch.h. */
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "server/api_dispatch.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_parts.h"

enum { MOST_PARTS = 8, MOST_PARAMETERS = 16 };

struct query {
    struct api_parameter items[MOST_PARAMETERS];
    size_t count;
};

static enum MHD_Result take_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *value) {
    struct query *query = context;
    (void)kind;
    if (query->count < MOST_PARAMETERS)
        query->items[query->count++] = (struct api_parameter){name, value ? value : ""};
    return MHD_YES;
}

/* Cuts the path at its slashes; 0: it is empty, or has too many. */
static size_t split(char *path, const char *parts[MOST_PARTS]) {
    char *rest;
    size_t n = 0;
    for (char *at = strtok_r(path, "/", &rest); at; at = strtok_r(NULL, "/", &rest)) {
        if (n == MOST_PARTS) return 0;
        parts[n++] = at;
    }
    return n;
}

static void put_cookie(struct http_exchange *x, const struct api_answer *answer, int64_t now) {
    char text[HTTP_HEADER_BYTES];
    bool set = answer->cookie == COOKIE_SET;
    long long seconds = set ? (long long)((answer->cookie_expires - now) / 1000) : 0;
    if (answer->cookie == COOKIE_STAYS) return;
    snprintf(text, sizeof text, HTTP_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld",
             set ? answer->token : "", seconds);
    http_reply_header(x, MHD_HTTP_HEADER_SET_COOKIE, text);
}

void handle_stored(struct http_exchange *x) {
    char path[HTTP_MAX_PATH_BYTES];
    const char *parts[MOST_PARTS];
    struct query query = {.count = 0};
    struct api_answer answer;
    snprintf(path, sizeof path, "%s", x->rest);
    size_t n_parts = split(path, parts);
    if (n_parts == 0 || !x->server->settings.store || !api_dispatch_knows(parts[0])) {
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "there is nothing at this path");
        return;
    }
    MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, take_parameter, &query);
    const struct api_request request = {
        .method = strcmp(x->method, "HEAD") == 0 ? "GET" : x->method,
        .parts = parts,
        .n_parts = n_parts,
        .query = query.items,
        .n_query = query.count,
        .body = x->json,
        .asker = &x->asker,
        .cookie = MHD_lookup_connection_value(x->connection, MHD_COOKIE_KIND, HTTP_COOKIE),
        .now = date_now_ms()};
    api_dispatch(x->server->settings.store, &request, http_exchange_header(x, HTTP_CSRF), &answer);
    put_cookie(x, &answer, request.now);
    http_reply_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    http_reply_json(x, answer.status, answer.body);
}
