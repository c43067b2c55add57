#include "testdata.h"

#include <pthread.h>

#include "cli/interrupt.h"

static volatile sig_atomic_t reached_before;

static void earlier_handler(int number) {
    (void)number;
    reached_before = 1;
}

static void the_first_interrupt_sets_a_flag_and_the_second_acts_as_before(void **state) {
    (void)state;
    struct sigaction earlier = {.sa_handler = earlier_handler}, now;
    struct interrupt_guard guard;
    assert_int_equal(sigaction(SIGINT, &earlier, NULL), 0);
    interrupt_begin(&guard);
    assert_false(interrupt_requested());
    raise(SIGINT);
    assert_true(interrupt_requested());
    assert_int_equal(reached_before, 0);
    raise(SIGINT);
    assert_int_equal(reached_before, 1);
    interrupt_end(&guard);
    assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
    assert_true(now.sa_handler == earlier_handler);
    interrupt_begin(&guard); /* earlier interrupts are forgotten */
    assert_false(interrupt_requested());
    interrupt_end(&guard);
    assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
    assert_true(now.sa_handler == earlier_handler);
}

static void work_hears_of_its_end(void **state) {
    (void)state;
    struct sigaction now;
    struct interrupt_guard guard;
    interrupt_begin_work(&guard);
    raise(SIGTERM);
    assert_true(interrupt_requested());
    raise(SIGTERM); /* which says nothing new */
    interrupt_end(&guard);
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
}

static void *wake(void *context) {
    (void)context;
    interrupt_wake();
    return NULL;
}

/* What came before is not waited for. */
static void waiting_ends_with_an_interrupt_or_a_wake(void **state) {
    struct interrupt_guard guard;
    pthread_t thread;
    (void)state;
    interrupt_begin(&guard);
    assert_int_equal(pthread_create(&thread, NULL, wake, NULL), 0);
    interrupt_wait();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(interrupt_requested());
    raise(SIGINT);
    interrupt_wait();
    assert_true(interrupt_requested());
    interrupt_end(&guard);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_interrupt_sets_a_flag_and_the_second_acts_as_before),
        cmocka_unit_test(work_hears_of_its_end),
        cmocka_unit_test(waiting_ends_with_an_interrupt_or_a_wake),
    };
    return cmocka_run_group_tests_name("cli/interrupt", tests, NULL, NULL);
}
