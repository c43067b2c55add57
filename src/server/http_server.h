/* http_server.h - serves a backend over HTTP: the interfaces that clients know, and Hearth's own.
 *
 * Threads of its own parse requests and send answers; none of them waits for the backend, and the
 * backend never waits for a client. A client that goes away ends its answer. */
#ifndef HEARTH_SERVER_HTTP_SERVER_H
#define HEARTH_SERVER_HTTP_SERVER_H

#include "base/option_list.h"
#include "route/backend.h"
#include "server/access_log.h"
#include "server/api_tune.h"
#include "server/http_auth.h"
#include "store/usage_queue.h"

enum { HTTP_DEFAULT_PORT = 8484 };

/* What is 0 has the default in parentheses. Everything is borrowed until http_server_stop. */
struct http_server_settings {
    const char *host; /* name or address to listen at ("127.0.0.1") */
    uint16_t port;    /* 0: any that is free */
    struct backend *backend;
    const struct key_check *keys;       /* further keys, for everything; NULL: none */
    struct store_pool *store;           /* conversations, keys, sessions; NULL: none */
    const struct tune_settings *tuning; /* NULL: no tuning here */
    struct usage_queue *usage;          /* what requests used goes there; NULL: nowhere */
    const char *slot_folder;            /* what slots computed is kept there; NULL: nowhere */
    struct option_list origins; /* of pages elsewhere that may ask, as "https://chat.example" */
    struct option_list hosts;   /* further names that requests may ask for */
    const char *tls_certificate, *tls_key; /* files in PEM (http_tls.h); NULL: no TLS */
    struct access_log log;
    size_t max_body_bytes;    /* of a request (64 MiB) */
    size_t max_bodies_bytes;  /* of all requests together (8 times that) */
    size_t max_pending_bytes; /* of an answer that its client does not read (8 MiB) */
    unsigned max_connections; /* (4096) */
    unsigned max_per_address; /* connections of one address (2048) */
    unsigned header_s;        /* seconds to send the head of a request (15) */
    unsigned body_s;          /* to send its body (120) */
    unsigned idle_s;          /* a connection without a request stays so long (75) */
    unsigned stall_s;         /* an answer that its client does not read (60) */
};

struct http_server;

hearth_status http_server_start(struct http_server **out,
                                const struct http_server_settings *settings, hearth_error *err);
/* "http://127.0.0.1:8484", or https; valid until stop. */
const char *http_server_address(const struct http_server *server);
/* Reads the certificate and its key again, for connections to come. Where they cannot be used the
 * former ones stay. */
hearth_status http_server_reload(struct http_server *server, hearth_error *err);
/* Takes no more requests, waits up to `limit_s` for answers that are being given and then ends
 * them. */
void http_server_drain(struct http_server *server, unsigned limit_s);
/* Ends what is still going on; NULL is fine. */
void http_server_stop(struct http_server *server);

#endif
