#include "testdata.h"

#include "base/nearest.h"

static void distances_are_those_of_optimal_string_alignment(void **state) {
    (void)state;
    assert_int_equal(nearest_distance("", ""), 0);
    assert_int_equal(nearest_distance("abc", ""), 3);
    assert_int_equal(nearest_distance("kitten", "sitting"), 3);
    assert_int_equal(nearest_distance("temp", "tepm"), 1);
    assert_int_equal(nearest_distance("ca", "abc"), 3);
    assert_int_equal(nearest_distance("Temp", "tEMP"), 0);
}

static void names_of_any_length_are_safe(void **state) {
    (void)state;
    char text[200];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = 'x';
    text[sizeof text - 1] = '\0';
    const char *const names[] = {text, NULL, "x"};
    assert_int_equal(nearest_distance(text, text), NEAREST_MAX_BYTES + 1);
    assert_null(nearest_name(text, names, 3));
    text[NEAREST_MAX_BYTES] = '\0';
    assert_int_equal(nearest_distance(text, ""), NEAREST_MAX_BYTES);
    assert_ptr_equal(nearest_name(text, names, 3), text);
}

static void near_names_are_found_and_far_ones_are_not(void **state) {
    (void)state;
    const char *const names[] = {"temp", "threads", "top-k", "top-p", NULL, "n-predict"};
    assert_string_equal(nearest_name("tmep", names, 6), "temp");
    assert_string_equal(nearest_name("thraeds", names, 6), "threads");
    assert_string_equal(nearest_name("top-kk", names, 6), "top-k");
    assert_string_equal(nearest_name("npredict", names, 6), "n-predict");
    assert_null(nearest_name("zebra", names, 6));
    assert_null(nearest_name("", names, 6));
    assert_null(nearest_name("temp", names, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_are_those_of_optimal_string_alignment),
        cmocka_unit_test(names_of_any_length_are_safe),
        cmocka_unit_test(near_names_are_found_and_far_ones_are_not),
    };
    return cmocka_run_group_tests_name("base/nearest", tests, NULL, NULL);
}
