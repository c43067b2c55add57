/* http_pipe.h - bytes on their way from a thread that makes them to the connection of a client;
 * private to the room.
 *
 *     maker's thread: bytes → a bounded buffer → connection's thread: the socket
 *
 * The connection is suspended while there is nothing to send, and woken by whoever has something.
 * A pipe is part of its owner, which adds to `out` under the lock.
 *
 * Invariants: (1) `suspended` says whether the connection is, and whoever clears it resumes it, so
 * it is resumed once for every time; (2) `connection` is valid until the owner, told that the
 * exchange is over, sets it to NULL; (3) before it is suspended it is looked for bytes, under the
 * same lock, so none are slept over. */
#ifndef HEARTH_SERVER_HTTP_PIPE_H
#define HEARTH_SERVER_HTTP_PIPE_H

#include <pthread.h>

#include "server/http_exchange.h"

struct http_pipe {
    pthread_mutex_t mutex;             /* of what follows, and of its owner's */
    struct MHD_Connection *connection; /* NULL: the exchange is over */
    struct buf out;                    /* what is not sent yet, from `sent` on */
    size_t sent, most;                 /* most: bytes that should wait */
    uint64_t sent_bytes;               /* in all */
    bool suspended;
    bool ended; /* nothing more comes */
    bool cut;   /* the connection ends where it is: the client hung up, or the maker failed */
};

/* `most`: the buffer holds twice as much. */
void http_pipe_init(struct http_pipe *pipe, struct MHD_Connection *connection, size_t most);
void http_pipe_release(struct http_pipe *pipe);

/* ---- the lock is held ---- */

size_t http_pipe_waiting(const struct http_pipe *pipe); /* bytes */
void http_pipe_suspend(struct http_pipe *pipe);
/* The connection's thread looks again, if it sleeps. */
void http_pipe_wake(struct http_pipe *pipe);
/* Nothing that waits is sent any more. */
void http_pipe_clear(struct http_pipe *pipe);

/* ---- the connection's thread, without the lock ---- */

/* Sends what comes until the pipe has ended; NULL: no memory. `n_bytes`: how many that will be, or
 * MHD_SIZE_UNKNOWN. */
struct MHD_Response *http_pipe_response(struct http_pipe *pipe, uint64_t n_bytes,
                                        size_t block_bytes);
/* Begins to, with the headers of the exchange besides; takes the response. False: it cannot. */
bool http_pipe_queue(struct http_exchange *x, struct MHD_Response *response);

#endif
