#include "route/local_queue.h"

#include <stddef.h>

void local_queue_put(struct local_queue *q, struct queued *queued) {
    queued->round = q->round;
    for (const struct queued *at = q->first; at; at = at->next)
        if (at->client == queued->client && at->round >= queued->round)
            queued->round = at->round + 1;
    struct queued **link = &q->first;
    while (*link && (*link)->round <= queued->round)
        link = &(*link)->next;
    queued->next = *link;
    *link = queued;
}

void local_queue_hurry(struct local_queue *q, struct queued *queued) {
    struct queued **link = &q->first;
    while (*link && *link != queued)
        link = &(*link)->next;
    if (!*link) return;
    *link = queued->next;
    queued->client = queued->round = 0;
    queued->is_long = false;
    queued->next = q->first;
    q->first = queued;
}

/* Whether all threads but `thread` have long ones. */
static bool is_last(const struct local_queue *q, unsigned thread) {
    for (unsigned i = 0; i < LOCAL_QUEUE_THREADS; i++)
        if (i != thread && !q->has_long[i]) return false;
    return true;
}

struct queued *local_queue_take(struct local_queue *q, unsigned thread) {
    struct queued **link = &q->first;
    bool only_short = is_last(q, thread);
    q->has_long[thread] = false;
    while (*link && only_short && (*link)->is_long)
        link = &(*link)->next;
    struct queued *queued = *link;
    if (!queued) return NULL;
    *link = queued->next;
    q->has_long[thread] = queued->is_long;
    if (queued->round > q->round) q->round = queued->round;
    return queued;
}
