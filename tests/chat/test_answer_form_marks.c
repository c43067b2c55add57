/* Calls that a model begins by itself: what is free and what is not, where marks end inside tokens,
 * and schemas that cannot be held to. */
#include "call_writing.h"

/* ---- what else ---- */

static struct answer_form *form_of(const char *template) {
    struct answer_form *form;
    assert_int_equal(answer_form_open(&form, template, NULL), HEARTH_OK);
    return form;
}

/* How much of a text is allowed, with calls of these tools. */
static size_t allowed_of(const char *template, const char *tools_json, bool one_call,
                         const char *text) {
    struct answer_form *form = form_of(template);
    json_t *tools = json_loads(tools_json, 0, NULL);
    struct constraint *calls = calls_of(form, tools, one_call);
    struct writing w;
    begin(&w, form, tools, calls);
    size_t n = put_text(&w, text, strlen(text));
    end(&w);
    constraint_close(calls);
    json_decref(tools);
    answer_form_close(form);
    return n;
}

static void expect_allowed(const char *template, const char *tools_json, const char *text) {
    size_t n = allowed_of(template, tools_json, false, text);
    if (n < strlen(text)) fail_msg("refused in %s at '%s'", text, text + n);
}

static void expect_refused(const char *template, const char *tools_json, const char *allowed_text,
                           const char *rest) {
    char text[1024];
    snprintf(text, sizeof text, "%s%s", allowed_text, rest);
    size_t n = allowed_of(template, tools_json, false, text);
    if (n != strlen(allowed_text)) fail_msg("'%.*s' is allowed in %s", (int)n, text, text);
}

static void text_and_thinking_are_free(void **state) {
    (void)state;
    expect_allowed("<tool_call></think>", tools_text,
                   "<think>I could <tool_call>{nonsense}</tool_call></think>Say `<tool_call>` or "
                   "</tool_call> {\"name\": 1}");
    expect_allowed("ipython \"parameters\": ", tools_text, "{\"answer\": 42, \"name\": \"x\"}");
    expect_allowed("<|channel|><|message|>", tools_text,
                   "<|channel|>analysis<|message|>to=functions.nobody<|end|><|start|>assistant"
                   "<|channel|>final<|message|>to=functions.nobody");
    expect_allowed("<tool_call>", tools_text,
                   "Now.\n<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>"
                   "\nAnd <tool_call>{\"name\": \"get_time\", \"arguments\": {}}</tool_call> done");
}

static void calls_are_bound_again_after_text(void **state) {
    (void)state;
    expect_refused("<tool_call>", tools_text,
                   "<tool_call>{\"name\": \"get_time\", \"arguments\": {}}</tool_call> and "
                   "<tool_call>{\"name\": \"",
                   "now");
    expect_refused("ipython \"parameters\": ", tools_text,
                   "{\"name\": \"get_time\", \"parameters\": {}}; { \"name\" : ", "1");
    expect_refused("[TOOL_CALLS][ARGS]", tools_text, "[TOOL_CALLS]get_time[ARGS]{}[TOOL_CALLS]get_",
                   "x");
}

/* A schema that cannot be held to: the name is, and the arguments are JSON of its type. */
static void what_cannot_be_held_to_is_left(void **state) {
    static const char odd[] =
        "[{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{"
        "\"a\":{\"type\":\"dict\"},\"b\":{\"pattern\":\"(?<=x)y\"}}}}},{\"function\":{"
        "\"name\":\"g\",\"parameters\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":"
        "\"integer\"}}}}}]";
    (void)state;
    expect_allowed("<tool_call>", odd,
                   "<tool_call>{\"name\": \"f\", \"arguments\": {\"c\": [1]}}</tool_call>");
    expect_refused("<tool_call>", odd, "<tool_call>{\"name\": \"f\", \"arguments\": ", "[");
    expect_refused("<tool_call>", odd, "<tool_call>{\"name\": \"g\", \"arguments\": {\"", "c");
    expect_allowed("<function=<parameter=", odd,
                   "<tool_call>\n<function=f>\n<parameter=a>\n{}\n</parameter>\n</function>\n"
                   "</tool_call>");
}

static void one_call_ends_its_section(void **state) {
    static const char list[] = "<tool_calls>[{\"name\": \"get_time\", \"arguments\": {}}";
    static const char more[] = ", {\"name\": \"get_time\", \"arguments\": {}}]</tool_calls>";
    char text[256];
    (void)state;
    snprintf(text, sizeof text, "%s%s", list, more);
    assert_int_equal(allowed_of("<tool_calls>[", tools_text, false, text), strlen(text));
    assert_int_equal(allowed_of("<tool_calls>[", tools_text, true, text), strlen(list));
}

/* JSON between tags may speak of the tags. */
static void tags_inside_texts_of_json_are_read(void **state) {
    static const char text[] =
        "<tool_call>\n<function=search-db>\n<parameter=filters>\n[{\"field\": "
        "\"a</parameter></function>\"}]\n</parameter>\n</function>\n</tool_call>";
    struct answer_form *form = form_of("<function=<parameter=");
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct collected got;
    (void)state;
    expect_allowed("<function=<parameter=", tools_text, text);
    read_cut(form, tools, false, text, strlen(text), NULL, NULL, &got);
    assert_int_equal(got.n_calls, 1);
    assert_non_null(strstr(buf_text(&got.arguments[0]), "\"a</parameter></function>\""));
    collected_release(&got);
    json_decref(tools);
    answer_form_close(form);
}

/* ---- tokens that go beyond the end of a mark ---- */

static int32_t token_of(const struct tokenizer *t, const char *text) {
    int32_t token = tokenizer_find(t, text, strlen(text));
    if (token == TOKEN_NONE) fail_msg("there is no token '%s'", text);
    return token;
}

static bool may_come(struct constraint *c, const char *before, int32_t token) {
    const uint64_t *mask = constraint_allowed_before(c, before, strlen(before));
    return !mask || may_follow(mask, token);
}

static void marks_may_end_inside_tokens(void **state) {
    struct constraint_vocabulary *v;
    struct tokenizer *t = open_vocabulary("qwen2", &v);
    struct answer_form *form = form_of("<tool_call>");
    json_t *tools = json_loads(tools_text, 0, NULL), *schemas;
    const char *marks[ANSWER_MARKS_MAX];
    char *grammar;
    struct constraint *c;
    (void)state;
    assert_true(answer_form_begun_grammar(form, tools, false, &grammar, &schemas));
    assert_int_equal(constraint_open(&c, v, CONSTRAINT_CALLS, schemas, grammar, NULL), HEARTH_OK);
    size_t n = answer_form_call_marks(form, marks);
    assert_int_equal(constraint_set_marks(c, marks, n, NULL), HEARTH_OK);
    int32_t good = token_of(t, ">{"), bad = token_of(t, "></");
    assert_true(may_come(c, "<tool_call", good));
    assert_false(may_come(c, "<tool_call", bad));
    assert_true(may_come(c, "<tool_call", token_of(t, ">")));
    assert_true(may_come(c, "<tool_cal", bad));
    assert_true(may_come(c, "", bad));
    assert_null(constraint_allowed_before(c, "", 0)); /* free text has no mask at all */
    mem_free(grammar);
    json_decref(schemas);
    json_decref(tools);
    constraint_close(c);
    answer_form_close(form);
    constraint_vocabulary_close(v);
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_thinking_are_free),
        cmocka_unit_test(calls_are_bound_again_after_text),
        cmocka_unit_test(what_cannot_be_held_to_is_left),
        cmocka_unit_test(one_call_ends_its_section),
        cmocka_unit_test(tags_inside_texts_of_json_are_read),
        cmocka_unit_test(marks_may_end_inside_tokens),
    };
    return cmocka_run_group_tests_name("chat/answer_form_marks", tests, open_bytes, close_bytes);
}
