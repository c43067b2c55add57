/* What a request asks of an answer beyond its text: thinking within a budget, a form, calls of
 * tools. Asked of Ember, the model that comes with Hearth, which thinks before it answers and whose
 * template knows no tools. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "collected.h"
#include "route/local_backend.h"

static struct backend *backend;

static int set_up(void **state) {
    struct local_backend_settings settings = {.name = "ember"};
    char path[1024];
    hearth_error err = {0};
    (void)state;
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    snprintf(path, sizeof path, "%s/ember/ember.gguf", getenv("HEARTH_SOURCE_ROOT"));
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 512;
    settings.engine.model = path;
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    backend_close(backend);
    return 0;
}

static void ask(struct request *r, const char *question) {
    request_init(r);
    r->messages = json_pack("[{s:s, s:s}]", "role", "user", "content", question);
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = -1;
}

static void run(struct collected *c, struct request *r) {
    collected_run(c, backend, r);
    if (c->failed != HEARTH_OK) fail_msg("%s", c->message);
}

/* ---- thinking ----------------------------------------------------------------------------- */

static const char sum[] = "What is 4321 + 1234?";

static void test_thinking_is_told_apart(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    run(&c, &r);
    assert_string_equal(buf_text(&c.text[0]), "5555");
    assert_true(c.reasoning[0].length > 0);
    assert_true(c.usage.n_reasoning > 0 && c.usage.n_reasoning < c.usage.n_answer);
    assert_int_equal(c.reason, FINISH_STOP);
    collected_release(&c);
    request_release(&r);
}

static void test_no_thinking(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    r.thinking = SWITCH_OFF;
    run(&c, &r);
    assert_int_equal(c.reasoning[0].length, 0);
    assert_int_equal(c.usage.n_reasoning, 0);
    assert_true(c.text[0].length > 0);
    collected_release(&c);
    request_release(&r);
}

/* However little is left for thinking, no tag leaks and something is answered. */
static void test_budget_of_thinking(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    for (int budget = 0; budget <= 12; budget++) {
        r.thinking_budget = budget;
        run(&c, &r);
        assert_true(c.text[0].length > 0);
        assert_null(strchr(buf_text(&c.text[0]), '<'));
        assert_null(strchr(buf_text(&c.reasoning[0]), '<'));
        /* and the tag itself, which is said inside */
        assert_true(c.usage.n_reasoning <= (uint64_t)budget + 2);
        assert_int_equal(c.reason, FINISH_STOP);
        collected_release(&c);
    }
    request_release(&r);
}

/* The id of a control token. */
static json_int_t id_of(const char *text) {
    struct backend_text tag = {.data = text, .length = strlen(text), .parse_special = true};
    json_t *ids = json_array();
    assert_int_equal(backend_tokenize(backend, &tag, ids, NULL), HEARTH_OK);
    assert_int_equal(json_array_size(ids), 1);
    json_int_t id = json_integer_value(json_array_get(ids, 0));
    json_decref(ids);
    return id;
}

/* A model that never ends its thinking by itself: the end tag is banned. */
static void test_thinking_without_end(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    json_object_set_new(r.sampling, "logit_bias", json_pack("[[I, b]]", id_of("</think>"), 0));
    r.ignore_end = true;
    r.max_tokens = 500;
    run(&c, &r);
    assert_true(c.text[0].length > 0);
    assert_true(c.usage.n_reasoning < 400);
    assert_int_equal(c.reason, FINISH_LENGTH);
    collected_release(&c);
    request_release(&r);
}

/* A quarter of the answer and the tag have their place in the shortest ones, too. */
static void test_short_answers_are_not_all_thinking(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    for (r.max_tokens = 5; r.max_tokens <= 12; r.max_tokens++) {
        run(&c, &r);
        if (c.text[0].length == 0) fail_msg("nothing within %d tokens", (int)r.max_tokens);
        assert_true(c.usage.n_answer <= (uint64_t)r.max_tokens);
        collected_release(&c);
    }
    request_release(&r);
}

/* A model that opens thinking whatever it is told. */
static void test_thinking_that_is_off_is_cut_short(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    r.thinking = SWITCH_OFF;
    json_object_set_new(r.sampling, "logit_bias", json_pack("[[I, i]]", id_of("<think>"), 100));
    run(&c, &r);
    assert_true(c.usage.n_reasoning < 20);
    assert_true(c.text[0].length > 0);
    collected_release(&c);
    request_release(&r);
}

/* A model that ends while it thinks, and when it is told to answer thinks again. */
static void test_thinking_twice_still_answers(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    json_object_set_new(
        r.sampling, "logit_bias",
        json_pack("[[I, i], [I, i]]", id_of("<|im_end|>"), 200, id_of("<think>"), 100));
    run(&c, &r);
    assert_true(c.text[0].length > 0);
    assert_null(strchr(buf_text(&c.text[0]), '<'));
    collected_release(&c);
    request_release(&r);
}

/* The tags are part of no log-probabilities, whoever wrote them. */
static void test_logprobs_are_those_of_the_answer(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    r.n_logprobs = 0;
    for (int budget = -1; budget <= 8; budget += 3) {
        r.thinking_budget = budget;
        run(&c, &r);
        assert_true(c.text[0].length > 0);
        assert_string_equal(buf_text(&c.token_text), buf_text(&c.text[0]));
        collected_release(&c);
    }
    request_release(&r);
}

static void test_stop_texts_are_not_looked_for_in_thinking(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    r.stops = json_pack("[s]", "\n"); /* between the steps of thinking */
    run(&c, &r);
    assert_string_equal(buf_text(&c.text[0]), "5555");
    assert_non_null(strchr(buf_text(&c.reasoning[0]), '\n'));
    collected_release(&c);
    json_array_set_new(r.stops, 0, json_string("5"));
    run(&c, &r);
    assert_int_equal(c.reason, FINISH_STOP_TEXT);
    assert_int_equal(c.text[0].length, 0);
    collected_release(&c);
    request_release(&r);
}

/* ---- the form of an answer ------------------------------------------------------------------- */

static void test_schema(void **state) {
    struct request r;
    struct collected c;
    const char *name = NULL;
    json_int_t age = -1;
    (void)state;
    ask(&r, "Who are you?");
    r.constraint = CONSTRAINT_SCHEMA;
    r.constraint_schema = json_loads("{\"type\":\"object\",\"properties\":{\"name\":{\"enum\":"
                                     "[\"Ember\",\"Coal\"]},\"age\":{\"type\":\"integer\","
                                     "\"minimum\":0,\"maximum\":99}},\"required\":[\"name\","
                                     "\"age\"],\"additionalProperties\":false}",
                                     0, NULL);
    assert_non_null(r.constraint_schema);
    for (int thinks = 0; thinks < 2; thinks++) {
        r.thinking = thinks ? SWITCH_ON : SWITCH_OFF;
        run(&c, &r);
        json_t *answer = json_loads(buf_text(&c.text[0]), 0, NULL);
        if (json_unpack(answer, "{s:s, s:I !}", "name", &name, "age", &age) != 0)
            fail_msg("not in the form: %s", buf_text(&c.text[0]));
        assert_in_range(age, 0, 99);
        assert_int_equal(c.reasoning[0].length > 0, thinks);
        assert_int_equal(c.reason, FINISH_STOP);
        json_decref(answer);
        collected_release(&c);
    }
    request_release(&r);
}

/* A tag in a string of JSON is a part of that string. */
static void test_tags_in_json_are_text(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, sum);
    r.constraint = CONSTRAINT_JSON;
    r.max_tokens = 30;
    json_object_set_new(r.sampling, "logit_bias", json_pack("[[I, i]]", id_of("<think>"), 50));
    for (int thinks = 0; thinks < 2; thinks++) {
        r.thinking = thinks ? SWITCH_ON : SWITCH_OFF;
        r.thinking_budget = thinks ? 3 : -1;
        run(&c, &r);
        if (!strstr(buf_text(&c.text[0]), "<think><think>"))
            fail_msg("answered %s", buf_text(&c.text[0]));
        assert_int_equal(buf_text(&c.text[0])[0], '{');
        assert_true(c.usage.n_reasoning < 8);
        collected_release(&c);
    }
    request_release(&r);
}

static void test_other_forms(void **state) {
    static const struct {
        enum constraint_kind kind;
        const char *schema, *text, *answers[2];
    } cases[] = {
        {CONSTRAINT_CHOICE, "[\"yes\",\"no\"]", NULL, {"yes", "no"}},
        {CONSTRAINT_REGEX, NULL, "(AB|CD)!", {"AB!", "CD!"}},
        {CONSTRAINT_GRAMMAR, NULL, "root ::= \"one\" | \"two\"", {"one", "two"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request r;
        struct collected c;
        ask(&r, "Well?");
        r.constraint = cases[i].kind;
        r.constraint_schema = cases[i].schema ? json_loads(cases[i].schema, 0, NULL) : NULL;
        r.constraint_text = cases[i].text ? mem_strdup(cases[i].text) : NULL;
        r.n_choices = 3; /* which share what was compiled */
        run(&c, &r);
        for (int k = 0; k < 3; k++)
            if (strcmp(buf_text(&c.text[k]), cases[i].answers[0]) != 0)
                assert_string_equal(buf_text(&c.text[k]), cases[i].answers[1]);
        collected_release(&c);
        request_release(&r);
    }
}

static void test_impossible_form(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Well?");
    r.constraint = CONSTRAINT_GRAMMAR;
    r.constraint_text = mem_strdup("root ::= nothing-of-this-name");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    assert_int_equal(c.n_started, 0);
    assert_non_null(strstr(c.message, "nothing-of-this-name"));
    collected_release(&c);
    /* Another time this one is too large, too. */
    r.constraint = CONSTRAINT_SCHEMA;
    r.constraint_schema = json_pack("{s:s}", "pattern", "^(a|b|ab|ba){0,900}$");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(c.message, "need more than"));
    collected_release(&c);
    request_release(&r);
}

/* ---- tools ------------------------------------------------------------------------------------
 */

static void offer_tools(struct request *r) {
    r->tools = json_loads("[{\"type\":\"function\",\"function\":{\"name\":\"weather\","
                          "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"enum\":"
                          "[\"Paris\",\"Rome\"]}},\"required\":[\"city\"]}}},{\"type\":"
                          "\"function\",\"function\":{\"name\":\"clock\",\"parameters\":{\"type\":"
                          "\"object\",\"properties\":{},\"additionalProperties\":false}}}]",
                          0, NULL);
    assert_non_null(r->tools);
}

static bool is_weather(const struct buf *calls) {
    json_t *arguments = NULL;
    const char *city = NULL;
    bool named = strncmp(buf_text(calls), "weather: ", 9) == 0;
    if (named) arguments = json_loads(buf_text(calls) + 9, 0, NULL);
    json_unpack(arguments, "{s:s}", "city", &city);
    bool ok = city && (strcmp(city, "Paris") == 0 || strcmp(city, "Rome") == 0);
    json_decref(arguments);
    return ok;
}

static void test_named_tool(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Shall I take an umbrella?");
    offer_tools(&r);
    r.tool_choice = TOOLS_NAMED;
    r.tool_name = mem_strdup("weather");
    for (int thinks = 0; thinks < 2; thinks++) {
        r.thinking = thinks ? SWITCH_ON : SWITCH_OFF;
        run(&c, &r);
        assert_int_equal(c.n_calls, 1);
        if (!is_weather(&c.calls)) fail_msg("called %s", buf_text(&c.calls));
        assert_true(c.calls_have_ids);
        assert_int_equal(c.reason, FINISH_TOOL_CALLS);
        assert_int_equal(c.text[0].length, 0);
        collected_release(&c);
    }
    mem_free(r.tool_name);
    r.tool_name = mem_strdup("umbrella");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    collected_release(&c);
    request_release(&r);
}

static void test_required_tool(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Shall I take an umbrella?");
    offer_tools(&r);
    r.tool_choice = TOOLS_REQUIRED;
    r.one_tool_call = true;
    run(&c, &r);
    if (c.n_calls != 1)
        fail_msg("%zu calls: %s; %s", c.n_calls, buf_text(&c.calls), buf_text(&c.text[0]));
    assert_int_equal(c.reason, FINISH_TOOL_CALLS);
    collected_release(&c);
    request_release(&r);
}

/* The tools are told of in the prompt, and calls and results of before are part of it. */
static void test_prompt_tells_of_tools(void **state) {
    struct request r;
    struct buf prompt;
    (void)state;
    ask(&r, "Shall I take an umbrella?");
    offer_tools(&r);
    json_array_append_new(r.messages, json_pack("{s:s, s:n, s:[{s:s, s:s, s:{s:s, s:s}}]}", "role",
                                                "assistant", "content", "tool_calls", "id", "1",
                                                "type", "function", "function", "name", "weather",
                                                "arguments", "{\"city\":\"Rome\"}"));
    json_array_append_new(r.messages, json_pack("{s:s, s:s, s:s}", "role", "tool", "tool_call_id",
                                                "1", "content", "rain"));
    buf_init(&prompt, 1 << 20);
    assert_int_equal(backend_render(backend, &r, &prompt, NULL), HEARTH_OK);
    assert_non_null(strstr(buf_text(&prompt), "\"name\":\"clock\""));
    assert_non_null(strstr(buf_text(&prompt), "<tool_call>\n{\"name\": \"weather\", \"arguments\": "
                                              "{\"city\":\"Rome\"}}\n</tool_call>"));
    assert_non_null(strstr(buf_text(&prompt), "<tool_response>\nrain\n</tool_response>"));
    buf_clear(&prompt);
    r.tool_choice = TOOLS_NONE;
    assert_int_equal(backend_render(backend, &r, &prompt, NULL), HEARTH_OK);
    assert_null(strstr(buf_text(&prompt), "clock"));
    buf_release(&prompt);
    request_release(&r);
}

/* ---- many at once ------------------------------------------------------------------------------
 */

/* Answers are the same alone and among others, whatever those are bound to. */
static void test_answers_do_not_mix(void **state) {
    enum { MANY = 12 };
    struct request plain[MANY], bound;
    struct collected alone[MANY], together[MANY], other;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        char question[64];
        snprintf(question, sizeof question, "What is %d + %d?", 17 * i + 5, 1000 - 31 * i);
        ask(&plain[i], question);
        run(&alone[i], &plain[i]);
    }
    ask(&bound, "Well?");
    bound.constraint = CONSTRAINT_JSON;
    bound.max_tokens = 60;
    collected_init(&other);
    assert_int_equal(collected_start(&other, backend, &bound, NULL), HEARTH_OK);
    for (int i = 0; i < MANY; i++) {
        collected_init(&together[i]);
        assert_int_equal(collected_start(&together[i], backend, &plain[i], NULL), HEARTH_OK);
    }
    for (int i = 0; i < MANY; i++) {
        collected_finish(&together[i]);
        assert_string_equal(buf_text(&together[i].text[0]), buf_text(&alone[i].text[0]));
        assert_string_equal(buf_text(&together[i].reasoning[0]), buf_text(&alone[i].reasoning[0]));
        collected_release(&together[i]);
        collected_release(&alone[i]);
        request_release(&plain[i]);
    }
    collected_finish(&other);
    assert_int_equal(other.failed, HEARTH_OK);
    collected_release(&other);
    request_release(&bound);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thinking_is_told_apart),
        cmocka_unit_test(test_no_thinking),
        cmocka_unit_test(test_budget_of_thinking),
        cmocka_unit_test(test_thinking_without_end),
        cmocka_unit_test(test_short_answers_are_not_all_thinking),
        cmocka_unit_test(test_thinking_that_is_off_is_cut_short),
        cmocka_unit_test(test_thinking_twice_still_answers),
        cmocka_unit_test(test_logprobs_are_those_of_the_answer),
        cmocka_unit_test(test_stop_texts_are_not_looked_for_in_thinking),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_tags_in_json_are_text),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_impossible_form),
        cmocka_unit_test(test_named_tool),
        cmocka_unit_test(test_required_tool),
        cmocka_unit_test(test_prompt_tells_of_tools),
        cmocka_unit_test(test_answers_do_not_mix),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
