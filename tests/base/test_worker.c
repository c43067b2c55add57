/* The thread beside the one that computes, and memory that is given back in parts. */
#include "testdata.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/worker.h"

enum { JOBS = 5000, PAGE = 4096, PAGES = 8 };

struct step {
    int *order; /* of all */
    int *n_done, number;
};

static void take_step(void *context) {
    struct step *step = context;
    step->order[(*step->n_done)++] = step->number;
}

static void jobs_are_done_in_order(void **state) {
    static struct step steps[JOBS];
    static int order[JOBS];
    struct worker *worker;
    int n_done = 0;
    (void)state;
    assert_int_equal(worker_open(&worker, NULL), HEARTH_OK);
    worker_wait(worker, 0);
    for (int i = 0; i < JOBS; i++) {
        steps[i] = (struct step){order, &n_done, i};
        uint64_t number = worker_post(worker, take_step, &steps[i]);
        assert_int_equal(number, i + 1);
        if (i != JOBS / 2) continue;
        worker_drain(worker);
        assert_int_equal(n_done, i + 1);
    }
    worker_close(worker);
    assert_int_equal(n_done, JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(order[i], i);
    worker_close(NULL);
}

static int resident_pages(void *pages) {
    unsigned char resident[PAGES];
    int n = 0;
    assert_int_equal(mincore(pages, PAGES * PAGE, resident), 0);
    for (int i = 0; i < PAGES; i++)
        n += resident[i] & 1;
    return n;
}

static void what_is_dropped_is_zero_and_takes_no_memory(void **state) {
    static const struct {
        size_t begin, end;
        int left; /* pages */
    } cases[] = {{0, PAGES * PAGE, 0},           {10, PAGE + 10, 8},
                 {10, 2 * PAGE + 1, 7},          {PAGE, 3 * PAGE, 6},
                 {PAGE - 1, 3 * PAGE, 6},        {5, 5, 8},
                 {3 * PAGE + 7, 3 * PAGE + 9, 8}};
    unsigned char *pages = mem_pages_alloc(PAGES * PAGE);
    (void)state;
    if (sysconf(_SC_PAGESIZE) != PAGE) skip();
    assert_non_null(pages);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        memset(pages, 7, PAGES * PAGE);
        mem_pages_drop(pages + cases[c].begin, cases[c].end - cases[c].begin);
        assert_int_equal(resident_pages(pages), cases[c].left);
        for (size_t i = 0; i < PAGES * PAGE; i++)
            assert_int_equal(pages[i], i >= cases[c].begin && i < cases[c].end ? 0 : 7);
    }
    mem_pages_free(pages, PAGES * PAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_done_in_order),
        cmocka_unit_test(what_is_dropped_is_zero_and_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
