/* Calls that a model begins by itself, over the server, in three dialects. A bias makes it begin
 * one wherever it may. */
#include <string.h>

#include "route/marked_ember.h"
#include "serving.h"

enum { N_TOKENS = 240, N_SEEDS = 4 };

static struct serving serving;

/* ---- asking ---- */

static json_t *parameters(void) {
    return json_pack("{s:s, s:{s:{s:[s,s]}, s:{s:s, s:i, s:i}}, s:[s,s]}", "type", "object",
                     "properties", "city", "enum", "Paris", "Rome", "days", "type", "integer",
                     "minimum", 1, "maximum", 14, "required", "city", "days");
}

static json_t *tools(void) {
    return json_pack("[{s:s, s:{s:s, s:o}}]", "type", "function", "function", "name", "weather",
                     "parameters", parameters());
}

static void expect_weather(const json_t *name, const json_t *given) {
    json_t *arguments = json_is_string(given) ? json_loads(json_string_value(given), 0, NULL)
                                              : json_deep_copy(given);
    const char *city = NULL;
    json_int_t days = 0;
    assert_string_equal(json_string_value(name), "weather");
    assert_int_equal(json_unpack(arguments, "{s:s, s:I !}", "city", &city, "days", &days), 0);
    assert_true(strcmp(city, "Paris") == 0 || strcmp(city, "Rome") == 0);
    assert_in_range(days, 1, 14);
    json_decref(arguments);
}

static json_t *ask(const char *path, const json_t *body) {
    struct wire_reply reply;
    char *text = json_dumps(body, 0);
    if (wire_ask(serving.port, "POST", path, "", text, &reply) != 200)
        fail_msg("%d: %s", reply.status, buf_text(&reply.body));
    json_t *answer = wire_json(&reply);
    wire_release(&reply);
    free(text);
    return answer;
}

static json_t *make_body(void) {
    return json_pack("{s:s, s:[{s:s, s:s}], s:f, s:i, s:{s:i}, s:b}", "model", "ember", "messages",
                     "role", "user", "content", "Well?", "temperature", 1.0, "max_tokens", N_TOKENS,
                     "logit_bias", "2043", 100, "stream", 0);
}

/* Answers to a few seeds: at least one must not be cut. `calls` says how many whole calls an answer
 * has. Takes the body. */
static void expect_a_call(const char *path, json_t *body, size_t (*calls)(const json_t *answer)) {
    json_t *options = json_object_get(body, "options");
    size_t n = 0;
    for (int seed = 1; seed <= N_SEEDS; seed++) {
        json_object_set_new(options ? options : body, "seed", json_integer(seed));
        json_t *answer = ask(path, body);
        n += calls(answer);
        json_decref(answer);
    }
    json_decref(body);
    assert_in_range(n, 1, N_SEEDS);
}

/* ---- dialects ---- */

static size_t openai_calls(const json_t *answer) {
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *calls = json_object_get(json_object_get(choice, "message"), "tool_calls");
    const json_t *function = json_object_get(json_array_get(calls, 0), "function");
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    if (strcmp(reason, "length") == 0) return 0;
    assert_string_equal(reason, "tool_calls");
    assert_int_equal(json_array_size(calls), 1);
    expect_weather(json_object_get(function, "name"), json_object_get(function, "arguments"));
    return 1;
}

static json_t *openai_body(void) {
    json_t *body = make_body();
    json_object_set_new(body, "tools", tools());
    json_object_set_new(body, "parallel_tool_calls", json_false());
    return body;
}

static void test_openai(void **state) {
    (void)state;
    expect_a_call("/v1/chat/completions", openai_body(), openai_calls);
}

static size_t calls_after_thinking(const json_t *answer) {
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *thought =
        json_object_get(json_object_get(choice, "message"), "reasoning_content");
    assert_true(json_is_string(thought));
    assert_non_null(strstr(json_string_value(thought), ember_mark));
    return openai_calls(answer);
}

/* What is thought is free, marks and all; the call comes after it. */
static void test_thinking_is_free(void **state) {
    json_t *body = openai_body();
    (void)state;
    json_object_set_new(body, "chat_template_kwargs", json_pack("{s:b}", "enable_thinking", 1));
    json_object_set_new(body, "thinking_budget_tokens", json_integer(5));
    expect_a_call("/v1/chat/completions", body, calls_after_thinking);
}

static size_t anthropic_calls(const json_t *answer) {
    const char *reason = json_string_value(json_object_get(answer, "stop_reason"));
    const json_t *block;
    size_t i, n = 0;
    if (strcmp(reason, "max_tokens") == 0) return 0;
    assert_string_equal(reason, "tool_use");
    json_array_foreach(json_object_get(answer, "content"), i, block) {
        if (strcmp(json_string_value(json_object_get(block, "type")), "tool_use") != 0) continue;
        expect_weather(json_object_get(block, "name"), json_object_get(block, "input"));
        n++;
    }
    return n;
}

static void test_anthropic(void **state) {
    json_t *body = make_body();
    (void)state;
    json_object_set_new(body, "tools",
                        json_pack("[{s:s, s:o}]", "name", "weather", "input_schema", parameters()));
    json_object_set_new(body, "tool_choice",
                        json_pack("{s:s, s:b}", "type", "auto", "disable_parallel_tool_use", 1));
    expect_a_call("/v1/messages", body, anthropic_calls);
}

/* Which has no way to ask for one call only: the first of them. */
static size_t ollama_calls(const json_t *answer) {
    const json_t *calls = json_object_get(json_object_get(answer, "message"), "tool_calls");
    const json_t *function = json_object_get(json_array_get(calls, 0), "function");
    if (json_array_size(calls) == 0) return 0;
    expect_weather(json_object_get(function, "name"), json_object_get(function, "arguments"));
    return 1;
}

static void test_ollama(void **state) {
    static const char *const names[] = {"temperature", "logit_bias"};
    json_t *body = make_body(), *options = json_object();
    (void)state;
    for (size_t i = 0; i < 2; i++)
        json_object_set(options, names[i], json_object_get(body, names[i]));
    json_object_set_new(options, "num_predict", json_integer(N_TOKENS));
    json_object_set_new(body, "options", options);
    json_object_set_new(body, "tools", tools());
    expect_a_call("/api/chat", body, ollama_calls);
}

static int set_up(void **state) {
    struct marked_ember ember;
    struct backend *backend;
    (void)state;
    marked_ember_make(&ember);
    backend = marked_ember_open(&ember, DRAFTING_AUTO);
    marked_ember_remove(&ember);
    serving_begin(&serving, backend, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&serving);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openai),
        cmocka_unit_test(test_thinking_is_free),
        cmocka_unit_test(test_anthropic),
        cmocka_unit_test(test_ollama),
    };
    return cmocka_run_group_tests_name("server/http_calls", tests, set_up, tear_down);
}
