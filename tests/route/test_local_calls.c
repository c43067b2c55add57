/* Calls that a model begins by itself, many of them: whatever a small model says at a temperature
 * of 1.5, a call that was begun is one of an offered tool, a published function, with arguments of
 * its schema. A bias makes the model begin one wherever it may. */
#include <stdlib.h>
#include <string.h>

#include "chat/constraint_cases.h"
#include "collected.h"
#include "marked_ember.h"

enum { N_TOOLS = 24, TEXT_MOST = 12 };

static struct backend *backend;
static struct constraint_vocabulary *bytes;
static json_t *tools; /* as in struct request */

/* ---- tools: published functions ---- */

/* The data set names types after Python's; texts become short, so that the mark, which is text like
 * another there, does not fill them. */
static void translate(json_t *schema) {
    static const char *const names[][2] = {
        {"dict", "object"}, {"float", "number"}, {"tuple", "array"}, {"any", "integer"}};
    const char *key, *type = json_string_value(json_object_get(schema, "type"));
    json_t *value;
    if (!type) return;
    if (strcmp(type, "string") == 0 && !json_object_get(schema, "enum"))
        json_object_set_new(schema, "maxLength", json_integer(TEXT_MOST));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(type, names[i][0]) != 0) continue;
        json_object_set_new(schema, "type", json_string(names[i][1]));
        break;
    }
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

static void expect_valid(const char *name, const json_t *arguments) {
    const json_t *parameters = parameters_of(name);
    char *text = json_dumps(arguments, JSON_COMPACT);
    struct constraint *c;
    if (!parameters) fail_msg("there is no tool '%s'", name);
    assert_int_equal(constraint_open(&c, bytes, CONSTRAINT_SCHEMA, parameters, NULL, NULL),
                     HEARTH_OK);
    if (!text || !holds(c, text, strlen(text))) fail_msg("%s: %s is not of its schema", name, text);
    constraint_close(c);
    free(text);
}

/* ---- asking ---- */

/* The calls of an answer, of which the last is cut where the answer is; how many are whole. */
static size_t check_calls(const struct collected *c) {
    const char *at = buf_text(&c->calls);
    size_t n = 0;
    while (n < c->n_calls) {
        const char *colon = strstr(at, ": ");
        char name[128];
        json_error_t error;
        assert_non_null(colon);
        snprintf(name, sizeof name, "%.*s", (int)(colon - at), at);
        json_t *arguments =
            json_loadb(colon + 2, strlen(colon + 2), JSON_DISABLE_EOF_CHECK, &error);
        if (!arguments && n + 1 == c->n_calls && c->reason == FINISH_LENGTH) break;
        expect_valid(name, arguments);
        json_decref(arguments);
        at = colon + 2 + error.position + 2;
        n++;
    }
    return n;
}

static void ask(struct collected *c, uint64_t seed, bool one_call) {
    struct request r;
    request_init(&r);
    r.messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Well?");
    r.tools = json_incref(tools);
    r.one_tool_call = one_call;
    r.sampling = json_pack("{s:f, s:I, s:[[i, f]]}", "temperature", 1.5, "seed", (json_int_t)seed,
                           "logit_bias", 2043, 100.0);
    r.max_tokens = 400;
    collected_run(c, backend, &r);
    if (c->failed != HEARTH_OK) fail_msg("%s", c->message);
    request_release(&r);
}

/* More of them for a longer look. */
static uint64_t rounds(void) {
    const char *wanted = getenv("HEARTH_CALL_ROUNDS");
    return wanted ? strtoull(wanted, NULL, 10) : 6;
}

static void calls_are_of_their_schemas(void **state) {
    size_t n = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= rounds(); seed++) {
        struct collected c;
        ask(&c, seed, false);
        n += check_calls(&c);
        collected_release(&c);
    }
    print_message("%zu calls\n", n);
    assert_true(n >= rounds() / 2);
}

static void one_call_ends_the_answer(void **state) {
    size_t n = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= rounds(); seed++) {
        struct collected c;
        ask(&c, seed, true);
        assert_true(c.n_calls <= 1);
        assert_true(c.reason == FINISH_LENGTH ||
                    (c.n_calls == 1 && c.text[0].length == 0 && c.reason == FINISH_TOOL_CALLS));
        n += check_calls(&c);
        collected_release(&c);
    }
    print_message("%zu calls\n", n);
    assert_true(n >= rounds() / 2);
}

static int set_up(void **state) {
    struct marked_ember ember;
    (void)state;
    bytes = byte_vocabulary();
    read_tools();
    marked_ember_make(&ember);
    backend = marked_ember_open(&ember, DRAFTING_AUTO);
    marked_ember_remove(&ember);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    backend_close(backend);
    json_decref(tools);
    constraint_vocabulary_close(bytes);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_of_their_schemas),
        cmocka_unit_test(one_call_ends_the_answer),
    };
    return cmocka_run_group_tests_name("route/local_calls", tests, set_up, tear_down);
}
