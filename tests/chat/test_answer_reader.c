/* What a model's text means: thinking, answer and calls, with tags well formed and not. */
#include "answer_collector.h"

static const char hermes_template[] = "{{ '<think>' }}{{ '</think>' }}<tool_call>\n{\"name\": ";
static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},"
    "\"note\":{\"type\":[\"string\",\"null\"]}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

/* "reasoning|text|name(arguments)…" of a text, the same however it is cut. */
static const char *reading(const char *source, bool with_tools, bool inside, const char *text) {
    static char shown[1 << 16];
    struct answer_form *form;
    struct collected whole, cut;
    json_t *tools = with_tools ? json_loads(tools_text, 0, NULL) : NULL;
    assert_int_equal(answer_form_open(&form, source, NULL), HEARTH_OK);
    read_cut(form, tools, inside, text, strlen(text), NULL, NULL, &whole);
    for (size_t size = 1; size <= 7; size++) {
        read_cut(form, tools, inside, text, strlen(text), cut_evenly, &size, &cut);
        assert_true(collected_equal(&whole, &cut));
        collected_release(&cut);
    }
    int n =
        snprintf(shown, sizeof shown, "%s|%s|", buf_text(&whole.reasoning), buf_text(&whole.text));
    for (unsigned i = 0; i < whole.n_calls; i++)
        n += snprintf(shown + n, sizeof shown - (size_t)n, "%s(%s)", buf_text(&whole.names[i]),
                      buf_text(&whole.arguments[i]));
    collected_release(&whole);
    answer_form_close(form);
    json_decref(tools);
    return shown;
}

static const char *hermes(const char *text) {
    return reading(hermes_template, true, false, text);
}

static void thinking_is_told_from_the_answer(void **state) {
    (void)state;
    assert_string_equal(reading(NULL, false, false, "just text"), "|just text|");
    assert_string_equal(reading(NULL, false, false, "<think>\nhm\n</think>\n\nyes"), "hm|yes|");
    assert_string_equal(reading(NULL, false, true, "hm\n</think>\n\nyes"), "hm|yes|");
    assert_string_equal(reading(NULL, false, true, "<think>\nhm</think>yes"), "hm|yes|");
    assert_string_equal(reading(NULL, false, true, "never closed"), "never closed||");
    assert_string_equal(reading(NULL, false, false, "  spaces \n kept \n"),
                        "|  spaces \n kept \n|");
    assert_string_equal(reading(NULL, false, false, "a <thin <think <b"), "|a <thin <think <b|");
    assert_string_equal(reading(NULL, false, false, "cut <thi"), "|cut <thi|");
}

static void second_thoughts_are_thoughts(void **state) {
    (void)state;
    assert_string_equal(reading(NULL, false, false, "<think>a</think>b<think>c</think>d"),
                        "ac|bd|");
    assert_string_equal(reading(NULL, false, false, "b\n<think>c"), "c|b|");
    assert_string_equal(reading(NULL, false, false, "b</think>d"), "|bd|");
    assert_string_equal(reading(NULL, false, false, "the tag `<think>` is"),
                        "|the tag `<think>` is|");
}

static void calls_of_hermes_are_read(void **state) {
    (void)state;
    assert_string_equal(
        hermes("<think>\nhm\n</think>\n\nOK.\n<tool_call>\n{\"name\": \"get\", \"arguments\": "
               "{\"city\": \"}{\\\"]\"}}\n</tool_call>\n<tool_call>\n{\"arguments\":{},"
               "\"name\":\"now\"}\n</tool_call>"),
        "hm|OK.|get({\"city\": \"}{\\\"]\"})now({})");
    assert_string_equal(hermes("<tool_call>{\"name\": \"now\"}</tool_call>\ndone"),
                        "|done|now({})");
    assert_string_equal(hermes("<tool_call>{\"name\":\"get\",\"arguments\":\"{\\\"days\\\": 3}\"}"
                               "</tool_call>"),
                        "||get({\"days\": 3})");
    assert_string_equal(
        hermes("<tool_call>{\"name\":\"get\",\"arguments\":{\"city\":\"a\nb\"}}</tool_call>"),
        "||get({\"city\":\"a\\u000ab\"})");
    assert_string_equal(hermes("<tool_call>[{\"name\":\"now\",\"arguments\":null},\n{\"id\":\"7\","
                               "\"name\":\"now\",\"arguments\":{}}]</tool_call>"),
                        "||now({})now({})");
}

static void what_is_no_call_is_text(void **state) {
    (void)state;
    const char *const texts[] = {
        "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": Paris}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Par",
        "<tool_call>hello</tool_call>",
        "<tool_call></tool_call>",
        "<tool_call>{\"name\": \"get\", \"arguments\": [1]}</tool_call>",
        "<tool_call>{\"arguments\": {}}</tool_call>",
        "a <tool_call",
        "\n\n<tool_call>\n{\"na",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char expected[256];
        snprintf(expected, sizeof expected, "|%s|", texts[i]);
        assert_string_equal(hermes(texts[i]), expected);
    }
    assert_string_equal(reading(hermes_template, false, false,
                                "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>"),
                        "|<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>|");
    assert_string_equal(hermes("<tool_call><tool_call>{\"name\":\"now\"}</tool_call>"),
                        "||now({})");
    assert_string_equal(hermes("<tool_call>\n<think>x</think>y"), "x|<tool_call>y|");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinking_is_told_from_the_answer),
        cmocka_unit_test(second_thoughts_are_thoughts),
        cmocka_unit_test(calls_of_hermes_are_read),
        cmocka_unit_test(what_is_no_call_is_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
