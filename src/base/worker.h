/* worker.h - one thread that does jobs in the order in which they are posted, beside the thread
 * that posts them: for what waits for others, such as messages, while that one computes.
 *
 * Invariants: (1) a job sees all that was written before it was posted, and whoever has waited
 * for it all that it wrote; (2) one thread posts and waits. */
#ifndef HEARTH_BASE_WORKER_H
#define HEARTH_BASE_WORKER_H

#include <stdint.h>

#include "base/status.h"

struct worker;

typedef void (*worker_job)(void *context);

hearth_status worker_open(struct worker **out, hearth_error *err);
/* After the last job; NULL is fine. */
void worker_close(struct worker *worker);
/* Returns the job's number, 1 and up. Waits only where very many are to be done. */
uint64_t worker_post(struct worker *worker, worker_job job, void *context);
/* Until job `number` and all before it are done; 0: returns at once. */
void worker_wait(struct worker *worker, uint64_t number);
/* Until all are done. */
void worker_drain(struct worker *worker);

#endif
