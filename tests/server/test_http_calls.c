/* Calls that a model begins by itself, over the server, in three dialects: whatever a small model
 * says at a temperature of 1.5, a call that was begun is one of an offered tool with arguments of
 * its schema. A token of Ember's vocabulary becomes the mark that calls begin with, and a bias
 * makes the model choose it wherever it may. */
#include <stdlib.h>
#include <string.h>

#include "chat/constraint_cases.h"
#include "route/marked_ember.h"
#include "serving.h"

enum { N_TOOLS = 24, TEXT_MOST = 12 };

static struct serving serving;
static struct constraint_vocabulary *bytes;
static json_t *tools; /* as OpenAI has them */

/* ---- tools: published functions
 * ------------------------------------------------------------------ */

/* The data set names types after Python's; texts become short, so that the mark, which is text like
 * another there, does not fill them. */
static void translate(json_t *schema) {
    const char *key, *type = json_string_value(json_object_get(schema, "type"));
    json_t *value;
    if (!type) return;
    if (strcmp(type, "dict") == 0) json_object_set_new(schema, "type", json_string("object"));
    if (strcmp(type, "float") == 0) json_object_set_new(schema, "type", json_string("number"));
    if (strcmp(type, "tuple") == 0) json_object_set_new(schema, "type", json_string("array"));
    if (strcmp(type, "any") == 0) json_object_set_new(schema, "type", json_string("integer"));
    if (strcmp(type, "string") == 0 && !json_object_get(schema, "enum"))
        json_object_set_new(schema, "maxLength", json_integer(TEXT_MOST));
    json_object_foreach(json_object_get(schema, "properties"), key, value) {
        translate(value);
    }
    translate(json_object_get(schema, "items"));
}

static void add_tool(const char *line) {
    json_t *question = json_loads(line, JSON_ALLOW_NUL, NULL);
    json_t *function = json_array_get(json_object_get(question, "function"), 0);
    translate(json_object_get(function, "parameters"));
    if (function)
        json_array_append_new(tools,
                              json_pack("{s:s, s:O}", "type", "function", "function", function));
    json_decref(question);
}

static void read_tools(void) {
    FILE *file = fopen(testdata("structured/bfcl_v4/BFCL_v4_multiple.json"), "r");
    char *line = NULL;
    size_t capacity = 0;
    assert_non_null(file);
    tools = json_array();
    while (json_array_size(tools) < N_TOOLS && getline(&line, &capacity, file) > 0)
        add_tool(line);
    free(line);
    fclose(file);
    assert_int_equal(json_array_size(tools), N_TOOLS);
}

static const json_t *parameters_of(const char *name) {
    const json_t *tool;
    size_t i;
    json_array_foreach(tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0)
            return json_object_get(function, "parameters");
    }
    return NULL;
}

/* Whether the arguments, an object or the text of one, are of the tool's schema. */
static void expect_valid(const json_t *name, const json_t *arguments) {
    const json_t *parameters = parameters_of(json_string_value(name));
    json_t *value = json_is_string(arguments) ? json_loads(json_string_value(arguments), 0, NULL)
                                              : json_deep_copy(arguments);
    char *text = json_dumps(value, JSON_COMPACT);
    struct constraint *c;
    if (!parameters) fail_msg("there is no tool '%s'", json_string_value(name));
    assert_int_equal(constraint_open(&c, bytes, CONSTRAINT_SCHEMA, parameters, NULL, NULL),
                     HEARTH_OK);
    if (!text || !holds(c, text, strlen(text)))
        fail_msg("%s: %s is not of its schema", json_string_value(name), text);
    constraint_close(c);
    free(text);
    json_decref(value);
}

/* ---- asking
 * -------------------------------------------------------------------------------------- */

static json_t *ask(const char *path, json_t *body) {
    struct wire_reply reply;
    char *text = json_dumps(body, 0);
    json_decref(body);
    if (wire_ask(serving.port, "POST", path, "", text, &reply) != 200)
        fail_msg("%d: %s", reply.status, buf_text(&reply.body));
    json_t *answer = wire_json(&reply);
    wire_release(&reply);
    free(text);
    return answer;
}

static json_t *body_of(int seed, int n_tokens) {
    return json_pack("{s:s, s:[{s:s, s:s}], s:f, s:i, s:i, s:{s:i}, s:b}", "model", "ember",
                     "messages", "role", "user", "content", "Well?", "temperature", 1.5, "seed",
                     seed, "max_tokens", n_tokens, "logit_bias", "2043", 100, "stream", 0);
}

/* The calls of a choice; the last of one that was cut by length may be cut, too. */
static size_t check_choice(const json_t *choice) {
    const json_t *calls = json_object_get(json_object_get(choice, "message"), "tool_calls"), *call;
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    size_t i, n = json_array_size(calls), n_whole = strcmp(reason, "length") == 0 && n ? n - 1 : n;
    json_array_foreach(calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        if (i < n_whole)
            expect_valid(json_object_get(function, "name"), json_object_get(function, "arguments"));
    }
    return n_whole;
}

static size_t ask_openai(int seed, int n_tokens, bool parallel, const json_t **first) {
    static json_t *answer;
    json_t *body = body_of(seed, n_tokens);
    const json_t *choice;
    size_t i, n = 0;
    json_object_set(body, "tools", tools);
    json_object_set_new(body, "n", json_integer(parallel ? 2 : 4));
    json_object_set_new(body, "parallel_tool_calls", json_boolean(parallel));
    json_decref(answer);
    answer = ask("/v1/chat/completions", body);
    json_array_foreach(json_object_get(answer, "choices"), i, choice) n += check_choice(choice);
    *first = json_array_get(json_object_get(answer, "choices"), 0);
    return n;
}

/* ---- tests
 * --------------------------------------------------------------------------------------- */

/* More of them for a longer look. */
static int rounds(void) {
    const char *wanted = getenv("HEARTH_CALL_ROUNDS");
    return wanted ? (int)strtol(wanted, NULL, 10) : 4;
}

static void test_calls_are_of_their_schemas(void **state) {
    const json_t *choice;
    size_t n = 0;
    (void)state;
    for (int seed = 1; seed <= rounds(); seed++)
        n += ask_openai(seed, 400, true, &choice);
    print_message("%zu calls\n", n);
    assert_true(n >= (size_t)rounds());
}

static void test_one_call_ends_the_answer(void **state) {
    const json_t *choice;
    size_t n = 0;
    (void)state;
    for (int seed = 1; seed <= rounds(); seed++) {
        n += ask_openai(seed, 200, false, &choice);
        const json_t *message = json_object_get(choice, "message");
        if (strcmp(json_string_value(json_object_get(choice, "finish_reason")), "length") == 0)
            continue;
        assert_int_equal(json_array_size(json_object_get(message, "tool_calls")), 1);
        assert_string_equal(json_string_value(json_object_get(choice, "finish_reason")),
                            "tool_calls");
    }
    print_message("%zu calls\n", n);
    assert_true(n >= (size_t)rounds());
}

/* With one tool whose calls are short. */
static size_t think_and_call(int seed) {
    json_t *body = body_of(seed, 200);
    json_object_set_new(
        body, "tools",
        json_pack("[{s:s, s:{s:s}}]", "type", "function", "function", "name", "now"));
    json_object_set_new(body, "parallel_tool_calls", json_false());
    json_object_set_new(body, "chat_template_kwargs", json_pack("{s:b}", "enable_thinking", 1));
    json_object_set_new(body, "thinking_budget_tokens", json_integer(5));
    json_t *answer = ask("/v1/chat/completions", body);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *thought =
        json_object_get(json_object_get(choice, "message"), "reasoning_content");
    assert_true(json_is_string(thought));
    assert_non_null(strstr(json_string_value(thought), ember_mark));
    const json_t *calls = json_object_get(json_object_get(choice, "message"), "tool_calls");
    const json_t *call = json_object_get(json_array_get(calls, 0), "function");
    size_t n = json_array_size(calls);
    assert_true(n <= 1);
    if (n) assert_string_equal(json_string_value(json_object_get(call, "name")), "now");
    json_decref(answer);
    return n;
}

/* What is thought is free, marks and all; the call comes after it. */
static void test_thinking_is_free(void **state) {
    size_t n = 0;
    (void)state;
    for (int seed = 1; seed <= rounds(); seed++)
        n += think_and_call(seed);
    assert_true(n > 0);
}

static void test_anthropic(void **state) {
    json_t *body = body_of(3, 450), *own = json_array();
    const json_t *tool, *block;
    size_t i, n = 0;
    (void)state;
    json_array_foreach(tools, i, tool) {
        const json_t *f = json_object_get(tool, "function");
        json_array_append_new(own, json_pack("{s:O, s:O}", "name", json_object_get(f, "name"),
                                             "input_schema", json_object_get(f, "parameters")));
    }
    json_object_set_new(body, "tools", own);
    json_object_set_new(body, "tool_choice",
                        json_pack("{s:s, s:b}", "type", "auto", "disable_parallel_tool_use", 1));
    json_t *answer = ask("/v1/messages", body);
    json_array_foreach(json_object_get(answer, "content"), i, block) {
        if (strcmp(json_string_value(json_object_get(block, "type")), "tool_use") != 0) continue;
        expect_valid(json_object_get(block, "name"), json_object_get(block, "input"));
        n++;
    }
    assert_int_equal(n, 1);
    assert_string_equal(json_string_value(json_object_get(answer, "stop_reason")), "tool_use");
    json_decref(answer);
}

static void test_ollama(void **state) {
    json_t *body = body_of(5, 450), *options = json_object();
    static const char *const names[] = {"temperature", "seed", "logit_bias"};
    const json_t *call;
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++)
        json_object_set(options, names[i], json_object_get(body, names[i]));
    json_object_set_new(options, "num_predict", json_integer(450));
    json_object_set_new(body, "options", options);
    json_object_set(body, "tools", tools);
    json_t *answer = ask("/api/chat", body);
    const json_t *calls = json_object_get(json_object_get(answer, "message"), "tool_calls");
    assert_true(json_array_size(calls) >= 1);
    json_array_foreach(calls, i, call) {
        const json_t *function = json_object_get(call, "function");
        if (i == 0 || i + 1 < json_array_size(calls))
            expect_valid(json_object_get(function, "name"), json_object_get(function, "arguments"));
    }
    json_decref(answer);
}

static int set_up(void **state) {
    struct marked_ember ember;
    struct backend *backend;
    (void)state;
    bytes = byte_vocabulary();
    read_tools();
    marked_ember_make(&ember);
    backend = marked_ember_open(&ember, DRAFTING_AUTO);
    marked_ember_remove(&ember);
    serving_begin(&serving, backend, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&serving);
    json_decref(tools);
    constraint_vocabulary_close(bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_of_their_schemas),
        cmocka_unit_test(test_one_call_ends_the_answer),
        cmocka_unit_test(test_thinking_is_free),
        cmocka_unit_test(test_anthropic),
        cmocka_unit_test(test_ollama),
    };
    return cmocka_run_group_tests_name("server/http_calls", tests, set_up, tear_down);
}
