#include "server/http_exchange.h"

#include <stdio.h>
#include <string.h>

const char *http_exchange_header(const struct http_exchange *x, const char *name) {
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *http_exchange_query(const struct http_exchange *x, const char *name) {
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* The last of one name stays. */
void http_reply_header(struct http_exchange *x, const char *name, const char *value) {
    struct http_reply *reply = &x->reply;
    size_t i = 0;
    while (i < reply->n_headers && strcmp(reply->headers[i].name, name) != 0)
        i++;
    if (i == HTTP_MOST_HEADERS) return;
    if (i == reply->n_headers) reply->n_headers++;
    reply->headers[i].name = name;
    snprintf(reply->headers[i].value, sizeof reply->headers[i].value, "%s", value);
}

void http_reply_text(struct http_exchange *x, int status, const char *type, const char *text,
                     size_t n) {
    x->reply.status = status;
    x->reply.type = type;
    buf_clear(&x->reply.body);
    buf_append(&x->reply.body, text, n);
}

static int append(const char *text, size_t n, void *context) {
    return buf_append(context, text, n) ? 0 : -1;
}

void http_reply_json(struct http_exchange *x, int status, json_t *value) {
    static const char no_memory[] = "{\"error\":{\"message\":\"no memory for the reply\"}}";
    x->reply.status = status;
    x->reply.type = "application/json";
    buf_clear(&x->reply.body);
    if (!value || json_dump_callback(value, append, &x->reply.body, JSON_COMPACT) != 0)
        http_reply_text(x, MHD_HTTP_INTERNAL_SERVER_ERROR, "application/json", no_memory,
                        sizeof no_memory - 1);
    json_decref(value);
}

void http_reply_put_headers(const struct http_exchange *x, struct MHD_Response *response) {
    for (size_t i = 0; i < x->reply.n_headers; i++)
        MHD_add_response_header(response, x->reply.headers[i].name, x->reply.headers[i].value);
    if (x->reply.closes) MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
}

bool http_reply_send(struct http_exchange *x) {
    struct http_reply *reply = &x->reply;
    const void *data = reply->data ? reply->data : buf_text(&reply->body);
    size_t n = reply->data ? reply->n_data : reply->body.length;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        n, (void *)(uintptr_t)data, reply->data ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
    if (!response) return false;
    if (reply->type) MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    http_reply_put_headers(x, response);
    enum MHD_Result queued = MHD_queue_response(x->connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    x->answered = queued == MHD_YES;
    return x->answered;
}
