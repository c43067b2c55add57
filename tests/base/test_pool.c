#include "testdata.h"

#include <stdatomic.h>

#include "base/pool.h"

enum { ITEMS = 1000, CALLS = 2000 };

struct job {
    _Atomic int touched[ITEMS];
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_item_is_done_once_per_call)};
    return cmocka_run_group_tests_name("base/pool", tests, NULL, NULL);
}
