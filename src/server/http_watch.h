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
struct log_feed;

/* What hears of its client, an answer or a task: their first field. */
struct http_watched {
    const struct http_watched_ops *ops;
    struct http_watched *next_dead; /* the watch's */
};
struct http_watched_ops {
    void (*hang_up)(struct http_watched *watched); /* the client did */
    void (*cancel)(struct http_watched *watched);  /* the server ends */
    void (*free)(struct http_watched *watched);    /* waits for what it does */
};

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
/* From now on it hears when the client hangs up; NULL: there is nothing any more. */
void http_watch_follow(struct http_watch *watch, struct http_link *link,
                       struct http_watched *watched);
/* Everything that is followed ends as soon as may be. */
void http_watch_cancel_all(struct http_watch *watch);
/* Takes what has ended and whose client is gone. */
void http_watch_bury(struct http_watch *watch, struct http_watched *watched);

#endif
