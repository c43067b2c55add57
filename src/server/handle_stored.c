/* The parts of Hearth's own interface that only need the store: conversations, keys, sessions,
 * settings, usage. A request is taken apart here, and answered by api_dispatch.h. */
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "server/api_dispatch.h"
#include "server/api_session.h"
#include "server/handlers.h"
#include "server/http_errors.h"
#include "server/http_identity.h"
#include "server/http_parts.h"

#define COOKIE_FORMAT HTTP_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%lld%s"
enum { MOST_PARTS = 8, MOST_PARAMETERS = 16 };
static const char below[] = "/api/hearth/v1/"; /* all of its routes */

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

/* Over TLS it is never sent without. */
static void set_cookie(struct http_exchange *x, const char *token, long long seconds) {
    char text[HTTP_HEADER_BYTES];
    snprintf(text, sizeof text, COOKIE_FORMAT, token, seconds, x->server->tls ? "; Secure" : "");
    http_reply_header(x, MHD_HTTP_HEADER_SET_COOKIE, text);
}

static void put_cookie(struct http_exchange *x, const struct api_answer *answer, int64_t now) {
    bool set = answer->cookie == COOKIE_SET;
    long long seconds = set ? (long long)((answer->cookie_expires - now) / 1000) : 0;
    if (answer->cookie == COOKIE_STAYS) return;
    set_cookie(x, set ? answer->token : "", seconds);
}

/* Signing in with a key of the command line, of which the store does not know. */
static bool begins_listed_session(struct http_exchange *x, const struct api_request *request,
                                  struct api_answer *answer) {
    const char *key = json_string_value(json_object_get(request->body, "key"));
    char csrf[STORE_TOKEN_BYTES], token[LISTED_TOKEN_BYTES];
    if (strcmp(request->parts[0], "session") != 0 || request->n_parts != 1 ||
        strcmp(request->method, "POST") != 0 || !http_identity_is_listed(x, key))
        return false;
    listed_session_token(x->server->session_secret, x->key.id, token);
    listed_session_csrf(x->server->session_secret, x->key.id, csrf);
    set_cookie(x, token, (long long)SESSION_LENGTH_MS / 1000);
    api_give(answer, MHD_HTTP_OK,
             json_pack("{s:s, s:s, s:s}", "csrf", csrf, "name", x->key.id, "role", "admin"));
    return true;
}

void handle_stored(struct http_exchange *x) {
    char path[HTTP_MAX_PATH_BYTES];
    const char *parts[MOST_PARTS];
    struct query query = {.count = 0};
    struct api_answer answer = {0};
    snprintf(path, sizeof path, "%s", x->path + strlen(below));
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
    if (!begins_listed_session(x, &request, &answer))
        api_dispatch(x->server->settings.store, &request, http_exchange_header(x, HTTP_CSRF),
                     &answer);
    put_cookie(x, &answer, request.now);
    http_reply_header(x, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    http_reply_json(x, answer.status, answer.body);
}
