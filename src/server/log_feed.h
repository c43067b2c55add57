/* log_feed.h - the lines of the log as they come, for those who look after the server: a stream of
 * server-sent events that begins with the last lines; private to the room.
 *
 * Lines are kept in a ring. Whoever reads too slowly misses some. A comment goes out now and then,
 * so that a reader that has left is noticed. */
#ifndef HEARTH_SERVER_LOG_FEED_H
#define HEARTH_SERVER_LOG_FEED_H

#include "server/http_exchange.h"

struct log_feed;
struct log_reader;

enum { LOG_FEED_BYTES = 1 << 18, LOG_FEED_READERS = 64 };

hearth_status log_feed_open(struct log_feed **out, hearth_error *err);
void log_feed_close(struct log_feed *feed); /* without readers; NULL is fine */

void log_feed_put(struct log_feed *feed, const char *line, size_t n); /* any thread */
/* Every reader gets a comment. */
void log_feed_remind(struct log_feed *feed);
/* Every reader's stream ends. */
void log_feed_end(struct log_feed *feed);

/* Queues the response and adds a reader; otherwise the exchange has a reply. */
void log_feed_answer(struct log_feed *feed, struct http_exchange *x);
void log_feed_leave(struct log_feed *feed, struct log_reader *reader); /* NULL is fine */

#endif
