/* store_pool.h - one database for a program of several threads.
 *
 * A store (store.h) is one thread's; what is to be done with one is given here as a job.
 * Changes go through one connection: jobs that come while others are being brought to the disk
 * wait and then go together, so that many threads share what one write to the disk costs.
 * Readers have connections of their own and never wait for writers. */
#ifndef HEARTH_STORE_STORE_POOL_H
#define HEARTH_STORE_STORE_POOL_H

#include "store/store.h"

enum { STORE_POOL_READERS = 8, STORE_POOL_TOGETHER = 256 };

struct store_pool;

/* As store_open. */
hearth_status store_pool_open(struct store_pool **out, const char *path, hearth_error *err);
void store_pool_close(struct store_pool *pool); /* when nothing is under way; NULL is fine */

typedef hearth_status (*store_job)(struct store *store, void *context, hearth_error *err);

/* Any thread's; returns what the job did. The job sees the database as it was at one moment; no
 * more than STORE_POOL_READERS go at once. */
hearth_status store_pool_read(struct store_pool *pool, store_job job, void *context,
                              hearth_error *err);
/* Any thread's, and the job may run in another. HEARTH_OK: what it changed is on the disk; else
 * nothing of it is there. A job that takes long keeps the others waiting. */
hearth_status store_pool_write(struct store_pool *pool, store_job job, void *context,
                               hearth_error *err);

#endif
