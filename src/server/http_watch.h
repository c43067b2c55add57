/* http_watch.h - what libmicrohttpd does not notice: a client that hangs up while its request is
 * being answered and its connection waits, one that sends its request drop by drop, and jobs that
 * outlive their client. One thread; private to the room.
 *
 * Invariants: (1) a link is known from http_watch_open_link to http_watch_close_link, and its
 * socket open all that time; (2) the watch's lock is taken before a stream's, never while one is
 * held. */
#ifndef HEARTH_SERVER_HTTP_WATCH_H
#define HEARTH_SERVER_HTTP_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct http_watch;
struct http_link; /* a connection */
struct http_stream;
struct log_feed;

/* The feed's readers are reminded now and then; it is borrowed. */
hearth_status http_watch_open(struct http_watch **out, struct log_feed *feed, hearth_error *err);
/* After every link was closed and every stream given back; NULL is fine. */
void http_watch_close(struct http_watch *watch);

/* A connection on socket `fd`; NULL: no memory. */
struct http_link *http_watch_open_link(struct http_watch *watch, int fd);
void http_watch_close_link(struct http_watch *watch, struct http_link *link);
/* The connection is cut unless this is called again within so many seconds; 0: it may take as long
 * as it takes. */
void http_watch_limit(struct http_watch *watch, struct http_link *link, unsigned seconds);
/* From now on the stream hears when the client hangs up; NULL: no stream any more. */
void http_watch_stream(struct http_watch *watch, struct http_link *link,
                       struct http_stream *stream);
/* Every stream that is known ends as soon as may be. */
void http_watch_cancel_all(struct http_watch *watch);
/* Takes a stream whose client is gone and whose last event has come. */
void http_watch_bury(struct http_watch *watch, struct http_stream *stream);

#endif
