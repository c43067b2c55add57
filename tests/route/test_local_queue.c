/* In which order requests get to the threads that make prompts. */
#include "testdata.h"

#include "route/local_queue.h"

enum { MOST = 16 };

static struct local_queue queue;
static struct queued requests[MOST];

static int clear(void **state) {
    (void)state;
    queue = (struct local_queue){0};
    return 0;
}

static void put(int i, uint64_t client, bool is_long) {
    requests[i] = (struct queued){.client = client, .is_long = is_long};
    local_queue_put(&queue, &requests[i]);
}

static void expect(int i, unsigned thread) {
    const struct queued *taken = local_queue_take(&queue, thread);
    if (taken != &requests[i]) fail_msg("not %d but %td", i, taken ? taken - requests : -1);
}

static void expect_none(unsigned thread) {
    assert_null(local_queue_take(&queue, thread));
}

static void test_one_client_is_served_in_order(void **state) {
    (void)state;
    for (int i = 0; i < 6; i++)
        put(i, 0, false);
    for (int i = 0; i < 6; i++)
        expect(i, 0);
    expect_none(0);
}

static void test_clients_take_turns(void **state) {
    static const int order[] = {0, 6, 8, 1, 7, 9, 2, 3, 4, 5};
    (void)state;
    for (int i = 0; i < 6; i++)
        put(i, 1, false);
    for (int i = 6; i < 8; i++)
        put(i, 2, false);
    for (int i = 8; i < 10; i++)
        put(i, 3, false);
    for (int i = 0; i < 10; i++)
        expect(order[i], 0);
}

/* Whoever comes later is of the round that it is then, not of those that are over. */
static void test_nobody_saves_up(void **state) {
    static const int order[] = {8, 4, 9, 5, 10, 6, 7};
    (void)state;
    for (int i = 0; i < 8; i++)
        put(i, 1, false);
    for (int i = 0; i < 4; i++)
        expect(i, 0);
    for (int i = 8; i < 11; i++)
        put(i, 2, false);
    for (int i = 0; i < 7; i++)
        expect(order[i], 0);
    expect_none(0);
}

static void test_a_thread_is_left_to_short_ones(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++)
        put(i, 1, true);
    expect(0, 1);
    expect_none(0);
    put(3, 1, false);
    expect(3, 0);
    expect_none(0);
    expect(1, 1);
    put(4, 2, true);
    expect_none(0);
    expect(2, 1);
    expect(4, 1);
    expect_none(1);
    put(5, 1, true);
    expect(5, 0);
}

static void test_what_is_over_comes_first(void **state) {
    (void)state;
    put(0, 1, true);
    put(1, 1, true);
    put(2, 1, true);
    expect(0, 0);
    local_queue_hurry(&queue, &requests[2]);
    local_queue_hurry(&queue, &requests[0]); /* is not there */
    expect(2, 1);
    expect_none(1);
    expect(1, 0);
    expect_none(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_client_is_served_in_order, clear),
        cmocka_unit_test_setup(test_clients_take_turns, clear),
        cmocka_unit_test_setup(test_nobody_saves_up, clear),
        cmocka_unit_test_setup(test_a_thread_is_left_to_short_ones, clear),
        cmocka_unit_test_setup(test_what_is_over_comes_first, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
