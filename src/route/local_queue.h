/* local_queue.h - requests that wait for one of a few threads to make their prompts.
 *
 * Clients take turns (start-time fair queueing: Goyal, Vin & Cheng, SIGCOMM 1996, with requests of
 * equal cost): a client's further requests are of further rounds, and those of a round come in
 * order of arrival. One thread is always left to what is short. Whoever uses it has a lock. */
#ifndef HEARTH_ROUTE_LOCAL_QUEUE_H
#define HEARTH_ROUTE_LOCAL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum { LOCAL_QUEUE_THREADS = 2 };

/* A request in the queue; its owner's, who sets these. */
struct queued {
    uint64_t client;
    bool is_long; /* its thread computes, too: embeddings */
    /* private */
    uint64_t round;
    struct queued *next;
};

/* A zeroed one is empty. */
struct local_queue {
    struct queued *first;
    uint64_t round;                     /* of the last that was taken */
    bool has_long[LOCAL_QUEUE_THREADS]; /* threads */
};

void local_queue_put(struct local_queue *queue, struct queued *queued);
/* It is over and need only be heard of: it comes before all others, if it is there. */
void local_queue_hurry(struct local_queue *queue, struct queued *queued);
/* The next for thread number `thread`, which has done what it took before; NULL: none for it. */
struct queued *local_queue_take(struct local_queue *queue, unsigned thread);

#endif
