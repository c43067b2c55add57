/* What a model's text means: thinking, answer and calls, with tags well formed and not. */
#include "answer_collector.h"

#include "base/mem.h"

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
        "||get({\"city\":\"a\\nb\"})");
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

static void calls_after_thinking_that_was_not_closed_are_calls(void **state) {
    (void)state;
    static const char call[] = "<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>";
    char text[512], expected[sizeof text + 32];
    snprintf(text, sizeof text, "hm %s", call);
    snprintf(expected, sizeof expected, "%s||now({})", text);
    assert_string_equal(reading(hermes_template, true, true, text), expected);
    snprintf(text, sizeof text, "hm %s so %s\n%s\n", call, call, call);
    snprintf(expected, sizeof expected, "%s||now({})now({})", text);
    assert_string_equal(reading(hermes_template, true, true, text), expected);
    snprintf(text, sizeof text, "hm %s so", call);
    snprintf(expected, sizeof expected, "%s||", text);
    assert_string_equal(reading(hermes_template, true, true, text), expected);
    snprintf(text, sizeof text, "hm %s</think>yes", call);
    snprintf(expected, sizeof expected, "hm %s|yes|", call);
    assert_string_equal(reading(hermes_template, true, true, text), expected);
    snprintf(text, sizeof text, "hm %s", call);
    snprintf(expected, sizeof expected, "%s||", text);
    assert_string_equal(reading(hermes_template, false, true, text), expected);
}

/* ---- long calls, limits, memory ---- */

/* A call whose one argument is a text of `n` bytes; mem_free it. */
static char *call_of(size_t n, const char *before, const char *after) {
    size_t n_before = strlen(before);
    char *text = mem_alloc(n_before + n + strlen(after) + 1);
    assert_non_null(text);
    memcpy(text, before, n_before);
    memset(text + n_before, 'x', n);
    memcpy(text + n_before + n, after, strlen(after) + 1);
    return text;
}

static const char object_begin[] = "<tool_call>{\"name\":\"get\",\"arguments\":{\"city\":\"";

static void arguments_of_long_calls_come_as_they_are_written(void **state) {
    (void)state;
    static const char coder_begin[] = "<function=get>\n<parameter=city>\n";
    static const struct {
        const char *template, *begin, *end;
    } calls[] = {{"<tool_call>", object_begin, "\"}}</tool_call>"},
                 {"<function=<parameter=", coder_begin, "\n</parameter>\n</function>"}};
    json_t *tools = json_loads(tools_text, 0, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct answer_form *form;
        struct answer_reader *reader;
        struct collected got;
        char *text = call_of(3000, calls[i].begin, calls[i].end);
        collected_init(&got);
        assert_int_equal(answer_form_open(&form, calls[i].template, NULL), HEARTH_OK);
        assert_int_equal(answer_reader_open(&reader, form, tools, false, collect, &got, NULL),
                         HEARTH_OK);
        assert_int_equal(answer_reader_push(reader, text, 400, NULL), HEARTH_OK);
        assert_int_equal(got.n_calls, 0);
        assert_int_equal(answer_reader_push(reader, text + 400, 600, NULL), HEARTH_OK);
        assert_int_equal(got.n_calls, 1);
        assert_in_range(got.arguments[0].length, 900, 1000);
        assert_int_equal(answer_reader_push(reader, text + 1000, strlen(text) - 1000, NULL),
                         HEARTH_OK);
        assert_int_equal(answer_reader_finish(reader, NULL), HEARTH_OK);
        json_t *arguments = json_loads(buf_text(&got.arguments[0]), 0, NULL);
        assert_int_equal(json_string_length(json_object_get(arguments, "city")), 3000);
        assert_int_equal(got.text.length, 0);
        json_decref(arguments);
        answer_reader_close(reader);
        answer_form_close(form);
        collected_release(&got);
        mem_free(text);
    }
    json_decref(tools);
}

/* Of an answer that was cut. */
static void half_a_call_is_left_out(void **state) {
    static const char *const begun[] = {
        "<tool_call>", "<tool_call>\n{\"name\": ", "<tool_call>\n{\"name\": \"weather\", \"argum"};
    json_t *tools = json_loads(tools_text, 0, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof begun / sizeof *begun; i++) {
        struct answer_form *form;
        struct answer_reader *reader;
        struct collected got;
        collected_init(&got);
        assert_int_equal(answer_form_open(&form, "<tool_call>", NULL), HEARTH_OK);
        assert_int_equal(answer_reader_open(&reader, form, tools, false, collect, &got, NULL),
                         HEARTH_OK);
        assert_int_equal(answer_reader_push(reader, "Well. ", 6, NULL), HEARTH_OK);
        assert_int_equal(answer_reader_push(reader, begun[i], strlen(begun[i]), NULL), HEARTH_OK);
        answer_reader_cut(reader);
        assert_int_equal(answer_reader_finish(reader, NULL), HEARTH_OK);
        assert_string_equal(buf_text(&got.text), "Well.");
        answer_reader_close(reader);
        answer_form_close(form);
        collected_release(&got);
    }
    json_decref(tools);
}

static void what_is_held_has_an_end(void **state) {
    (void)state;
    static const char begin[] = "<tool_call>{\"arguments\":{\"city\":\"";
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct answer_form *form;
    struct collected got;
    char *text = call_of(1 << 19, begin, "\"},\"name\":\"get\"}</tool_call>");
    assert_int_equal(answer_form_open(&form, hermes_template, NULL), HEARTH_OK);
    read_cut(form, tools, false, text, strlen(text), NULL, NULL, &got);
    assert_int_equal(got.n_calls, 0);
    assert_string_equal(buf_text(&got.text), text);
    collected_release(&got);
    memset(text, '[', 1 << 19);
    memcpy(text, object_begin, sizeof object_begin - 2); /* and no quote: lists in lists */
    read_cut(form, tools, false, text, strlen(text), NULL, NULL, &got);
    assert_int_equal(got.n_calls, 0);
    assert_string_equal(buf_text(&got.text), text);
    collected_release(&got);
    answer_form_close(form);
    json_decref(tools);
    mem_free(text);
}

static void ignore(void *context, const struct answer_piece *piece) {
    (void)context;
    (void)piece;
}

static void memory_that_runs_out_is_said(void **state) {
    (void)state;
    static const char text[] = "<think>a</think>b<tool_call>\n<function=get>\n<parameter=city>\nc\n"
                               "</parameter>\n<parameter=days>\n1\n</parameter>\n</function>\n"
                               "</tool_call>";
    json_t *tools = json_loads(tools_text, 0, NULL);
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct answer_form *form = NULL;
        struct answer_reader *reader = NULL;
        mem_fail_after(n);
        hearth_status status = answer_form_open(&form, "<function=<parameter=", NULL);
        if (status == HEARTH_OK)
            status = answer_reader_open(&reader, form, tools, false, ignore, NULL, NULL);
        if (status == HEARTH_OK) status = answer_reader_push(reader, text, sizeof text - 1, NULL);
        if (status == HEARTH_OK) status = answer_reader_finish(reader, NULL);
        failed = !mem_fail_pending();
        mem_fail_after(0);
        assert_int_equal(status, failed ? HEARTH_ERROR_NO_MEMORY : HEARTH_OK);
        answer_reader_close(reader);
        answer_form_close(form);
    }
    json_decref(tools);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_call_is_left_out),
        cmocka_unit_test(thinking_is_told_from_the_answer),
        cmocka_unit_test(second_thoughts_are_thoughts),
        cmocka_unit_test(calls_of_hermes_are_read),
        cmocka_unit_test(what_is_no_call_is_text),
        cmocka_unit_test(calls_after_thinking_that_was_not_closed_are_calls),
        cmocka_unit_test(arguments_of_long_calls_come_as_they_are_written),
        cmocka_unit_test(what_is_held_has_an_end),
        cmocka_unit_test(memory_that_runs_out_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
