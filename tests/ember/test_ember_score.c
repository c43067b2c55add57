/* ember-score: what counts as right, and both reports. */
#include "cli/program.h"

#include <jansson.h>
#include <string.h>

static const char predictions[] =
    "{\"task\":\"add\",\"expected\":\"12\",\"answer\":\"<think>\\n1\\n</think>\\n\\n12.\\n\","
    "\"thinking\":true}\n"
    "{\"task\":\"add\",\"expected\":\"12\",\"answer\":\"13\",\"thinking\":true}\n"
    "\n"
    "{\"task\":\"add\",\"expected\":\"12\",\"answer\":\"12\",\"thinking\":false}\n"
    "{\"task\":\"talk\",\"expected\":\"You are  welcome.\",\"answer\":\" you are\\nwelcome\"}\n"
    "{\"task\":\"talk\",\"expected\":\"Hello\",\"answer\":\"\"}\n";

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not contain '%s'", text, part);
}

static void check_mode(const json_t *tally, const char *mode, int n, int right) {
    const json_t *counts = json_object_get(tally, mode);
    assert_int_equal(json_integer_value(json_object_get(counts, "n")), n);
    assert_int_equal(json_integer_value(json_object_get(counts, "right")), right);
}

static void answers_are_counted_by_task_and_mode(void **state) {
    (void)state;
    assert_int_equal(RUN_WITH(predictions, "--json", "-"), 0);
    json_t *report = json_loads(program_out(NULL), 0, NULL);
    assert_non_null(report);
    const json_t *tasks = json_object_get(report, "tasks"), *add = json_object_get(tasks, "add");
    check_mode(add, "with_thinking", 2, 1);
    check_mode(add, "without_thinking", 1, 1);
    check_mode(json_object_get(tasks, "talk"), "with_thinking", 2, 1);
    assert_true(json_is_null(json_object_get(json_object_get(tasks, "talk"), "without_thinking")));
    check_mode(json_object_get(report, "all"), "with_thinking", 4, 2);
    assert_true(
        json_real_value(json_object_get(json_object_get(add, "with_thinking"), "accuracy")) == 0.5);
    json_decref(report);
}

static void the_table_has_a_row_for_each(void **state) {
    (void)state;
    assert_int_equal(RUN_WITH(predictions, "-"), 0);
    assert_contains(program_out(NULL), "add               50.0 % of 2");
    assert_contains(program_out(NULL), "100.0 % of 1");
    assert_contains(program_out(NULL), "all");
}

static void mistakes_are_named_by_line(void **state) {
    (void)state;
    assert_int_equal(RUN_WITH("{\"task\":\"a\",\"expected\":\"1\",\"answer\":\"1\"}\n{\n", "-"), 1);
    assert_contains(program_err(), "line 2");
    assert_int_equal(RUN_WITH("{\"task\":\"a\",\"expected\":1,\"answer\":\"1\"}\n", "-"), 1);
    assert_contains(program_err(), "expected");
    assert_int_equal(RUN_WITH("\n", "-"), 1);
    assert_contains(program_err(), "no predictions");
    assert_int_equal(RUN(program_path("missing.jsonl")), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_counted_by_task_and_mode),
        cmocka_unit_test(the_table_has_a_row_for_each),
        cmocka_unit_test(mistakes_are_named_by_line),
    };
    return cmocka_run_group_tests_name("ember/score", tests, program_set_up, program_tear_down);
}
