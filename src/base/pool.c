#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/cpu.h"
#include "base/mem.h"

enum { SPIN_ROUNDS = 1000, MAX_THREADS = 512, CACHE_LINE = 64 };

struct pool {
    /* One call is one generation: the caller publishes fn and bumps it; workers
     * count themselves into `finished`. */
    alignas(CACHE_LINE) _Atomic unsigned generation;
    alignas(CACHE_LINE) _Atomic unsigned finished;
    alignas(CACHE_LINE) _Atomic unsigned barrier_count;
    _Atomic unsigned barrier_phase;
    alignas(CACHE_LINE) _Atomic unsigned sleepers;
    pool_function fn;
    void *context;
    unsigned n_threads, n_started, n_created;
    bool stop;
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

static unsigned wait_for_change(struct pool *pool, unsigned seen) {
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        unsigned now = atomic_load_explicit(&pool->generation, memory_order_acquire);
        if (now != seen) return now;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load(&pool->generation);
}

static void *worker(void *argument) {
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    unsigned thread = ++pool->n_started;
    pthread_mutex_unlock(&pool->mutex);
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_change(pool, seen);
        if (pool->stop) return NULL;
        pool->fn(pool->context, thread, pool->n_threads);
        atomic_fetch_add_explicit(&pool->finished, 1, memory_order_release);
    }
}

static void publish(struct pool *pool) {
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

hearth_status pool_open(struct pool **out, unsigned n_threads, hearth_error *err) {
    *out = NULL;
    if (n_threads == 0) n_threads = cpu_default_threads();
    if (n_threads > MAX_THREADS)
        return error_set(err, HEARTH_ERROR_LIMIT, "cannot start %u threads: the most is %d",
                         n_threads, MAX_THREADS);
    struct pool *pool = mem_alloc_aligned(CACHE_LINE, sizeof *pool + sizeof(pthread_t) * n_threads);
    if (!pool) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %u threads", n_threads);
    *pool = (struct pool){.n_threads = n_threads};
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
    *out = pool;
    return HEARTH_OK;
}

void pool_close(struct pool *pool) {
    if (!pool) return;
    pool->stop = true;
    publish(pool);
    for (unsigned i = 0; i < pool->n_created; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->wake);
    mem_free(pool);
}

unsigned pool_threads(const struct pool *pool) {
    return pool->n_threads;
}

void pool_run(struct pool *pool, pool_function fn, void *context) {
    if (pool->n_threads == 1) {
        fn(context, 0, 1);
        return;
    }
    pool->fn = fn;
    pool->context = context;
    atomic_store(&pool->finished, 0);
    publish(pool);
    fn(context, 0, pool->n_threads);
    for (int spins = 0;
         atomic_load_explicit(&pool->finished, memory_order_acquire) != pool->n_threads - 1;) {
        if (++spins < SPIN_ROUNDS)
            relax();
        else
            sched_yield();
    }
}

void pool_barrier(struct pool *pool) {
    if (pool->n_threads == 1) return;
    unsigned phase = atomic_load(&pool->barrier_phase);
    if (atomic_fetch_add(&pool->barrier_count, 1) == pool->n_threads - 1) {
        atomic_store(&pool->barrier_count, 0);
        atomic_fetch_add_explicit(&pool->barrier_phase, 1, memory_order_release);
        return;
    }
    for (int spins = 0;
         atomic_load_explicit(&pool->barrier_phase, memory_order_acquire) == phase;) {
        if (++spins < SPIN_ROUNDS)
            relax();
        else
            sched_yield();
    }
}
