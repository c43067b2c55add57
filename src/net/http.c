/* The life of a transfer:
 *
 *   RUNNING --answer--> DONE --http_next--> GIVEN --http_finish--> freed
 *      |  ^ redirect
 *      v  |
 *   WAITING   after a transient failure, until `retry_at_ns`; begins again at the
 *             first URL, because signed addresses behind a redirect expire.
 *
 * Invariants: (1) `easy` is in the multi handle exactly while RUNNING;
 * (2) `delivered` counts the bytes on_body has taken, and never falls;
 * (3) `trusted` is true only while every hop so far had the origin of the request. */
#include "net/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

enum {
    DEFAULT_CONNECT_MS = 15000,
    DEFAULT_STALL_MS = 30000,
    DEFAULT_BACKOFF_MS = 500,
    DEFAULT_REDIRECTS = 8,
    DEFAULT_RETRIES = 5,
    UNREACHED_RETRIES = 2, /* someone without a network should hear of it soon */
    MAX_BACKOFF_MS = 30000,
    MAX_RETRY_AFTER_S = 60,
    PROGRESS_BYTES = 1 << 20, /* that much forgives earlier failures */
    DEFAULT_BODY_BYTES = 1 << 20,
    ERROR_BODY_BYTES = 1 << 16,
    POLL_MS = 100,
    HOST_BYTES = 300
};

enum state { RUNNING, WAITING, DONE, GIVEN };
enum sink { SINK_NONE, SINK_DROP, SINK_COLLECT, SINK_DELIVER };

struct http_client {
    CURLM *multi;
    struct http_options options;
    struct http_transfer *transfers;
    struct rng rng;
    bool reached; /* some server has answered */
};

struct http_transfer {
    struct http_client *client;
    struct http_transfer *next;
    struct http_request request;
    enum state state;
    CURL *easy;
    struct curl_slist *headers;
    char *url; /* of this hop */
    bool trusted;
    int redirects, failures;
    uint64_t retry_at_ns;
    enum sink sink;
    bool enough; /* the rest of an answer nobody wants was cut off */
    uint64_t delivered, skip, dropped, forgiven_at;
    curl_off_t moved; /* bytes of this attempt in either direction, and when last */
    uint64_t moved_ns, stall_ns;
    bool stalled;
    struct http_response response;
    hearth_status status;
    hearth_error error;
    char detail[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- one attempt ------------------------------------------------------- */

static bool is_success(long status) {
    return status >= 200 && status < 300;
}

static bool is_redirect(const struct http_transfer *t) {
    long status = t->response.status;
    char value[HTTP_MAX_URL_BYTES];
    if (t->request.method == HTTP_POST || t->request.max_redirects < 0) return false;
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        return false;
    if (t->request.answer_header &&
        http_header(&t->response, t->request.answer_header, value, sizeof value))
        return false;
    return http_header(&t->response, "location", value, sizeof value);
}

static bool is_transient_status(long status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

static bool has_explicit_range(const struct http_request *request) {
    return request->range_end > 0;
}

static hearth_status fail(struct http_transfer *t, hearth_status code, const char *what) {
    char host[HOST_BYTES];
    t->status = error_set(&t->error, code, "%s %s", http_host(t->url, host, sizeof host), what);
    return t->status;
}

/* "bytes 0-99/1234" (RFC 9110, 14.4). */
static bool parse_content_range(const char *value, uint64_t *begin, uint64_t *total,
                                bool *has_total) {
    unsigned long long first, last, all;
    int n = sscanf(value, "bytes %llu-%llu/%llu", &first, &last, &all);
    if (n < 2 || last < first) return false;
    *begin = first;
    *has_total = n == 3 && all > last;
    if (*has_total) *total = all;
    return n == 2 || *has_total;
}

static hearth_status begin_partial(struct http_transfer *t) {
    char value[128];
    uint64_t begin = 0, wanted = t->request.range_begin + t->delivered;
    if (!http_header(&t->response, "content-range", value, sizeof value) ||
        !parse_content_range(value, &begin, &t->response.total_bytes, &t->response.has_total))
        return fail(t, HEARTH_ERROR_FORMAT,
                    "answered 206 without a usable Content-Range; try again later");
    if (begin != wanted)
        return fail(t, HEARTH_ERROR_FORMAT,
                    "sent another range than the one asked for; try again later");
    return HEARTH_OK;
}

/* Looks at status and headers before the first byte of a body, and decides where
 * the bytes go. */
static hearth_status begin_body(struct http_transfer *t) {
    curl_off_t length = -1;
    struct http_response *r = &t->response;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &r->status);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    r->has_total = length >= 0 && r->status == 200;
    r->total_bytes = r->has_total ? (uint64_t)length : 0;
    t->sink = is_redirect(t) ? SINK_DROP : SINK_COLLECT;
    if (!is_success(r->status) || t->request.method == HTTP_HEAD) return HEARTH_OK;
    if (r->status == 206)
        RETURN_IF_ERROR(begin_partial(t));
    else if (has_explicit_range(&t->request)) {
        r->range_ignored = true;
        return fail(t, HEARTH_ERROR_UNSUPPORTED, "does not serve parts of a file");
    } else
        t->skip = t->delivered;
    if (t->request.on_body) t->sink = SINK_DELIVER;
    return HEARTH_OK;
}

static hearth_status deliver(struct http_transfer *t, const char *data, size_t n) {
    size_t skip = t->skip < n ? (size_t)t->skip : n;
    t->skip -= skip;
    data += skip, n -= skip;
    if (n == 0) return HEARTH_OK;
    if (has_explicit_range(&t->request) &&
        n > t->request.range_end - t->request.range_begin - t->delivered)
        return fail(t, HEARTH_ERROR_FORMAT, "sent more bytes than the range asked for");
    t->status = t->request.on_body(t->request.context, data, n, &t->error);
    if (t->status == HEARTH_OK) t->delivered += n;
    return t->status;
}

static hearth_status collect(struct http_transfer *t, const char *data, size_t n) {
    bool success = is_success(t->response.status);
    if (buf_append(&t->response.body, data, n)) return HEARTH_OK;
    if (success) return fail(t, HEARTH_ERROR_LIMIT, "sent a longer answer than is allowed here");
    t->enough = true;
    return HEARTH_ERROR_LIMIT;
}

static size_t take_body(char *data, size_t one, size_t count, void *context) {
    struct http_transfer *t = context;
    size_t n = one * count;
    hearth_status status = t->sink == SINK_NONE ? begin_body(t) : HEARTH_OK;
    if (status == HEARTH_OK && t->sink == SINK_DROP) {
        t->dropped += n;
        t->enough = t->dropped > ERROR_BODY_BYTES;
        if (t->enough) status = HEARTH_ERROR_LIMIT;
    } else if (status == HEARTH_OK) {
        status = t->sink == SINK_DELIVER ? deliver(t, data, n) : collect(t, data, n);
    }
    return status == HEARTH_OK ? n : 0;
}

static size_t take_header(char *data, size_t one, size_t count, void *context) {
    struct http_transfer *t = context;
    size_t n = one * count, length = n;
    t->client->reached = true;
    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\r'))
        length--;
    if (length >= 5 && strncasecmp(data, "HTTP/", 5) == 0) buf_clear(&t->response.headers);
    if (length == 0 || memchr(data, '\0', length)) return n;
    if (buf_append(&t->response.headers, data, length) &&
        buf_append_char(&t->response.headers, '\n'))
        return n;
    fail(t, HEARTH_ERROR_LIMIT, "sent more header lines than are allowed");
    return 0;
}

/* libcurl's own low-speed limit averages over five seconds, so that a stall would be
 * noticed that much later. */
static int watch_for_stall(void *context, curl_off_t all_down, curl_off_t down, curl_off_t all_up,
                           curl_off_t up) {
    struct http_transfer *t = context;
    uint64_t now = clock_now_ns();
    (void)all_down, (void)all_up;
    if (down + up != t->moved) {
        t->moved = down + up;
        t->moved_ns = now;
    }
    t->stalled = now - t->moved_ns >= t->stall_ns;
    return t->stalled;
}

static bool add_header(struct http_transfer *t, const char *line) {
    struct curl_slist *grown = curl_slist_append(t->headers, line);
    if (grown) t->headers = grown;
    return grown != NULL;
}

static bool build_headers(struct http_transfer *t) {
    const struct http_request *request = &t->request;
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    bool ok = add_header(t, "Expect:");
    for (size_t i = 0; ok && t->trusted && i < request->n_headers; i++)
        ok = add_header(t, request->headers[i]);
    if (ok && t->trusted && request->authorization) {
        struct buf line;
        buf_init(&line, HTTP_MAX_HEADER_BYTES);
        ok = buf_append_text(&line, "Authorization: ") &&
             buf_append_text(&line, request->authorization) && add_header(t, line.data);
        buf_release(&line);
    }
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    return ok;
}

static void set_range(struct http_transfer *t) {
    const struct http_request *request = &t->request;
    char range[64];
    unsigned long long begin = request->range_begin + t->delivered, end = request->range_end;
    if (has_explicit_range(request))
        snprintf(range, sizeof range, "%llu-%llu", begin, end - 1);
    else
        snprintf(range, sizeof range, "%llu-", begin);
    bool wanted = has_explicit_range(request) || begin > 0;
    curl_easy_setopt(t->easy, CURLOPT_RANGE, wanted ? range : NULL);
    /* A compressed body has no byte positions to resume from. */
    curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, wanted || request->on_body ? NULL : "");
}

static void set_method(struct http_transfer *t) {
    if (t->request.method == HTTP_HEAD) curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (t->request.method != HTTP_POST) return;
    curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->request.body ? t->request.body : "");
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->request.body_bytes);
}

static void set_limits(struct http_transfer *t) {
    const struct http_options *options = &t->client->options;
    unsigned stall_ms =
        t->request.stall_timeout_ms ? t->request.stall_timeout_ms : options->stall_timeout_ms;
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms);
    t->stall_ns = (uint64_t)stall_ms * 1000000;
    curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, watch_for_stall);
    curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, t);
    if (t->request.total_timeout_ms)
        curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)t->request.total_timeout_ms);
}

static void set_trust(struct http_transfer *t) {
    const char *authorities = getenv("SSL_CERT_FILE");
    if (!authorities || !*authorities) authorities = getenv("CURL_CA_BUNDLE");
    if (authorities && *authorities) curl_easy_setopt(t->easy, CURLOPT_CAINFO, authorities);
}

static void configure(struct http_transfer *t) {
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->detail);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    set_method(t);
    set_limits(t);
    set_trust(t);
}

/* Puts the transfer to work on `t->url`. */
static void launch(struct http_transfer *t) {
    buf_clear(&t->response.headers);
    buf_clear(&t->response.body);
    t->response.status = 0;
    t->sink = SINK_NONE;
    t->skip = t->dropped = 0;
    t->enough = t->stalled = false;
    t->moved = 0;
    t->moved_ns = clock_now_ns();
    t->detail[0] = '\0';
    set_range(t);
    curl_easy_setopt(t->easy, CURLOPT_URL, t->url);
    if (!build_headers(t) || curl_multi_add_handle(t->client->multi, t->easy) != CURLM_OK) {
        t->status = error_set(&t->error, HEARTH_ERROR_NO_MEMORY, "no memory for a request");
        t->state = DONE;
        return;
    }
    t->state = RUNNING;
}

/* ---- what follows an attempt ------------------------------------------- */

static char *url_part(CURLU *url, CURLUPart part) {
    char *value = NULL;
    curl_url_get(url, part, &value, CURLU_DEFAULT_PORT);
    return value;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
    char *x = url_part(a, part), *y = url_part(b, part);
    bool same = x && y && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    return same;
}

/* Resolves Location against the current URL (RFC 3986, 5.2). */
static hearth_status follow(struct http_transfer *t) {
    char location[HTTP_MAX_URL_BYTES];
    hearth_status status = HEARTH_OK;
    CURLU *from = curl_url(), *to = curl_url();
    char *scheme = NULL, *old_scheme = NULL, *url = NULL;
    http_header(&t->response, "location", location, sizeof location);
    int limit = t->request.max_redirects ? t->request.max_redirects : DEFAULT_REDIRECTS;
    if (t->redirects++ >= limit) {
        status = fail(t, HEARTH_ERROR_FORMAT, "redirects in circles; try again later");
    } else if (!from || !to || curl_url_set(from, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
               curl_url_set(to, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
               curl_url_set(to, CURLUPART_URL, location, CURLU_URLENCODE) != CURLUE_OK) {
        status = fail(t, HEARTH_ERROR_FORMAT, "redirects to an address that is not a URL");
    } else {
        scheme = url_part(to, CURLUPART_SCHEME);
        old_scheme = url_part(from, CURLUPART_SCHEME);
        url = url_part(to, CURLUPART_URL);
        bool secure = old_scheme && strcmp(old_scheme, "https") == 0;
        if (!scheme || !url || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0) ||
            (secure && strcmp(scheme, "https") != 0))
            status = fail(t, HEARTH_ERROR_FORMAT, "redirects to an address that is not secure");
    }
    if (status == HEARTH_OK) {
        t->trusted = t->trusted && same_part(from, to, CURLUPART_SCHEME) &&
                     same_part(from, to, CURLUPART_HOST) && same_part(from, to, CURLUPART_PORT);
        char *copy = mem_strdup(url);
        if (!copy)
            status = fail(t, HEARTH_ERROR_NO_MEMORY, "redirects, but memory ran out");
        else
            mem_free(t->url), t->url = copy;
    }
    curl_free(scheme);
    curl_free(old_scheme);
    curl_free(url);
    curl_url_cleanup(from);
    curl_url_cleanup(to);
    return status;
}

static bool is_transient(CURLcode code) {
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return true;
    default: return false;
    }
}

static bool may_retry(struct http_transfer *t) {
    int limit = t->request.max_retries;
    if (limit == 0) limit = t->request.method == HTTP_POST ? 0 : DEFAULT_RETRIES;
    if (t->delivered - t->forgiven_at >= PROGRESS_BYTES) {
        t->forgiven_at = t->delivered;
        t->failures = 0;
    }
    if (!t->client->reached && limit > UNREACHED_RETRIES) limit = UNREACHED_RETRIES;
    return t->failures < limit;
}

static void retry_later(struct http_transfer *t, uint64_t asked_ms, const char *why) {
    uint64_t delay_ms = (uint64_t)t->client->options.backoff_ms
                        << (t->failures < 16 ? t->failures : 16);
    if (delay_ms > MAX_BACKOFF_MS) delay_ms = MAX_BACKOFF_MS;
    delay_ms = (uint64_t)((double)delay_ms * (0.75 + 0.5 * rng_uniform(&t->client->rng)));
    if (asked_ms > delay_ms) delay_ms = asked_ms;
    char host[HOST_BYTES];
    log_message(LOG_INFO, "%s: %s; trying again in %.1f s", http_host(t->url, host, sizeof host),
                why, (double)delay_ms / 1000.0);
    t->failures++;
    t->redirects = 0;
    t->trusted = true;
    t->retry_at_ns = clock_now_ns() + delay_ms * 1000000;
    t->state = WAITING;
}

static void explain(struct http_transfer *t, CURLcode code) {
    char host[HOST_BYTES];
    const char *detail = t->detail[0] ? t->detail : curl_easy_strerror(code), *advice = "";
    http_host(t->url, host, sizeof host);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        advice = "; check the network, and HTTPS_PROXY if there is a proxy";
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        advice = "; check the clock, or name the authority's file in SSL_CERT_FILE";
        break;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING: advice = "; the connection is bad: try again"; break;
    default: break;
    }
    t->status =
        error_set(&t->error, code == CURLE_OUT_OF_MEMORY ? HEARTH_ERROR_NO_MEMORY : HEARTH_ERROR_IO,
                  "cannot fetch from %s: %s%s", host, detail, advice);
}

static bool is_incomplete(const struct http_transfer *t) {
    return t->sink == SINK_DELIVER && has_explicit_range(&t->request) &&
           t->delivered < t->request.range_end - t->request.range_begin;
}

/* The server answered in full: follow, wait, or be done. */
static void settle_answer(struct http_transfer *t) {
    if (is_redirect(t)) {
        if (follow(t) == HEARTH_OK) launch(t);
        return;
    }
    if (is_transient_status(t->response.status) && may_retry(t)) {
        curl_off_t seconds = 0;
        char why[64];
        curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
        snprintf(why, sizeof why, "status %ld", t->response.status);
        if (seconds <= MAX_RETRY_AFTER_S)
            retry_later(t, seconds > 0 ? (uint64_t)seconds * 1000 : 0, why);
    }
}

static void conclude(struct http_transfer *t, CURLcode code) {
    curl_multi_remove_handle(t->client->multi, t->easy);
    t->state = DONE;
    if (t->status != HEARTH_OK) return;
    if (t->stalled) {
        code = CURLE_OPERATION_TIMEDOUT;
        snprintf(t->detail, sizeof t->detail, "not a byte came for %.0f s",
                 (double)t->stall_ns * 1e-9);
    }
    if (code == CURLE_OK && t->sink == SINK_NONE && begin_body(t) != HEARTH_OK) return;
    if (code == CURLE_OK && is_incomplete(t)) code = CURLE_PARTIAL_FILE;
    if (code == CURLE_OK || t->enough) {
        settle_answer(t);
    } else if (is_transient(code) && may_retry(t)) {
        retry_later(t, 0, t->detail[0] ? t->detail : curl_easy_strerror(code));
    } else {
        explain(t, code);
    }
}

/* ---- the client -------------------------------------------------------- */

hearth_status http_client_open(struct http_client **client, const struct http_options *options,
                               hearth_error *err) {
    pthread_once(&curl_once, start_curl);
    struct http_client *c = mem_calloc(1, sizeof *c);
    *client = NULL;
    if (!c) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an HTTP client");
    if (options) c->options = *options;
    if (!c->options.connect_timeout_ms) c->options.connect_timeout_ms = DEFAULT_CONNECT_MS;
    if (!c->options.stall_timeout_ms) c->options.stall_timeout_ms = DEFAULT_STALL_MS;
    if (!c->options.backoff_ms) c->options.backoff_ms = DEFAULT_BACKOFF_MS;
    rng_seed(&c->rng, rng_entropy());
    c->multi = curl_multi_init();
    if (!c->multi) {
        mem_free(c);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for an HTTP client");
    }
    /* Ranges fetched side by side should travel over connections of their own. */
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    *client = c;
    return HEARTH_OK;
}

void http_client_close(struct http_client *client) {
    if (!client) return;
    while (client->transfers)
        http_finish(client->transfers, NULL, NULL);
    curl_multi_cleanup(client->multi);
    mem_free(client);
}

static void cancel_all(struct http_client *client) {
    for (struct http_transfer *t = client->transfers; t; t = t->next) {
        if (t->state != RUNNING && t->state != WAITING) continue;
        if (t->state == RUNNING) curl_multi_remove_handle(client->multi, t->easy);
        t->status = error_set(&t->error, HEARTH_ERROR_CANCELLED, "stopped");
        t->state = DONE;
    }
}

/* Relaunches what has waited long enough; returns the milliseconds to the next. */
static int wake_waiting(struct http_client *client) {
    uint64_t now = clock_now_ns();
    int wait_ms = POLL_MS;
    for (struct http_transfer *t = client->transfers; t; t = t->next) {
        if (t->state != WAITING) continue;
        uint64_t left_ms = t->retry_at_ns > now ? (t->retry_at_ns - now) / 1000000 + 1 : 0;
        if (left_ms == 0) {
            char *url = mem_strdup(t->request.url);
            if (url) mem_free(t->url), t->url = url;
            launch(t);
        } else if (left_ms < (uint64_t)wait_ms) {
            wait_ms = (int)left_ms;
        }
    }
    return wait_ms;
}

/* One turn: moves bytes, settles what ended, and otherwise sleeps until
 * something happens. */
static void turn(struct http_client *client) {
    int running = 0, left = 0;
    if (client->options.cancel && atomic_load(client->options.cancel)) {
        cancel_all(client);
        return;
    }
    int wait_ms = wake_waiting(client);
    curl_multi_perform(client->multi, &running);
    bool ended = false;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        struct http_transfer *t = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        conclude(t, code);
        ended = true;
    }
    if (!ended) curl_multi_poll(client->multi, NULL, 0, wait_ms, NULL);
}

static bool is_sendable(const char *line) {
    return strlen(line) < HTTP_MAX_HEADER_BYTES && !strpbrk(line, "\r\n");
}

static hearth_status check_request(const struct http_request *request, hearth_error *err) {
    bool ok = strlen(request->url) < HTTP_MAX_URL_BYTES && !strpbrk(request->url, "\r\n ");
    if (!ok) return error_set(err, HEARTH_ERROR_ARGUMENT, "not an address that can be fetched");
    for (size_t i = 0; i < request->n_headers; i++)
        ok = ok && is_sendable(request->headers[i]);
    if (request->authorization) ok = ok && is_sendable(request->authorization);
    if (!ok)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "a request header or token contains a line break; remove it");
    if (request->range_end && request->range_end <= request->range_begin)
        return error_set(err, HEARTH_ERROR_ARGUMENT, "an empty byte range");
    return HEARTH_OK;
}

hearth_status http_start(struct http_client *client, const struct http_request *request,
                         struct http_transfer **transfer, hearth_error *err) {
    *transfer = NULL;
    RETURN_IF_ERROR(check_request(request, err));
    struct http_transfer *t = mem_calloc(1, sizeof *t);
    if (!t) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a request");
    t->client = client;
    t->request = *request;
    t->trusted = true;
    t->url = mem_strdup(request->url);
    t->easy = curl_easy_init();
    buf_init(&t->response.headers, HTTP_MAX_HEADER_BYTES);
    buf_init(&t->response.body,
             request->max_body_bytes ? request->max_body_bytes : DEFAULT_BODY_BYTES);
    t->next = client->transfers;
    client->transfers = t;
    if (!t->url || !t->easy) {
        t->state = DONE;
        http_finish(t, NULL, NULL);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for a request");
    }
    configure(t);
    launch(t);
    *transfer = t;
    return HEARTH_OK;
}

struct http_transfer *http_next(struct http_client *client) {
    for (;;) {
        bool any = false;
        for (struct http_transfer *t = client->transfers; t; t = t->next) {
            if (t->state == DONE) {
                t->state = GIVEN;
                return t;
            }
            any = any || t->state != GIVEN;
        }
        if (!any) return NULL;
        turn(client);
    }
}

void *http_transfer_context(const struct http_transfer *transfer) {
    return transfer->request.context;
}

hearth_status http_finish(struct http_transfer *transfer, struct http_response *response,
                          hearth_error *err) {
    struct http_client *client = transfer->client;
    struct http_transfer **link = &client->transfers;
    while (*link != transfer)
        link = &(*link)->next;
    *link = transfer->next;
    if (transfer->state == RUNNING) curl_multi_remove_handle(client->multi, transfer->easy);
    if (transfer->state == RUNNING || transfer->state == WAITING)
        transfer->status = error_set(&transfer->error, HEARTH_ERROR_CANCELLED, "stopped");
    if (transfer->easy) curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->headers);
    transfer->response.url = transfer->url;
    if (response)
        *response = transfer->response;
    else
        http_response_release(&transfer->response);
    hearth_status status = transfer->status;
    if (status != HEARTH_OK && err) *err = transfer->error;
    mem_free(transfer);
    return status;
}

hearth_status http_perform(struct http_client *client, const struct http_request *request,
                           struct http_response *response, hearth_error *err) {
    struct http_transfer *t;
    *response = (struct http_response){0};
    RETURN_IF_ERROR(http_start(client, request, &t, err));
    while (t->state != DONE)
        turn(client);
    return http_finish(t, response, err);
}
