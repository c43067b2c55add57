/* hearth keys: made, listed and revoked, as the server would have it. */
#include <jansson.h>
#include <string.h>

#include "program.h"

static json_t *listed(bool all) {
    if (RUN("keys", "list", "--json", all ? "--all" : "--json") != 0) fail_msg("%s", program_err());
    json_t *keys = json_loads(program_out(NULL), 0, NULL);
    assert_true(json_is_array(keys));
    return keys;
}

static const char *text_of(const json_t *keys, size_t i, const char *name) {
    return json_string_value(json_object_get(json_array_get(keys, i), name));
}

static void test_from_the_first_to_none(void **state) {
    (void)state;
    RUN_OK("keys", "list");
    assert_non_null(strstr(program_err(), "no keys"));
    RUN_OK("keys", "create", "owner");
    assert_int_equal(strncmp(program_out(NULL), "sk-hearth-", 10), 0);
    assert_non_null(strstr(program_err(), "of the role admin"));
    RUN_OK("keys", "create", "team", "--requests-per-minute", "60", "--concurrent", "2",
           "--expires", "90d");
    assert_non_null(strstr(program_err(), "of the role user"));
    json_t *keys = listed(false);
    assert_int_equal(json_array_size(keys), 2);
    assert_string_equal(text_of(keys, 1, "name"), "team");
    assert_non_null(text_of(keys, 1, "expires"));
    const json_t *limits = json_object_get(json_array_get(keys, 1), "limits");
    assert_int_equal(json_integer_value(json_object_get(limits, "requests_per_minute")), 60);
    assert_int_equal(json_integer_value(json_object_get(limits, "concurrent")), 2);
    assert_null(json_object_get(limits, "tokens_per_minute"));
    RUN_OK("keys", "revoke", "team");
    RUN_OK("keys", "revoke", "--", text_of(keys, 0, "id"));
    json_decref(keys);
    keys = listed(false);
    assert_int_equal(json_array_size(keys), 0);
    json_decref(keys);
    keys = listed(true);
    assert_int_equal(json_array_size(keys), 2);
    assert_non_null(text_of(keys, 0, "revoked"));
    json_decref(keys);
}

static void test_a_table(void **state) {
    (void)state;
    RUN_OK("keys", "create", "owner");
    RUN_OK("keys", "create", "a\033[2Jb", "--user", "--tokens-per-minute", "5", "--expires",
           "2099-12-31");
    RUN_OK("keys", "list");
    const char *table = program_out(NULL);
    assert_non_null(strstr(table, "a?[2Jb"));
    assert_null(strchr(table, '\033'));
    assert_non_null(strstr(table, "2099-12-31"));
    assert_non_null(strstr(table, "5 tokens/min"));
}

static void expect_failure(int code, const char *message) {
    if (!strstr(program_err(), message)) fail_msg("%s", program_err());
    assert_true(code != 0);
}

static void test_mistakes(void **state) {
    (void)state;
    expect_failure(RUN("keys"), "an argument is missing");
    expect_failure(RUN("keys", "burn"), "none of list, create and revoke");
    expect_failure(RUN("keys", "create", "first", "--user"), "admin first");
    expect_failure(RUN("keys", "create", "x", "--expires", "soon"), "no time to come");
    expect_failure(RUN("keys", "create", "x", "--expires", "1999-12-31"), "a time to come");
    expect_failure(RUN("keys", "create", "\xff"), "not UTF-8");
    expect_failure(RUN("keys", "create", ""), "must not be empty");
    expect_failure(RUN("keys", "revoke", "x"), "no key 'x'");
    RUN_OK("keys", "create", "owner");
    RUN_OK("keys", "create", "two", "--admin");
    RUN_OK("keys", "create", "two");
    expect_failure(RUN("keys", "revoke", "two"), "2 keys are named 'two'");
    json_t *keys = listed(false);
    RUN_OK("keys", "revoke", "--", text_of(keys, 1, "id"));
    expect_failure(RUN("keys", "revoke", "owner"), "the last key of the role admin");
    json_decref(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_the_first_to_none, program_set_up,
                                        program_tear_down),
        cmocka_unit_test_setup_teardown(test_a_table, program_set_up, program_tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes, program_set_up, program_tear_down),
    };
    return cmocka_run_group_tests_name("cli/keys_command", tests, NULL, NULL);
}
