/* http_stream.h - an answer on its way from the backend to a client; private to the room.
 *
 *     backend's thread: events → bytes → a bounded buffer → connection's thread: the socket
 *
 * The backend's thread never waits: what a client does not read is kept up to the bound, then the
 * answer ends. While there is nothing to send the connection is suspended. A stream belongs to its
 * connection and to its job; the last event and the end of the exchange may come in any order, and
 * the later of the two frees it. */
#ifndef HEARTH_SERVER_HTTP_STREAM_H
#define HEARTH_SERVER_HTTP_STREAM_H

#include "server/http_exchange.h"
#include "store/stored_usage.h"

/* Starts the request and suspends the connection. Where that fails the exchange has a reply. */
void http_stream_start(struct http_exchange *x, const struct request *request);
/* The connection goes on: queues the response if it is clear by now what it is, suspends again if
 * not. False: the connection is to be closed. */
bool http_stream_resume(struct http_exchange *x);
/* The exchange is over; the stream is not its any more. */
void http_stream_leave(struct http_exchange *x);

/* Appends those that have not ended, the one that came first in front: {"id", "endpoint", "model",
 * "key" (its name), "state" ("waiting", "running"), "stream", "prompt_tokens", "answer_tokens",
 * "seconds"}; never what was said. Of those that the asker may see: who looks after the server all,
 * others their own key's. HEARTH_ERROR_NO_MEMORY. */
hearth_status http_stream_list(struct http_server *server, const struct asker *asker, json_t *out,
                               hearth_error *err);
/* Ends one of these as soon as may be. False: there is none of this id. */
bool http_stream_cancel(struct http_server *server, const struct asker *asker, const char *id);

/* What the log says of it. */
struct http_stream_facts {
    struct event_usage usage; /* as far as it is known */
    char model[USAGE_MODEL_BYTES];
    uint64_t sent_bytes;
    double first_seconds; /* below 0: nothing came */
    bool gone;
};
struct http_stream_facts http_stream_facts(struct http_stream *stream);

#endif
