/* hearth bench and hearth doctor: that they measure what was asked for and say it in every
 * format. How fast anything is stays open. */
#include "program.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static const char story_model[] = "models/stories260K/stories260K.gguf";

static json_t *parsed_output(void) {
    json_error_t error;
    json_t *json = json_loads(program_out(NULL), 0, &error);
    if (!json) fail_msg("%s in: %s", error.text, program_out(NULL));
    return json;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value)) fail_msg("no number '%s'", key);
    return json_number_value(value);
}

static const char *string(const json_t *object, const char *key) {
    const char *value = json_string_value(json_object_get(object, key));
    if (!value) fail_msg("no string '%s'", key);
    return value;
}

/* cmocka compares doubles as floats, which is too coarse here; JSON has six digits. */
static void assert_exact(double value, double expected) {
    if (fabs(value - expected) > 1e-5 * expected) fail_msg("%.1f, not %.1f", value, expected);
}

static void assert_positive(const json_t *object, const char *key) {
    double value = number(object, key);
    if (!isfinite(value) || value <= 0) fail_msg("'%s' is %g", key, value);
}

static void check_row(const json_t *row) {
    static const char *const keys[] = {
        "tokens_per_second", "min", "max", "seconds", "bytes", "operations", "bytes_per_second",
        "fraction_of_limit"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_positive(row, keys[i]);
    assert_true(number(row, "min") <= number(row, "tokens_per_second"));
    assert_true(number(row, "tokens_per_second") <= number(row, "max"));
    assert_positive(json_object_get(row, "limits"), "read_bytes_per_second");
    assert_positive(json_object_get(row, "limits"), "f32_ops_per_second");
    const char *limit = string(row, "limit");
    assert_true(strcmp(limit, "memory") == 0 || strcmp(limit, "arithmetic") == 0);
}

static void check_rows(const char *const *names, size_t count) {
    json_t *bench = parsed_output(), *rows = json_object_get(bench, "rows");
    assert_int_equal(json_array_size(rows), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *row = json_array_get(rows, i);
        assert_string_equal(string(row, "test"), names[i]);
        check_row(row);
    }
    assert_positive(json_object_get(bench, "load"), "seconds");
    assert_positive(json_object_get(bench, "load"), "resident_bytes");
    json_decref(bench);
}
#define CHECK_ROWS(...)                                                                            \
    check_rows((const char *const[]){__VA_ARGS__},                                                 \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void every_kind_of_test_has_a_row(void **state) {
    (void)state;
    RUN_OK("bench", "-m", testdata(story_model), "-p", "16,24", "-n", "4", "-pg", "8,2", "-d",
           "0,40", "--sequences", "1,3", "--ttft", "20,20:12", "-r", "1", "-t", "2", "--json");
    CHECK_ROWS("pp16", "pp24", "tg4", "tg4x3", "pp8+tg2", "pp16@d40", "pp24@d40", "tg4@d40",
               "tg4x3@d40", "pp8+tg2@d40", "ttft20", "ttft20@d12");
}

/* Whatever is printed as a test's name can be asked for. */
static void tests_have_names(void **state) {
    static const char names[] = "pp16,tg4x3,pp8+tg2@d40,tg4@d40,ttft20@d12,ttft20";
    (void)state;
    RUN_OK("bench", "-m", testdata(story_model), "--tests", names, "-r", "1", "-t", "1", "--json");
    CHECK_ROWS("pp16", "tg4x3", "pp8+tg2@d40", "tg4@d40", "ttft20@d12", "ttft20");
}

static void the_default_is_a_quick_round(void **state) {
    (void)state;
    RUN_OK("bench", "-m", testdata(story_model), "-r", "1", "-t", "1", "--json");
    CHECK_ROWS("pp512", "tg128", "ttft512", "ttft512@d500");
}

/* The tokens of a second sequence, and those that a longer context adds, cost what they
 * must: stories260k has 5 layers, 4 key heads of 8, a cache in F16. */
static void costs_grow_with_sequences_and_depth(void **state) {
    const double position = 5 * 2 * 4 * 8 * 2;
    (void)state;
    RUN_OK("bench", "-m", testdata(story_model), "-p", "0", "-n", "1", "-d", "0,100", "--sequences",
           "1,2", "-r", "1", "-t", "1", "--json");
    json_t *bench = parsed_output(), *rows = json_object_get(bench, "rows");
    double bytes[4], operations[4];
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = number(json_array_get(rows, i), "bytes");
        operations[i] = number(json_array_get(rows, i), "operations");
    }
    assert_exact(bytes[2] - bytes[0], 100 * position);
    assert_exact(bytes[3] - bytes[1], 2 * 100 * position);
    assert_exact(operations[1], 2 * operations[0]);
    assert_exact(operations[3], 2 * operations[2]);
    json_decref(bench);
}

/* Where a test has several sequences or a depth, one with neither is measured in turn; the bytes
 * of a depth are those of one sequence only. */
static void tests_are_set_beside_a_single_sequence(void **state) {
    (void)state;
    RUN_OK("bench", "-m", testdata(story_model), "--tests", "tg2,pp4+tg2@d40,tg2x3,tg2@d40", "-r",
           "2", "-t", "1", "--json");
    json_t *bench = parsed_output(), *rows = json_object_get(bench, "rows");
    for (size_t i = 0; i < 4; i++) {
        const json_t *single = json_object_get(json_array_get(rows, i), "single");
        assert_int_equal(single != NULL, i >= 2);
        if (!single) continue;
        assert_positive(single, "tokens_per_second");
        assert_positive(single, "ratio");
        assert_int_equal(json_object_get(single, "added_seconds_over_bytes") != NULL, i == 3);
    }
    json_decref(bench);
    RUN_OK("bench", "-m", testdata(story_model), "--tests", "tg2x3,tg2@d40", "-r", "1");
    assert_non_null(strstr(program_out(NULL), "\ntg2x3: "));
    assert_non_null(strstr(program_out(NULL), "what its bytes add"));
}

/* States that cannot go back to a depth are made again; experts in use are counted. */
static void recurrent_and_expert_models_are_measured(void **state) {
    static const char *const shapes[] = {"qwen3.5-0.8b", "granite4-h-tiny", "lfm2-1.2b",
                                         "olmoe-1b-7b"};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        RUN_OK("synth", "--tiny", "--shape", shapes[i], "-o", program_path("tiny.gguf"));
        RUN_OK("bench", "-m", program_path("tiny.gguf"), "--tests", "pp8@d5,tg2x2,tg2@d5", "-r",
               "2", "-t", "2", "--json");
        CHECK_ROWS("pp8@d5", "tg2x2", "tg2@d5");
    }
}

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void tables_and_commas_say_the_same(void **state) {
    (void)state;
    RUN_OK("bench", "-m", testdata(story_model), "-p", "8", "-n", "2", "-r", "1", "-o", "csv");
    assert_memory_equal(program_out(NULL), "test,n_prompt,", 14);
    assert_non_null(strstr(program_out(NULL), "\npp8,8,0,0,1,"));
    assert_non_null(strstr(program_out(NULL), "\nload,"));
    assert_int_equal(count_lines(program_out(NULL)), 4);
    RUN_OK("bench", "-m", testdata(story_model), "-p", "8", "-n", "2", "-r", "1");
    assert_non_null(strstr(program_out(NULL), "\n| pp8 "));
    assert_non_null(strstr(program_out(NULL), "\n| tg2 "));
    assert_non_null(strstr(program_out(NULL), "\n| load "));
    assert_non_null(strstr(program_out(NULL), "limits, measured"));
}

static void expect_refusal(int code, int expected, const char *part) {
    assert_int_equal(code, expected);
    if (!strstr(program_err(), part)) fail_msg("'%s' not in: %s", part, program_err());
}

static void wrong_lists_are_refused(void **state) {
    const char *m = testdata(story_model);
    (void)state;
    expect_refusal(RUN("bench", "-m", m, "-p", "12x"), 2, "-p '12x'");
    expect_refusal(RUN("bench", "-m", m, "-n", "1,,2"), 2, "-n '1,,2'");
    expect_refusal(RUN("bench", "-m", m, "-n", "1,"), 2, "-n '1,'");
    expect_refusal(RUN("bench", "-m", m, "-d", "99999999999"), 2, "-d '99999999999'");
    expect_refusal(RUN("bench", "-m", m, "--sequences", "0"), 2, "--sequences '0'");
    expect_refusal(RUN("bench", "-m", m, "-pg", "12"), 2, "-pg '12'");
    expect_refusal(RUN("bench", "-m", m, "-pg", "12,0"), 2, "-pg '12,0'");
    expect_refusal(RUN("bench", "-m", m, "--ttft", "12:12"), 2, "--ttft '12:12'");
    expect_refusal(RUN("bench", "-m", m, "--tests", "pp8,tg"), 2, "--tests 'pp8,tg'");
    expect_refusal(RUN("bench", "-m", m, "--tests", "pp8tg2"), 2, "--tests 'pp8tg2'");
    expect_refusal(RUN("bench", "-m", m, "--tests", "pp8,"), 2, "--tests 'pp8,'");
    expect_refusal(RUN("bench", "-m", m, "--tests", "tg2x0"), 2, "--tests 'tg2x0'");
    expect_refusal(RUN("bench", "-m", m, "--tests", "ttft8@d8"), 2, "--tests 'ttft8@d8'");
    expect_refusal(RUN("bench", "-m", m, "-p", "300", "-c", "64"), 1, "pp300 needs a context");
}

static void the_doctor_measures_this_machine(void **state) {
    size_t i;
    json_t *level;
    int in_use = 0;
    (void)state;
    RUN_OK("doctor", "-t", "2", "--json");
    json_t *doctor = parsed_output();
    assert_positive(doctor, "read_bytes_per_second");
    assert_true(json_integer_value(json_object_get(doctor, "memory_nodes")) >= 1);
    json_array_foreach(json_object_get(doctor, "levels"), i, level) {
        assert_positive(level, "f32_flops");
        assert_positive(level, "int8_ops");
        in_use += json_is_true(json_object_get(level, "in_use"));
    }
    assert_int_equal(in_use, 1);
    assert_true(json_array_size(json_object_get(doctor, "models")) > 0);
    json_decref(doctor);
    RUN_OK("doctor", "-t", "1");
    assert_non_null(strstr(program_out(NULL), "bandwidth"));
    assert_non_null(strstr(program_out(NULL), "in use"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, program_set_up, program_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_test_has_a_row),
        TEST(tests_have_names),
        TEST(the_default_is_a_quick_round),
        TEST(costs_grow_with_sequences_and_depth),
        TEST(tests_are_set_beside_a_single_sequence),
        TEST(recurrent_and_expert_models_are_measured),
        TEST(tables_and_commas_say_the_same),
        TEST(wrong_lists_are_refused),
        TEST(the_doctor_measures_this_machine),
    };
    return cmocka_run_group_tests_name("cli/speed", tests, NULL, NULL);
}
