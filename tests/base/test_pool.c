#include "testdata.h"

#include <stdatomic.h>
#include <string.h>

#include "base/numa.h"
#include "base/pool.h"

enum { ITEMS = 1000, CALLS = 2000 };

struct job {
    _Atomic int touched[ITEMS];
};

struct divisions {
    struct pool *pool;
    _Atomic int taken[3][ITEMS], crooked;
};

static void touch(void *context, unsigned thread, unsigned n_threads) {
    struct job *job = context;
    size_t begin, end;
    pool_share(ITEMS, 7, thread, n_threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&job->touched[i], 1);
}

static void every_item_is_done_once_per_call(void **state) {
    (void)state;
    for (unsigned n_threads = 1; n_threads <= 4; n_threads++) {
        static struct job job;
        job = (struct job){0};
        struct pool *pool;
        assert_int_equal(pool_open(&pool, n_threads, NULL), HEARTH_OK);
        for (int call = 0; call < CALLS; call++)
            pool_run(pool, touch, &job);
        pool_close(pool);
        for (int i = 0; i < ITEMS; i++)
            assert_int_equal(job.touched[i], CALLS);
    }
}

/* Three divisions in one call, each of another size. */
static void take(void *context, unsigned thread, unsigned n_threads) {
    static const size_t sizes[] = {ITEMS, 1, 64};
    struct divisions *divisions = context;
    (void)n_threads;
    for (int d = 0; d < 3; d++) {
        size_t begin, end;
        while (pool_take(divisions->pool, thread, sizes[d], 16, &begin, &end)) {
            if (begin % 16 || end > sizes[d] || (end % 16 && end != sizes[d]))
                atomic_fetch_add(&divisions->crooked, 1);
            for (size_t i = begin; i < end; i++)
                atomic_fetch_add(&divisions->taken[d][i], 1);
        }
        pool_barrier(divisions->pool);
    }
}

static void every_item_is_taken_once(void **state) {
    (void)state;
    for (unsigned n_threads = 1; n_threads <= 4; n_threads++) {
        static struct divisions divisions;
        divisions = (struct divisions){0};
        assert_int_equal(pool_open(&divisions.pool, n_threads, NULL), HEARTH_OK);
        for (int call = 0; call < CALLS; call++)
            pool_run(divisions.pool, take, &divisions);
        pool_close(divisions.pool);
        assert_int_equal(divisions.crooked, 0);
        for (int i = 0; i < ITEMS; i++) {
            assert_int_equal(divisions.taken[0][i], CALLS);
            assert_int_equal(divisions.taken[1][i], i < 1 ? CALLS : 0);
            assert_int_equal(divisions.taken[2][i], i < 64 ? CALLS : 0);
        }
    }
}

/* Nodes that are parts of one machine, by turns; some may have no processor at all. */
static struct topology_nodes split(unsigned count) {
    struct topology_nodes nodes = {.count = count};
    for (unsigned i = 0; i < count; i++)
        nodes.cores[i] = i + 1;
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        nodes.of_cpu[i] = (uint8_t)(i % count);
    return nodes;
}

static void every_item_has_one_node(void **state) {
    (void)state;
    for (unsigned count = 1; count <= 5; count++)
        for (unsigned n_threads = 1; n_threads <= 7; n_threads++) {
            struct topology_nodes nodes = split(count);
            struct pool *pool;
            assert_int_equal(pool_open(&pool, n_threads, NULL), HEARTH_OK);
            pool_tie(pool, &nodes);
            assert_int_equal(pool_nodes(pool), count);
            for (size_t n = 0; n <= ITEMS; n += 37) {
                size_t at = 0, begin, end, of_threads[5] = {0};
                for (unsigned t = 0; t < n_threads; t++) {
                    pool_share(n, 16, t, n_threads, &begin, &end);
                    of_threads[pool_node_of(pool, t)] += end - begin;
                }
                for (unsigned node = 0; node < count; node++, at = end) {
                    pool_node_share(pool, node, n, 16, &begin, &end);
                    assert_int_equal(begin, at);
                    assert_int_equal(end - begin, of_threads[node]);
                }
                assert_int_equal(at, n);
            }
            pool_close(pool);
        }
}

struct places {
    struct pool *pool;
    struct numa_place caller; /* where it may run in a call */
};

static void look_around(void *context, unsigned thread, unsigned n_threads) {
    struct places *places = context;
    struct topology_nodes nobody = {.count = 1, .of_cpu = {1}};
    (void)n_threads;
    memset(nobody.of_cpu, 1, sizeof nobody.of_cpu);
    if (thread == 0) numa_enter(&nobody, 0, &places->caller); /* refused: it only looks */
}

static void the_caller_is_tied_while_a_call_runs(void **state) {
    struct topology_nodes nodes = split(2), nobody = {.count = 1};
    struct places places = {0};
    struct numa_place before, after;
    (void)state;
    memset(nobody.of_cpu, 1, sizeof nobody.of_cpu);
    numa_enter(&nobody, 0, &before);
    assert_int_equal(pool_open(&places.pool, 2, NULL), HEARTH_OK);
    pool_tie(places.pool, &nodes);
    pool_run(places.pool, look_around, &places);
    pool_close(places.pool);
    numa_enter(&nobody, 0, &after);
    assert_memory_equal(&before, &after, sizeof before);
    for (unsigned i = 0; i < TOPOLOGY_CPUS / 64; i++) {
        uint64_t even = before.processors[i] & UINT64_C(0x5555555555555555);
        assert_true(places.caller.processors[i] == (even ? even : before.processors[i]));
    }
}

enum { MOST_CORES = 64 };

struct tied {
    struct numa_place of_thread[MOST_CORES];
};

static void look(void *context, unsigned thread, unsigned n_threads) {
    struct tied *tied = context;
    struct topology_nodes nobody = {.count = 1};
    (void)n_threads;
    memset(nobody.of_cpu, 1, sizeof nobody.of_cpu);
    numa_enter(&nobody, 0, &tied->of_thread[thread]); /* refused: it only looks */
}

/* Where there are several, and not so many that they cannot be told. */
static void every_thread_has_a_core(void **state) {
    struct topology_nodes cores;
    struct pool *pool;
    static struct tied tied, after;
    (void)state;
    numa_read_cores(&cores);
    assert_int_equal(pool_open(&pool, 0, NULL), HEARTH_OK);
    if (cores.count == 1 || pool_threads(pool) != cores.count) {
        pool_close(pool);
        skip();
    }
    look(&after, 1, 1);
    pool_run(pool, look, &tied);
    look(&after, 0, 1);
    pool_close(pool);
    assert_memory_equal(&after.of_thread[0], &after.of_thread[1], sizeof after.of_thread[0]);
    for (unsigned i = 0; i < TOPOLOGY_CPUS; i++)
        for (unsigned t = 0; t < cores.count; t++)
            assert_int_equal(tied.of_thread[t].processors[i / 64] >> i % 64 & 1,
                             cores.of_cpu[i] == t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_item_is_done_once_per_call),
                                       cmocka_unit_test(every_item_is_taken_once),
                                       cmocka_unit_test(every_item_has_one_node),
                                       cmocka_unit_test(every_thread_has_a_core),
                                       cmocka_unit_test(the_caller_is_tied_while_a_call_runs)};
    return cmocka_run_group_tests_name("base/pool", tests, NULL, NULL);
}
