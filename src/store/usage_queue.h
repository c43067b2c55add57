/* usage_queue.h - what requests used, on its way to the database: whoever answers a request does
 * not wait for the disk. What was not flushed is lost when the process ends; a row too many is
 * dropped and counted. */
#ifndef HEARTH_STORE_USAGE_QUEUE_H
#define HEARTH_STORE_USAGE_QUEUE_H

#include "store/store_pool.h"
#include "store/stored_usage.h"

enum { USAGE_QUEUE_MAX = 4096, USAGE_KEPT_DAYS = 90 /* request by request */ };

struct usage_queue;

/* Borrows the pool. */
hearth_status usage_queue_open(struct usage_queue **out, struct store_pool *pool,
                               hearth_error *err);
void usage_queue_close(struct usage_queue *queue); /* without flushing; NULL is fine */

void usage_queue_put(struct usage_queue *queue, const struct usage_row *row); /* any thread */
/* Stores what has come, to be called every second or so and at the end, by one thread at a time;
 * once a day also folds what is older than USAGE_KEPT_DAYS. On failure the rows stay. */
hearth_status usage_queue_flush(struct usage_queue *queue, int64_t now, hearth_error *err);
uint64_t usage_queue_dropped(struct usage_queue *queue); /* rows, since it was opened */

#endif
