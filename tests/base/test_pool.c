#include "testdata.h"

#include <stdatomic.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_item_is_done_once_per_call),
                                       cmocka_unit_test(every_item_is_taken_once)};
    return cmocka_run_group_tests_name("base/pool", tests, NULL, NULL);
}
