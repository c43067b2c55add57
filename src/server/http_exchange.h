/* http_exchange.h - one request over HTTP and the answer to it; private to the room.
 *
 * It is made when the request line was read and lives until libmicrohttpd says that the request is
 * over. Only the thread of its connection touches it. A handler either makes a reply, which is
 * small and whole, or begins a stream. */
#ifndef HEARTH_SERVER_HTTP_EXCHANGE_H
#define HEARTH_SERVER_HTTP_EXCHANGE_H

#include <microhttpd.h>

#include "base/buf.h"
#include "chat/dialect.h"
#include "server/asker.h"
#include "server/http_accept.h"
#include "server/http_auth.h"
#include "server/http_target.h"

/* Of the app's session. */
#define HTTP_COOKIE "hearth_session"
#define HTTP_CSRF "X-Hearth-CSRF"
#define HTTP_REQUEST_ID "X-Request-Id"

struct http_server;
struct http_link;
struct http_stream;
struct http_task;
struct log_reader;
struct run_reader;
struct http_exchange;

/* Whose shape errors have. BY_PATH: of the interface that the path would belong to. */
enum http_errors { ERRORS_OPENAI, ERRORS_ANTHROPIC, ERRORS_OLLAMA, ERRORS_HEARTH, ERRORS_BY_PATH };

struct http_route {
    const char *method, *path; /* a path that ends in '*' matches whatever begins like it */
    void (*handle)(struct http_exchange *exchange);
    enum endpoint endpoint; /* of an answer by a dialect; ENDPOINT_COUNT: none */
    enum http_errors errors;
    bool open;         /* also without a key where keys are needed */
    bool takes_body;   /* of JSON, up to the server's limit */
    bool may_be_empty; /* the body */
    bool takes_form;   /* the body may be multipart/form-data instead */
    bool while_ending; /* also when the server takes no more requests */
};

enum { HTTP_MOST_HEADERS = 16, HTTP_HEADER_BYTES = 320, HTTP_ID_BYTES = 32 };

struct http_header {
    const char *name; /* static */
    char value[HTTP_HEADER_BYTES];
};

struct http_reply {
    int status;       /* 0: none yet */
    const char *type; /* static; NULL: no Content-Type */
    struct buf body;  /* what is sent, unless `data` is */
    const void *data; /* static, of [n_data] */
    size_t n_data;
    struct http_header headers[HTTP_MOST_HEADERS];
    size_t n_headers;
    bool closes; /* the connection is not used again */
};

struct http_exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct http_link *link;
    const struct http_route *route; /* NULL: no such path or method */
    const char *method;             /* libmicrohttpd's */
    char path[HTTP_MAX_PATH_BYTES];
    const char *rest; /* of the path, after what a route that ends in '*' names */
    char id[HTTP_ID_BYTES];
    char client_id[HTTP_REQUEST_ID_BYTES]; /* its X-Request-Id; "": none that may be said again */
    bool path_is_valid, saw_head, saw_end, answered;
    bool drops_body; /* it is read, to no end */
    struct buf body;
    size_t dropped_bytes, reserved_bytes;
    json_t *json; /* of the body, for routes that take one */
    struct asker asker;
    struct key_identity key;
    bool needs_key, has_key;
    bool holds_slot; /* of the key's concurrent requests */
    struct http_reply reply;
    struct http_stream *stream;
    struct http_task *task;
    struct log_reader *log_reader; /* of GET /logs */
    struct run_reader *run_reader; /* of GET /tune/runs/ID/events */
    uint64_t begun_ns;
};

/* The value of a header of the request, or NULL. */
const char *http_exchange_header(const struct http_exchange *x, const char *name);
/* The value of a part of the query, decoded, or NULL. */
const char *http_exchange_query(const struct http_exchange *x, const char *name);

/* ---- replies ------------------------------------------------------------------- */

void http_reply_header(struct http_exchange *x, const char *name, const char *value);
/* Those of the exchange, onto a response. */
void http_reply_put_headers(const struct http_exchange *x, struct MHD_Response *response);
/* Sends the reply; false: it cannot be sent. */
bool http_reply_send(struct http_exchange *x);
/* Takes `value`; NULL: no memory, which becomes an error. */
void http_reply_json(struct http_exchange *x, int status, json_t *value);
/* Copies the text. `type` is static. */
void http_reply_text(struct http_exchange *x, int status, const char *type, const char *text,
                     size_t n);

#endif
