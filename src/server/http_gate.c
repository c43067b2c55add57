#include "server/http_gate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/http_errors.h"
#include "server/http_guard.h"
#include "server/http_identity.h"
#include "server/http_parts.h"

enum { MAY_DROP_BYTES = 1 << 16, MOST_OPEN_BYTES = 1 << 14 };
#define NO_LENGTH UINT64_MAX

/* The headers that decide; a second one of a kind is how requests are smuggled past others, and so
 * is a name that ends in a blank, which they take for the name without. */
struct head {
    const char *host, *origin, *length, *encoding;
    unsigned n_host, n_length, n_encoding, n_blank_names;
};

static enum MHD_Result see_header(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value) {
    struct head *head = context;
    (void)kind;
    if (name[strcspn(name, " \t")] != '\0')
        head->n_blank_names++;
    else if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0)
        head->host = value, head->n_host++;
    else if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
        head->length = value, head->n_length++;
    else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0)
        head->encoding = value, head->n_encoding++;
    else if (strcasecmp(name, MHD_HTTP_HEADER_ORIGIN) == 0)
        head->origin = value;
    return MHD_YES;
}

static struct head head_of(const struct http_exchange *x) {
    struct head head = {0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, see_header, &head);
    return head;
}

/* NO_LENGTH: unknown, or none said. */
static uint64_t length_of(const struct head *head) {
    char *end;
    if (!head->length || !*head->length || head->length[strspn(head->length, "0123456789")])
        return NO_LENGTH;
    errno = 0;
    unsigned long long n = strtoull(head->length, &end, 10);
    return errno || *end ? NO_LENGTH - 1 : n;
}

static void refuse_and_close(struct http_exchange *x, int status, const char *message) {
    x->reply.closes = true;
    http_reply_error(x, status, "", "%s", message);
}

/* RFC 9112, sections 5.1 and 6.3: what is ambiguous is not read any further. */
static void check_frame(struct http_exchange *x, const struct head *head) {
    if (head->n_encoding > 0 && head->n_length > 0)
        refuse_and_close(x, MHD_HTTP_BAD_REQUEST,
                         "both Content-Length and Transfer-Encoding are given");
    else if (head->n_blank_names > 0)
        refuse_and_close(x, MHD_HTTP_BAD_REQUEST, "there is a blank in the name of a header");
    else if (head->n_length > 1 || head->n_encoding > 1)
        refuse_and_close(x, MHD_HTTP_BAD_REQUEST, "the length of the body is given twice");
    else if (head->n_encoding && strcasecmp(head->encoding, "chunked") != 0)
        refuse_and_close(x, MHD_HTTP_NOT_IMPLEMENTED,
                         "the only Transfer-Encoding known here is chunked");
    else if (head->n_length && length_of(head) == NO_LENGTH)
        refuse_and_close(x, MHD_HTTP_BAD_REQUEST, "Content-Length is not a number");
    else if (!x->path_is_valid)
        refuse_and_close(x, MHD_HTTP_BAD_REQUEST, "the path is not valid");
}

static void refuse(struct http_exchange *x, int status, const char *message) {
    atomic_fetch_add(&x->server->metrics.refused, 1);
    http_reply_error(x, status, "", "%s", message);
}

static void check_host(struct http_exchange *x, const struct head *head) {
    const struct http_server *server = x->server;
    if (head->n_host > 1 || (head->host && !guard_host_is_valid(head->host))) {
        refuse_and_close(x, MHD_HTTP_BAD_REQUEST, "the header Host is not valid");
    } else if (head->host && !x->needs_key &&
               !guard_host_is_own(head->host, &server->settings.hosts)) {
        atomic_fetch_add(&x->server->metrics.refused, 1);
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "",
                         "this server is not known as '%.100s'; --allow-host lets it be",
                         head->host);
    }
}

/* What a page elsewhere puts into itself, as a picture or a script, comes without an origin, but
 * browsers say so. (W3C, Fetch Metadata Request Headers) */
static bool is_put_elsewhere(const struct http_exchange *x) {
    const char *site = http_exchange_header(x, "Sec-Fetch-Site");
    const char *mode = http_exchange_header(x, "Sec-Fetch-Mode");
    bool elsewhere = site && (strcmp(site, "cross-site") == 0 || strcmp(site, "same-site") == 0);
    return elsewhere && mode && strcmp(mode, "no-cors") == 0;
}

static void check_origin(struct http_exchange *x, const struct head *head) {
    const struct option_list *origins = &x->server->settings.origins;
    bool tls = x->server->tls != NULL, is_open = x->route && x->route->open;
    if (!head->origin && !is_open && is_put_elsewhere(x))
        refuse(x, MHD_HTTP_FORBIDDEN, "pages elsewhere may not put this into themselves");
    if (!head->origin || (head->host && guard_origin_is_own(head->origin, head->host, tls))) return;
    if (!guard_origin_is_allowed(head->origin, origins)) {
        atomic_fetch_add(&x->server->metrics.refused, 1);
        http_reply_error(x, MHD_HTTP_FORBIDDEN, "",
                         "pages of another origin may not ask here; --cors allows one");
        return;
    }
    http_reply_header(x, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, head->origin);
    http_reply_header(x, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    http_reply_header(x, "Access-Control-Expose-Headers", HTTP_REQUEST_ID ", Retry-After");
}

/* A browser asks first, without key or body. */
static bool is_preflight(const struct http_exchange *x, const struct head *head) {
    return head->origin && strcmp(x->method, MHD_HTTP_METHOD_OPTIONS) == 0;
}

/* Clients of others send headers of their own (x-stainless-os, anthropic-beta), and a page that may
 * ask at all may send any. NULL: what is asked for is no list of names. */
static const char *headers_wanted(const struct http_exchange *x) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, ";
    const char *names = http_exchange_header(x, "Access-Control-Request-Headers");
    size_t n = names ? strlen(names) : 0;
    return n > 0 && n < HTTP_HEADER_BYTES && strspn(names, letters) == n ? names : NULL;
}

static void answer_preflight(struct http_exchange *x) {
    const char *wanted = headers_wanted(x);
    http_reply_header(x, "Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE");
    http_reply_header(x, "Access-Control-Allow-Headers",
                      wanted ? wanted
                             : "authorization, content-type, x-api-key, anthropic-version, "
                               "x-hearth-csrf, x-request-id");
    http_reply_header(x, "Access-Control-Max-Age", "600");
    x->reply.status = MHD_HTTP_NO_CONTENT;
}

/* RFC 9110, sections 9.3.7 and 15.5.6. */
static void check_route(struct http_exchange *x, const char *allowed) {
    bool asks_methods = strcmp(x->method, MHD_HTTP_METHOD_OPTIONS) == 0;
    if (x->route) return;
    if (*allowed) {
        char methods[80];
        snprintf(methods, sizeof methods, "%s, OPTIONS", allowed);
        http_reply_header(x, MHD_HTTP_HEADER_ALLOW, methods);
    }
    if (*allowed && asks_methods) {
        x->reply.status = MHD_HTTP_NO_CONTENT;
    } else if (*allowed) {
        http_reply_error(x, MHD_HTTP_METHOD_NOT_ALLOWED, "",
                         "'%.200s' does not take %.32s, only %s", x->path, x->method, allowed);
    } else {
        http_reply_error(x, MHD_HTTP_NOT_FOUND, "", "no such path: %.32s '%.200s'", x->method,
                         x->path);
    }
}

/* What a client calls its request is said again, so that both ends can be told to belong
 * together. */
static void name_request(struct http_exchange *x) {
    const char *given = http_exchange_header(x, HTTP_REQUEST_ID);
    if (given && http_request_id_is_valid(given))
        snprintf(x->client_id, sizeof x->client_id, "%s", given);
    http_reply_header(x, HTTP_REQUEST_ID, *x->client_id ? x->client_id : x->id);
}

static bool changes(const struct http_exchange *x) {
    return strcmp(x->method, MHD_HTTP_METHOD_GET) != 0 &&
           strcmp(x->method, MHD_HTTP_METHOD_HEAD) != 0;
}

/* A cookie alone does not say that it was the app which sent the request. */
static void check_key(struct http_exchange *x, bool wrong) {
    if (x->route->open || !x->needs_key) return;
    if (!x->has_key) {
        http_reply_header(x, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
        refuse(x, MHD_HTTP_UNAUTHORIZED,
               wrong ? "this key is not valid"
                     : "a key is needed: Authorization: Bearer KEY, or x-api-key: KEY");
    } else if (changes(x) && !asker_may_change(&x->asker, http_exchange_header(x, HTTP_CSRF))) {
        refuse(x, MHD_HTTP_FORBIDDEN, "the header " HTTP_CSRF " must have what the session gave");
    }
}

/* Returns whether what was shown is not valid. */
static bool identify(struct http_exchange *x) {
    hearth_error err = {0};
    bool wrong = false;
    hearth_status status = http_identity_find(x, &wrong, &err);
    if (status == HEARTH_OK) return wrong;
    log_message(LOG_WARNING, "cannot tell who asks: %s", err.message);
    refuse_and_close(x, MHD_HTTP_SERVICE_UNAVAILABLE, "the server cannot look at its keys");
    return false;
}

static void check_limits(struct http_exchange *x) {
    unsigned retry_s;
    const char *exhausted;
    char text[16];
    if (!x->has_key || x->route->endpoint == ENDPOINT_COUNT) return;
    x->holds_slot = limits_begin(x->server->limits, &x->key, clock_now_ns(), &retry_s, &exhausted);
    if (x->holds_slot) return;
    atomic_fetch_add(&x->server->metrics.limited, 1);
    http_reply_error(x, MHD_HTTP_TOO_MANY_REQUESTS, "",
                     "this key's limit of %s is reached; try again in %u s", exhausted, retry_s);
    snprintf(text, sizeof text, "%u", retry_s);
    http_reply_header(x, "Retry-After", text);
}

static void check_ending(struct http_exchange *x) {
    if (x->route->while_ending || !http_server_is_ending(x->server)) return;
    refuse_and_close(x, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is shutting down");
}

void http_gate_refuse_size(struct http_exchange *x) {
    x->reply.closes = true;
    http_reply_error(x, MHD_HTTP_CONTENT_TOO_LARGE, "",
                     "the body is larger than the %zu bytes that are taken here",
                     x->body.max_bytes);
}

void http_gate_refuse_load(struct http_exchange *x) {
    refuse_and_close(x, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the server is reading as many large requests as it can; try again later");
}

/* Whoever has not shown a key has little to say. */
static void check_size(struct http_exchange *x, const struct head *head) {
    uint64_t n = length_of(head);
    size_t most = x->server->settings.max_body_bytes;
    if (x->route->open && most > MOST_OPEN_BYTES) most = MOST_OPEN_BYTES;
    x->body.max_bytes = most;
    if (!x->route->takes_body)
        x->drops_body = true;
    else if (n != NO_LENGTH && n > most)
        http_gate_refuse_size(x);
}

bool http_gate_may_drop(const struct http_exchange *x) {
    struct head head = head_of(x);
    if (head.n_encoding) return false;
    return !head.n_length || length_of(&head) <= MAY_DROP_BYTES;
}

void http_gate_pass(struct http_exchange *x, const char *allowed) {
    struct head head = head_of(x);
    http_reply_header(x, "X-Content-Type-Options", "nosniff");
    name_request(x);
    bool wrong = false;
    check_frame(x, &head);
    if (!x->reply.status) wrong = identify(x);
    if (!x->reply.status) check_host(x, &head);
    if (!x->reply.status) check_origin(x, &head);
    if (!x->reply.status && is_preflight(x, &head)) answer_preflight(x);
    if (!x->reply.status) check_route(x, allowed);
    if (!x->reply.status) check_key(x, wrong);
    if (!x->reply.status) check_ending(x);
    if (!x->reply.status) check_size(x, &head);
    if (!x->reply.status) check_limits(x);
}
