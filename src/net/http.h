/* http.h - one HTTP client: requests that survive a bad connection.
 *
 * Simple: fill a `struct http_request`, call http_perform, look at
 * `response.status`, release. Many at a time: http_start each, then http_next
 * until it gives no more, http_finish each.
 *
 * What a caller may rely on:
 *  (1) `on_body` sees each byte of the asked body once and in order, whatever was
 *      retried: after a broken connection the client asks for the rest (Range,
 *      RFC 9110 section 14), or skips what it has when the server cannot.
 *  (2) `on_body` sees only 2xx bodies; others, and all when there is no callback,
 *      are collected in `response.body`.
 *  (3) `authorization` and `headers` go to the first host only: a redirect to
 *      another host, port or scheme drops them. HTTPS never becomes HTTP.
 *  (4) An answer is an answer: a 404 returns HEARTH_OK and `status` 404;
 *      http_check turns it into an error. HEARTH_ERROR_* means no usable answer.
 *  (5) Certificates are always verified. Proxies come from the environment, as in
 *      libcurl (http_proxy, HTTPS_PROXY, NO_PROXY); additional authorities from
 *      SSL_CERT_FILE or CURL_CA_BUNDLE.
 *
 * A client belongs to one thread at a time and keeps connections open for reuse.
 * Only `*cancel` may be set from elsewhere (a signal handler included). */
#ifndef HEARTH_NET_HTTP_H
#define HEARTH_NET_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { HTTP_MAX_URL_BYTES = 16384, HTTP_MAX_HEADER_BYTES = 65536 };

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };

struct http_client;
struct http_transfer;

/* Zero means the default in parentheses. */
struct http_options {
    unsigned connect_timeout_ms; /* (15 s) */
    unsigned stall_timeout_ms;   /* (30 s) without a byte in either direction */
    unsigned backoff_ms;         /* (500) before the first retry; doubles, at most 30 s */
    const atomic_bool *cancel;   /* borrowed; NULL: cannot be cancelled */
};

/* Takes the next piece of a body; anything but HEARTH_OK ends the transfer with
 * that status and the message put in `err`. */
typedef hearth_status (*http_body)(void *context, const void *data, size_t size_bytes,
                                   hearth_error *err);

enum { HTTP_NO_RETRIES = -1, HTTP_NO_REDIRECTS = -1 };

/* Everything is borrowed until http_perform returns or http_finish is called.
 * Zero means the default in parentheses. */
struct http_request {
    enum http_method method;
    const char *url;
    const char *authorization;  /* value of that header, "Bearer ..." */
    const char *const *headers; /* "Name: value" */
    size_t n_headers;
    const void *body; /* of a POST */
    size_t body_bytes;
    uint64_t range_begin, range_end; /* bytes [begin, end); both 0: the whole */
    http_body on_body;
    void *context;             /* of on_body; http_transfer_context gives it back */
    size_t max_body_bytes;     /* (1 MiB) of a collected body */
    int max_redirects;         /* (8; POST is never redirected) */
    int max_retries;           /* (5; POST 0) in a row without 1 MiB of progress */
    unsigned stall_timeout_ms; /* (the client's) */
    unsigned total_timeout_ms; /* (none) for one attempt */
    const char *answer_header; /* a redirect with this header is the answer, not followed */
};

struct http_response {
    long status;          /* 200, 404, ... */
    char *url;            /* that answered, after redirects */
    struct buf headers;   /* of the last answer; read with http_header */
    struct buf body;      /* NUL-terminated; see (2) */
    uint64_t total_bytes; /* of the whole resource, if `has_total` */
    bool has_total;
    bool range_ignored; /* HEARTH_ERROR_UNSUPPORTED because the server does not serve ranges */
};

hearth_status http_client_open(struct http_client **client, const struct http_options *options,
                               hearth_error *err);  /* NULL options: all defaults */
void http_client_close(struct http_client *client); /* NULL is fine; ends running transfers */

/* Performs one request; other started ones make progress meanwhile. `response` is
 * filled as far as known also on failure; release it in both cases. */
hearth_status http_perform(struct http_client *client, const struct http_request *request,
                           struct http_response *response, hearth_error *err);
void http_response_release(struct http_response *response); /* zeroed is fine */

hearth_status http_start(struct http_client *client, const struct http_request *request,
                         struct http_transfer **transfer, hearth_error *err);
/* Waits until a started transfer has ended and gives it, each once; NULL: none is left. */
struct http_transfer *http_next(struct http_client *client);
void *http_transfer_context(const struct http_transfer *transfer);
/* Ends a transfer in whatever state and frees it. Its result: as http_perform;
 * HEARTH_ERROR_CANCELLED when it was still running. `response` may be NULL. */
hearth_status http_finish(struct http_transfer *transfer, struct http_response *response,
                          hearth_error *err);

/* Copies the value of a header of the answer; false when absent or too long. */
bool http_header(const struct http_response *response, const char *name, char *value,
                 size_t value_size);
/* HEARTH_OK for 2xx; otherwise says host, status and what to do. */
hearth_status http_check(const struct http_response *response, hearth_error *err);

/* "host" or "host:port" of a URL, for messages; returns `out`. */
const char *http_host(const char *url, char *out, size_t out_size);
/* Appends text with everything but unreserved characters (RFC 3986, 2.3) and those
 * in `keep` percent-encoded. */
bool http_escape(struct buf *out, const char *text, const char *keep);

#endif
