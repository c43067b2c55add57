/* pool.h - one persistent group of worker threads.
 *
 * pool_run calls fn(context, thread, n_threads) once on every thread, the
 * caller's included (thread 0), and returns when all are done. Whoever waits spins
 * briefly, then sleeps. pool_run is called by one thread at a
 * time and never from inside fn.
 *
 * Invariants: (1) no result may depend on n_threads: fn splits work so that each
 * output is computed whole by one thread; (2) memory written by fn is visible to
 * the caller when pool_run returns. */
#ifndef HEARTH_BASE_POOL_H
#define HEARTH_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cpu_topology.h"
#include "base/status.h"

struct pool;

typedef void (*pool_function)(void *context, unsigned thread, unsigned n_threads);

/* n_threads 0: one per physical core that this process may use. Where they are as many as that,
 * each is tied to a core of its own, the caller's while a call runs: two on one core keep all
 * waiting at every barrier, and the system puts them there when it wakes them. */
hearth_status pool_open(struct pool **out, unsigned n_threads, hearth_error *err);
void pool_close(struct pool *pool);
/* Ties every thread to a node, by topology_first_thread; the caller's is tied while a call
 * runs. Before the first call; `nodes` is copied, and one node, or NULL, leaves all free. */
void pool_tie(struct pool *pool, const struct topology_nodes *nodes);
unsigned pool_threads(const struct pool *pool);
unsigned pool_nodes(const struct pool *pool); /* at least 1 */
unsigned pool_node_of(const struct pool *pool, unsigned thread);
void pool_run(struct pool *pool, pool_function fn, void *context);
/* Waits until every thread of the running call has arrived; for phases inside fn. */
void pool_barrier(struct pool *pool);

/* Takes the next items [begin, end) of n for this thread; false when all are taken. A thread
 * walks through its own share (pool_share) from one end to the other and then helps with
 * what is left of the others', so that it reads what it reads one after the other and
 * threads of unequal speed finish together. Pieces are multiples of `granule` except the
 * last, and shrink towards the end of a share (guided self-scheduling: Polychronopoulos &
 * Kuck, IEEE Trans. Computers 36, 1987; help: Markatos & LeBlanc, "Using processor affinity
 * in loop scheduling", IEEE Trans. Parallel and Distributed Systems 5, 1994). One such
 * division at a time, the same n and granule on every thread, between two barriers or the
 * ends of the call. */
bool pool_take(struct pool *pool, unsigned thread, size_t n, size_t granule, size_t *begin,
               size_t *end);

/* The shares (pool_share) of all threads of a node together: where its items begin and end. */
void pool_node_share(const struct pool *pool, unsigned node, size_t n, size_t granule,
                     size_t *begin, size_t *end);

/* The share [begin, end) of n items for one thread; shares are multiples of
 * `granule` except the last. */
static inline void pool_share(size_t n, size_t granule, unsigned thread, unsigned n_threads,
                              size_t *begin, size_t *end) {
    size_t granules = (n + granule - 1) / granule;
    *begin = granules * thread / n_threads * granule;
    *end = granules * (thread + 1) / n_threads * granule;
    if (*begin > n) *begin = n;
    if (*end > n) *end = n;
}

#endif
