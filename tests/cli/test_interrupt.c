#include "testdata.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_interrupt_sets_a_flag_and_the_second_acts_as_before),
        cmocka_unit_test(work_hears_of_its_end),
    };
    return cmocka_run_group_tests_name("cli/interrupt", tests, NULL, NULL);
}
