/* run_feed.h - the events of a tuning run as they come: streams of server-sent events that begin
 * with what has happened so far; private to the room.
 *
 * A reader reads the run's log.jsonl behind the process that writes it, whenever the queue ticks.
 * When the run goes on after a pause its events come again from the first, as the log was cut back
 * to the checkpoint. The stream ends when the run has. Besides those of run_course.h:
 * {"state", "error"} whenever the state changes. */
#ifndef HEARTH_SERVER_RUN_FEED_H
#define HEARTH_SERVER_RUN_FEED_H

#include "server/http_exchange.h"
#include "server/run_queue.h"

struct run_feed;
struct run_reader;

enum { RUN_FEED_READERS = 64, RUN_FEED_READ_BYTES = 1 << 16 };

/* The queue, which ticks, is set before the first reader. */
hearth_status run_feed_open(struct run_feed **out, hearth_error *err);
void run_feed_set_queue(struct run_feed *feed, struct run_queue *queue);
void run_feed_close(struct run_feed *feed); /* without readers; NULL is fine */

void run_feed_tick(struct run_feed *feed); /* any thread */
/* Every reader's stream ends. */
void run_feed_end(struct run_feed *feed);

/* Queues the response and adds a reader; otherwise the exchange has a reply. */
void run_feed_answer(struct run_feed *feed, struct http_exchange *x, const struct served_run *run);
void run_feed_leave(struct run_feed *feed, struct run_reader *reader); /* NULL is fine */

#endif
