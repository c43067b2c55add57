#include "base/pool.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/numa.h"

enum { SPIN_ROUNDS = 1000, MAX_THREADS = 512, CACHE_LINE = 64 };

/* A counter that threads wait on: they spin for a while, then sleep, so that on a busy
 * machine the threads that work get the processors. */
struct turn {
    alignas(CACHE_LINE) _Atomic unsigned value;
    _Atomic unsigned sleepers;
};

/* What is taken of a thread's share in the division numbered in the upper half: granules,
 * in the lower half. That of an earlier division means none. */
struct share {
    alignas(CACHE_LINE) _Atomic uint64_t taken;
};

struct pool {
    /* One call is one generation: the caller publishes fn and begins it; workers count
     * themselves into `finished`, and the last one begins the next `done`. */
    struct turn generation, done, barrier;
    alignas(CACHE_LINE) _Atomic unsigned finished;
    alignas(CACHE_LINE) _Atomic unsigned arrived;  /* at the barrier */
    alignas(CACHE_LINE) _Atomic uint32_t division; /* its number */
    struct topology_nodes nodes;
    struct topology_nodes cores; /* of one thread each; count 1: threads are not tied to cores */
    unsigned first_thread[TOPOLOGY_NODES + 1]; /* of each node */
    pool_function fn;
    void *context;
    unsigned n_threads, n_started, n_created;
    bool stop;
    struct share *shares; /* [n_threads] */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t threads[];
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns the value once it is no longer `seen`. */
static unsigned turn_wait(struct pool *pool, struct turn *turn, unsigned seen) {
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        unsigned now = atomic_load_explicit(&turn->value, memory_order_acquire);
        if (now != seen) return now;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&turn->sleepers, 1);
    while (atomic_load(&turn->value) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&turn->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load(&turn->value);
}

/* A sleeper counts itself before it looks at the value for the last time, and here the
 * value changes before sleepers are counted: one of the two sees the other. */
static void turn_next(struct pool *pool, struct turn *turn) {
    atomic_fetch_add(&turn->value, 1);
    if (atomic_load(&turn->sleepers) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker(void *argument) {
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    unsigned thread = ++pool->n_started;
    pthread_mutex_unlock(&pool->mutex);
    unsigned seen = 0;
    for (;;) {
        seen = turn_wait(pool, &pool->generation, seen);
        if (pool->stop) return NULL;
        pool->fn(pool->context, thread, pool->n_threads);
        if (atomic_fetch_add(&pool->finished, 1) == pool->n_threads - 2)
            turn_next(pool, &pool->done);
    }
}

static void tie_to_core(void *context, unsigned thread, unsigned n_threads) {
    const struct pool *pool = context;
    struct numa_place before;
    (void)n_threads;
    if (thread > 0) numa_enter(&pool->cores, thread, &before);
}

hearth_status pool_open(struct pool **out, unsigned n_threads, hearth_error *err) {
    *out = NULL;
    if (n_threads == 0) n_threads = cpu_default_threads();
    if (n_threads > MAX_THREADS)
        return error_set(err, HEARTH_ERROR_LIMIT, "cannot start %u threads: the most is %d",
                         n_threads, MAX_THREADS);
    struct pool *pool = mem_alloc_aligned(CACHE_LINE, sizeof *pool + sizeof(pthread_t) * n_threads);
    if (!pool) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u threads", n_threads);
    *pool =
        (struct pool){.n_threads = n_threads,
                      .nodes = {1, .cores = {1}},
                      .first_thread = {0, n_threads},
                      .shares = mem_alloc_aligned(CACHE_LINE, sizeof *pool->shares * n_threads)};
    if (!pool->shares) {
        mem_free(pool);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u threads", n_threads);
    }
    memset(pool->shares, 0, sizeof *pool->shares * n_threads);
    numa_read_cores(&pool->cores);
    if (pool->cores.count != n_threads) pool->cores.count = 1;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (unsigned i = 0; i + 1 < n_threads; i++) {
        if (pthread_create(&pool->threads[i], NULL, worker, pool) != 0) {
            pool_close(pool);
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot start thread %u of %u", i + 2,
                             n_threads);
        }
        pool->n_created++;
    }
    if (pool->cores.count > 1) pool_run(pool, tie_to_core, pool);
    *out = pool;
    return HEARTH_OK;
}

void pool_close(struct pool *pool) {
    if (!pool) return;
    pool->stop = true;
    turn_next(pool, &pool->generation);
    for (unsigned i = 0; i < pool->n_created; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    mem_free(pool->shares);
    mem_free(pool);
}

unsigned pool_threads(const struct pool *pool) {
    return pool->n_threads;
}

unsigned pool_nodes(const struct pool *pool) {
    return pool->nodes.count;
}

unsigned pool_node_of(const struct pool *pool, unsigned thread) {
    unsigned node = 0;
    while (pool->first_thread[node + 1] <= thread)
        node++;
    return node;
}

static void tie_worker(void *context, unsigned thread, unsigned n_threads) {
    struct pool *pool = context;
    struct numa_place before;
    (void)n_threads;
    if (thread > 0) numa_enter(&pool->nodes, pool_node_of(pool, thread), &before);
}

void pool_tie(struct pool *pool, const struct topology_nodes *nodes) {
    if (!nodes || nodes->count <= 1) return;
    pool->nodes = *nodes;
    pool->cores.count = 1;
    for (unsigned i = 0; i <= nodes->count; i++)
        pool->first_thread[i] = topology_first_thread(nodes, i, pool->n_threads);
    pool_run(pool, tie_worker, pool);
}

static void run_on_all(struct pool *pool, pool_function fn, void *context) {
    atomic_fetch_add(&pool->division, 1);
    if (pool->n_threads == 1) {
        fn(context, 0, 1);
        return;
    }
    pool->fn = fn;
    pool->context = context;
    atomic_store(&pool->finished, 0);
    unsigned done = atomic_load(&pool->done.value);
    turn_next(pool, &pool->generation);
    fn(context, 0, pool->n_threads);
    turn_wait(pool, &pool->done, done);
}

void pool_run(struct pool *pool, pool_function fn, void *context) {
    struct numa_place before;
    const struct topology_nodes *places = pool->cores.count > 1 ? &pool->cores : &pool->nodes;
    bool tied = places->count > 1;
    if (tied) numa_enter(places, 0, &before);
    run_on_all(pool, fn, context);
    if (tied) numa_leave(&before);
}

void pool_barrier(struct pool *pool) {
    unsigned phase = atomic_load(&pool->barrier.value);
    if (atomic_fetch_add(&pool->arrived, 1) == pool->n_threads - 1) {
        atomic_store(&pool->arrived, 0);
        atomic_fetch_add(&pool->division, 1);
        turn_next(pool, &pool->barrier);
    } else {
        turn_wait(pool, &pool->barrier, phase);
    }
}

/* Half of what is left of a share, rounded up: granules [at, at + count). */
static bool share_take(struct share *share, uint32_t division, size_t granules, size_t *at,
                       size_t *count) {
    uint64_t none = (uint64_t)division << 32;
    uint64_t seen = atomic_load_explicit(&share->taken, memory_order_relaxed), now;
    do {
        now = seen >> 32 == division ? seen : none;
        *at = (uint32_t)now;
        if (*at >= granules) return false;
        *count = (granules - *at + 1) / 2;
    } while (!atomic_compare_exchange_weak_explicit(&share->taken, &seen, now + *count,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool pool_take(struct pool *pool, unsigned thread, size_t n, size_t granule, size_t *begin,
               size_t *end) {
    uint32_t division = atomic_load_explicit(&pool->division, memory_order_relaxed);
    for (unsigned i = 0; i < pool->n_threads; i++) {
        unsigned owner = (thread + i) % pool->n_threads;
        size_t first, last, at, count;
        pool_share(n, granule, owner, pool->n_threads, &first, &last);
        size_t granules = (last - first + granule - 1) / granule;
        if (!share_take(&pool->shares[owner], division, granules, &at, &count)) continue;
        *begin = first + at * granule;
        *end = first + (at + count) * granule;
        if (*end > last) *end = last;
        return true;
    }
    return false;
}

void pool_node_share(const struct pool *pool, unsigned node, size_t n, size_t granule,
                     size_t *begin, size_t *end) {
    size_t unused;
    if (pool->nodes.count == 1) { /* asked for again and again, and known */
        *begin = 0;
        *end = n;
        return;
    }
    pool_share(n, granule, pool->first_thread[node], pool->n_threads, begin, &unused);
    pool_share(n, granule, pool->first_thread[node + 1], pool->n_threads, end, &unused);
}
