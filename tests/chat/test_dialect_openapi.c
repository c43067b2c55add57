/* What OpenAI's dialects write, against the OpenAPI description of the API and against recorded
 * streams of another server. */
#include "dialect_script.h"

#include <string.h>

#include "base/mem.h"
#include "openapi_schema.h"

static struct openapi *api;

/* ---- the OpenAPI description ---- */

static bool check_value(const char *name, const char *schema, const json_t *value) {
    char reason[1024];
    if (json_is_string(value)) return strcmp(json_string_value(value), "[DONE]") == 0;
    if (openapi_fits(api, schema, value, reason, sizeof reason)) return true;
    char *text = json_dumps(value, JSON_COMPACT);
    print_message("%s: %s\n  %s\n", name, reason, text);
    free(text);
    return false;
}

static const char *schema_of(const char *endpoint, bool stream) {
    static const char *const schemas[][3] = {
        {"openai_chat", "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"},
        {"openai_completions", "CreateCompletionResponse", "CreateCompletionResponse"},
        {"openai_embeddings", "CreateEmbeddingResponse", NULL},
        {"openai_responses", "Response", "ResponseStreamEvent"}};
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)
        if (strcmp(schemas[i][0], endpoint) == 0) return schemas[i][stream ? 2 : 1];
    return NULL;
}

/* Chunks of completions have the schema of whole ones, which knows no null where the service has
 * it: no reason yet, no usage yet. */
static json_t *without_nulls(const char *endpoint, const json_t *chunk) {
    json_t *copy = json_deep_copy(chunk), *choice;
    size_t i;
    if (strcmp(endpoint, "openai_completions") != 0) return copy;
    if (json_is_null(json_object_get(copy, "usage"))) json_object_del(copy, "usage");
    json_array_foreach(json_object_get(copy, "choices"), i, choice) {
        if (json_is_null(json_object_get(choice, "finish_reason")))
            json_object_set_new(choice, "finish_reason", json_string("stop"));
    }
    return copy;
}

/* The expected answers are those that test_dialect_answer.c compares with; so these are checked. */
static void expected_answers_fit_the_description(void **state) {
    (void)state;
    json_t *cases = script_load("dialect_answers.json"), *item, *chunk;
    size_t i, k, n_checked = 0, n_wrong = 0;
    api = openapi_open(testdata("openai-api/openapi.yaml"));
    assert_non_null(api);
    json_array_foreach(cases, i, item) {
        const char *endpoint = json_string_value(json_object_get(item, "endpoint"));
        const char *name = json_string_value(json_object_get(item, "name"));
        const json_t *whole = json_object_get(item, "whole");
        if (!schema_of(endpoint, false) || json_object_get(item, "undescribed")) continue;
        n_checked++;
        if (whole) n_wrong += !check_value(name, schema_of(endpoint, false), whole);
        json_array_foreach(json_object_get(item, "stream"), k, chunk) {
            json_t *copy = without_nulls(endpoint, chunk);
            n_wrong += !check_value(name, schema_of(endpoint, true), copy);
            json_decref(copy);
        }
    }
    openapi_close(api);
    json_decref(cases);
    assert_int_equal(n_wrong, 0);
    assert_true(n_checked >= 10);
}

static void the_check_finds_what_is_wrong(void **state) {
    static const char *const wrong[] = {
        "{}",
        "{\"id\":1,\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[]}",
        "{\"id\":\"1\",\"object\":\"completion\",\"created\":1,\"model\":\"m\",\"choices\":[]}",
        "{\"id\":\"1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":"
        "[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"tired\"}]}",
        "{\"id\":\"1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":"
        "[{\"index\":0,\"text\":\"\",\"logprobs\":{\"tokens\":[1]},\"finish_reason\":\"stop\"}]}"};
    char reason[1024];
    (void)state;
    api = openapi_open(testdata("openai-api/openapi.yaml"));
    assert_non_null(api);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_t *value = json_loads(wrong[i], 0, NULL);
        assert_non_null(value);
        assert_false(openapi_fits(api, "CreateCompletionResponse", value, reason, sizeof reason));
        json_decref(value);
    }
    openapi_close(api);
}

/* ---- recorded streams ---- */

/* One chunk as an event; the role comes by itself with the first. */
static void put_recorded(struct answer_writer *writer, const json_t *chunk, struct buf *out) {
    const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta"), *value;
    const json_t *reason = json_object_get(choice, "finish_reason");
    json_t *event = NULL;
    if (json_object_get(delta, "role"))
        event = json_pack("{s:O}", "started", json_object_get(chunk, "model"));
    else if ((value = json_object_get(delta, "content")))
        event = json_pack("{s:O}", "text", value);
    else if ((value = json_object_get(delta, "reasoning_content")))
        event = json_pack("{s:O}", "reasoning", value);
    else if ((value = json_object_get(delta, "tool_calls"))) {
        const json_t *call = json_array_get(value, 0),
                     *function = json_object_get(call, "function");
        event = json_pack("{s:{s:O, s:O*, s:O*, s:O*}}", "call", "index",
                          json_object_get(call, "index"), "id", json_object_get(call, "id"), "name",
                          json_object_get(function, "name"), "arguments",
                          json_object_get(function, "arguments"));
    } else
        event = json_pack("{s:O}", "finished", reason);
    assert_non_null(event);
    assert_int_equal(script_put(writer, event, out), HEARTH_OK);
    json_decref(event);
}

/* Everything that was recorded is there, with the same values but for those that name the
 * answer and its maker. */
static bool covers(const json_t *ours, const json_t *recorded) {
    const json_t *element;
    const char *key;
    size_t i;
    if (json_is_object(recorded)) {
        json_object_foreach((json_t *)recorded, key, element) {
            bool free_value = strcmp(key, "id") == 0 || strcmp(key, "created") == 0 ||
                              strcmp(key, "system_fingerprint") == 0;
            const json_t *own = json_object_get(ours, key);
            if (!own || json_typeof(own) != json_typeof(element)) return false;
            if (!free_value && !covers(own, element)) return false;
        }
        return true;
    }
    if (!json_is_array(recorded)) return json_equal(ours, recorded);
    json_array_foreach(recorded, i, element) {
        if (!covers(json_array_get(ours, i), element)) return false;
    }
    return json_array_size(ours) == json_array_size(recorded);
}

static json_t *load_recorded(const char *path) {
    char *text, *line, *rest;
    size_t size;
    json_t *list = json_array();
    assert_int_equal(file_read(path, 16 << 20, &text, &size, NULL), HEARTH_OK);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *chunk = strcmp(line, "[DONE]") == 0 ? json_string(line) : json_loads(line, 0, NULL);
        assert_non_null(chunk);
        json_array_append_new(list, chunk);
    }
    mem_free(text);
    return list;
}

static void check_recorded(const char *path) {
    json_t *recorded = load_recorded(path), *chunk;
    json_t *done = json_pack("{s:[]}", "done");
    struct request request;
    struct buf out;
    size_t i;
    request_init(&request);
    request.messages = json_pack("[{}]");
    request.stream = true;
    buf_init(&out, 16 << 20);
    struct answer_writer *writer = script_writer(ENDPOINT_OPENAI_CHAT, &request);
    json_array_foreach(recorded, i, chunk) {
        if (json_is_object(chunk)) put_recorded(writer, chunk, &out);
    }
    if (json_is_string(json_array_get(recorded, json_array_size(recorded) - 1)))
        assert_int_equal(script_put(writer, done, &out), HEARTH_OK); /* others were cut off */
    json_t *ours = script_stream(buf_text(&out), false);
    assert_int_equal(json_array_size(ours), json_array_size(recorded));
    json_array_foreach(recorded, i, chunk) {
        if (!covers(json_array_get(ours, i), chunk))
            assert_true(script_equal(path, json_array_get(ours, i), chunk));
    }
    answer_writer_close(writer);
    buf_release(&out);
    request_release(&request);
    json_decref(done);
    json_decref(ours);
    json_decref(recorded);
}

static void streams_have_the_structure_of_recorded_ones(void **state) {
    (void)state;
    check_recorded(testdata("openai-api/sse/turn1_chunks.txt"));
    check_recorded(testdata("openai-api/sse/scenario2_tool_call_chunks.txt"));
    check_recorded(testdata("openai-api/sse/scenario3_reasoning_chunks.txt"));
    check_recorded(testdata("openai-api/sse/scenario4_vision_chunks.txt"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_answers_fit_the_description),
        cmocka_unit_test(the_check_finds_what_is_wrong),
        cmocka_unit_test(streams_have_the_structure_of_recorded_ones),
    };
    return cmocka_run_group_tests_name("chat/dialect_openapi", tests, NULL, NULL);
}
