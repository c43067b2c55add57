/* What follows from the measurements of a test of 'hearth bench', made up here. */
#include "testdata.h"

#include "cli/bench_row.h"

static struct bench_test test_of(uint32_t depth, uint32_t n_sequences) {
    return (struct bench_test){.depth = depth, .n_generate = 4, .n_sequences = n_sequences};
}

/* Three repetitions that took so many times the single sequence's seconds. */
static struct bench_row row_of(const struct bench_test *test, double weights, double cache) {
    struct bench_row row = {.test = test,
                            .generate = {.weight_bytes = weights, .cache_bytes = cache}};
    row.single = (struct bench_single){
        .times.count = 3, .cost = {.weight_bytes = weights}, .ratios = {1.25, 1.5, 2.5}};
    return row;
}

static void tests_of_one_empty_sequence_need_no_other(void **state) {
    struct bench_test one = test_of(0, 1), deep = test_of(64, 1), many = test_of(0, 2);
    struct bench_test mixed = {.depth = 64, .n_prompt = 8, .n_generate = 4, .n_sequences = 1};
    (void)state;
    assert_false(bench_test_has_single(&one));
    assert_false(bench_test_has_single(&mixed));
    assert_true(bench_test_has_single(&deep));
    assert_true(bench_test_has_single(&many));
}

/* Sequences and pages of 32 positions for the longest test and the one beside it. */
static void room_is_made_for_the_single_sequence(void **state) {
    static struct bench_tests tests;
    (void)state;
    tests.items[tests.count++] = test_of(64, 1);
    assert_int_equal(bench_tests_sequences(&tests), 2);
    assert_int_equal(bench_tests_pages(&tests), 3 + 1);
    tests.items[tests.count++] = test_of(0, 8);
    assert_int_equal(bench_tests_sequences(&tests), 9);
    assert_int_equal(bench_tests_pages(&tests), 8 + 1);
    assert_int_equal(bench_tests_context(&tests), 68);
}

static void sequences_together_are_compared_with_one(void **state) {
    struct bench_test many = test_of(0, 6);
    struct bench_row row = row_of(&many, 100, 10);
    double added;
    (void)state;
    assert_float_equal(bench_row_ratio(&row), 4, 1e-9);
    assert_false(bench_row_added(&row, &added));
}

/* Half as many bytes again and half as much time again: the bytes explain it. */
static void the_bytes_of_a_depth_are_compared_with_its_seconds(void **state) {
    struct bench_test deep = test_of(64, 1);
    struct bench_row row = row_of(&deep, 100, 50);
    double added;
    (void)state;
    assert_true(bench_row_added(&row, &added));
    assert_float_equal(added, 1, 1e-9);
    row.generate.cache_bytes = 25;
    assert_true(bench_row_added(&row, &added));
    assert_float_equal(added, 2, 1e-9);
    row.generate.cache_bytes = 0; /* a recurrent state does not grow */
    assert_false(bench_row_added(&row, &added));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tests_of_one_empty_sequence_need_no_other),
        cmocka_unit_test(room_is_made_for_the_single_sequence),
        cmocka_unit_test(sequences_together_are_compared_with_one),
        cmocka_unit_test(the_bytes_of_a_depth_are_compared_with_its_seconds),
    };
    return cmocka_run_group_tests_name("cli/bench_row", tests, NULL, NULL);
}
