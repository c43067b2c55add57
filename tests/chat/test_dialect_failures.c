/* What goes wrong while an answer is made: problems in the dialects' own forms, before a stream
 * and within it, misuse of a writer, and memory that runs out. */
#include "dialect_script.h"

#include <string.h>

#include "base/mem.h"

/* ---- problems ---- */

static json_t *parsed(const struct buf *out) {
    json_t *value = json_loadb(buf_text(out), out->length, 0, NULL);
    assert_non_null(value);
    return value;
}

static void check_body(enum endpoint endpoint, const struct dialect_problem *problem,
                       const char *expected) {
    struct buf out;
    buf_init(&out, 4096);
    dialect_put_problem(endpoint, problem, &out);
    json_t *found = parsed(&out), *wanted = json_loads(expected, 0, NULL);
    assert_non_null(wanted);
    assert_true(script_equal(script_endpoint_name(endpoint), found, wanted));
    json_decref(found);
    json_decref(wanted);
    buf_release(&out);
}

static void check_problem(enum endpoint endpoint, int http_status, const char *expected) {
    const struct dialect_problem problem = {
        .http_status = http_status, .parameter = "messages[0].role", .message = "is \"wrong\""};
    check_body(endpoint, &problem, expected);
}

static void problems_have_the_dialects_form(void **state) {
    (void)state;
    check_problem(ENDPOINT_OPENAI_CHAT, 400,
                  "{\"error\":{\"message\":\"'messages[0].role' is \\\"wrong\\\"\",\"type\":"
                  "\"invalid_request_error\",\"param\":\"messages[0].role\",\"code\":null}}");
    check_problem(ENDPOINT_OPENAI_RESPONSES, 429,
                  "{\"error\":{\"message\":\"'messages[0].role' is \\\"wrong\\\"\",\"type\":"
                  "\"rate_limit_error\",\"param\":\"messages[0].role\",\"code\":"
                  "\"rate_limit_exceeded\"}}");
    check_problem(ENDPOINT_ANTHROPIC_MESSAGES, 400,
                  "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
                  "\"messages[0].role: is \\\"wrong\\\"\"}}");
    check_problem(ENDPOINT_ANTHROPIC_COUNT, 503,
                  "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
                  "\"messages[0].role: is \\\"wrong\\\"\"}}");
    check_problem(ENDPOINT_OLLAMA_CHAT, 400, "{\"error\":\"messages[0].role: is \\\"wrong\\\"\"}");
    check_problem(ENDPOINT_INFILL, 500,
                  "{\"error\":{\"message\":\"'messages[0].role' is \\\"wrong\\\"\",\"type\":"
                  "\"server_error\",\"param\":\"messages[0].role\",\"code\":500}}");
}

/* Each client knows by words or a code of its own that it should shorten the conversation. */
static void prompts_that_are_too_long_have_the_dialects_words(void **state) {
    static const char openai[] =
        "{\"error\":{\"message\":\"this model's maximum context length is 8 tokens, but the prompt "
        "has 12; send a shorter one\",\"type\":\"invalid_request_error\",\"param\":null,"
        "\"code\":\"context_length_exceeded\"}}";
    static const char anthropic[] =
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
        "\"prompt is too long: 12 tokens > 8 maximum\"}}";
    static const char ollama[] =
        "{\"error\":\"the input length exceeds the context length: 12 > 8\"}";
    const struct dialect_problem problem = {
        .http_status = 400, .message = "12 > 8", .excess = {.n_prompt = 12, .n_ctx = 8}};
    (void)state;
    check_body(ENDPOINT_OPENAI_CHAT, &problem, openai);
    check_body(ENDPOINT_OPENAI_COMPLETIONS, &problem, openai);
    check_body(ENDPOINT_OPENAI_EMBEDDINGS, &problem, openai);
    check_body(ENDPOINT_OPENAI_RESPONSES, &problem, openai);
    check_body(ENDPOINT_RERANK, &problem, openai);
    check_body(ENDPOINT_ANTHROPIC_MESSAGES, &problem, anthropic);
    check_body(ENDPOINT_OLLAMA_CHAT, &problem, ollama);
    check_body(ENDPOINT_OLLAMA_GENERATE, &problem, ollama);
    check_body(ENDPOINT_OLLAMA_EMBED, &problem, ollama);
    check_body(ENDPOINT_INFILL, &problem,
               "{\"error\":{\"message\":\"this model's maximum context length is 8 tokens, but the "
               "prompt has 12; send a shorter one\",\"type\":\"exceed_context_size_error\","
               "\"param\":null,\"code\":400,\"n_prompt_tokens\":12,\"n_ctx\":8}}");
}

static void failures_have_a_status(void **state) {
    static const struct {
        hearth_status status;
        int http_status;
    } known[] = {{HEARTH_ERROR_ARGUMENT, 400},  {HEARTH_ERROR_UNSUPPORTED, 400},
                 {HEARTH_ERROR_NOT_FOUND, 404}, {HEARTH_ERROR_LIMIT, 429},
                 {HEARTH_ERROR_NO_MEMORY, 503}, {HEARTH_ERROR_IO, 500},
                 {HEARTH_ERROR_INTERNAL, 500}};
    struct dialect_problem problem;
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        dialect_problem_of_failure(known[i].status, "why", &problem);
        assert_int_equal(problem.http_status, known[i].http_status);
        assert_string_equal(problem.message, "why");
    }
}

/* ---- failures of answers ---- */

static struct answer_writer *open_case(enum endpoint endpoint, const char *body, bool stream,
                                       struct request *request) {
    struct dialect_problem problem;
    json_t *value = json_loads(body, 0, NULL);
    request_init(request);
    assert_true(dialect_parse(endpoint, value, request, &problem));
    json_decref(value);
    request->stream = stream;
    return script_writer(endpoint, request);
}

static const char *least_body(enum endpoint endpoint) {
    switch (endpoint) {
    case ENDPOINT_OPENAI_RESPONSES: return "{\"input\":\"Hi\"}";
    case ENDPOINT_OPENAI_EMBEDDINGS:
    case ENDPOINT_OLLAMA_EMBED: return "{\"input\":\"Hi\"}";
    case ENDPOINT_OPENAI_COMPLETIONS:
    case ENDPOINT_OLLAMA_GENERATE: return "{\"prompt\":\"Hi\"}";
    case ENDPOINT_INFILL: return "{\"input_prefix\":\"a\",\"input_suffix\":\"b\"}";
    case ENDPOINT_RERANK: return "{\"query\":\"a\",\"documents\":[\"b\"]}";
    default: return "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
    }
}

static json_t *event_of(const char *text) {
    json_t *event = json_loads(text, 0, NULL);
    assert_non_null(event);
    return event;
}

static hearth_status put(struct answer_writer *writer, const char *text, struct buf *out) {
    json_t *event = event_of(text);
    hearth_status status = script_put(writer, event, out);
    json_decref(event);
    return status;
}

/* Nothing is written before the first bytes of a stream, or of a whole answer. */
static void a_failure_before_the_answer_is_a_problem(void **state) {
    (void)state;
    for (int i = 0; i < 2 * ENDPOINT_COUNT; i++) {
        enum endpoint endpoint = (enum endpoint)(i / 2);
        struct request request;
        struct buf out;
        buf_init(&out, 4096);
        struct answer_writer *writer = open_case(endpoint, least_body(endpoint), i % 2, &request);
        assert_int_equal(put(writer, "{\"failed\":\"broken\"}", &out), HEARTH_OK);
        assert_int_equal(out.length, 0);
        assert_non_null(answer_writer_problem(writer));
        assert_int_equal(answer_writer_problem(writer)->http_status, 500);
        assert_string_equal(answer_writer_problem(writer)->message, "broken");
        assert_int_equal(put(writer, "{\"started\":\"m\"}", &out), HEARTH_ERROR_ARGUMENT);
        answer_writer_close(writer);
        request_release(&request);
        buf_release(&out);
    }
}

static void check_failure_within(enum endpoint endpoint, const char *path, const char *field,
                                 const char *expected) {
    struct request request;
    struct buf out;
    buf_init(&out, 1 << 16);
    struct answer_writer *writer = open_case(endpoint, least_body(endpoint), true, &request);
    assert_int_equal(put(writer, "{\"started\":\"m\"}", &out), HEARTH_OK);
    assert_int_equal(put(writer, "{\"text\":\"a\"}", &out), HEARTH_OK);
    assert_true(out.length > 0);
    assert_int_equal(put(writer, "{\"failed\":\"broken\"}", &out), HEARTH_OK);
    bool lines = strcmp(answer_writer_content_type(writer), "application/x-ndjson") == 0;
    json_t *stream = script_stream(buf_text(&out), lines);
    const json_t *holder = json_array_get(stream, json_array_size(stream) - 1);
    if (*path) holder = json_object_get(holder, path);
    if (strcmp(path, "response") == 0) holder = json_object_get(holder, "error");
    assert_string_equal(json_string_value(json_object_get(holder, field)), expected);
    json_decref(stream);
    answer_writer_close(writer);
    request_release(&request);
    buf_release(&out);
}

static void a_failure_within_a_stream_is_its_last_event(void **state) {
    (void)state;
    check_failure_within(ENDPOINT_OPENAI_CHAT, "error", "message", "broken");
    check_failure_within(ENDPOINT_OPENAI_COMPLETIONS, "error", "message", "broken");
    check_failure_within(ENDPOINT_OPENAI_RESPONSES, "response", "message", "broken");
    check_failure_within(ENDPOINT_ANTHROPIC_MESSAGES, "error", "message", "broken");
    check_failure_within(ENDPOINT_OLLAMA_CHAT, "", "error", "broken");
    check_failure_within(ENDPOINT_OLLAMA_GENERATE, "", "error", "broken");
    check_failure_within(ENDPOINT_INFILL, "error", "message", "broken");
}

static void events_out_of_place_are_refused(void **state) {
    static const char *const events[] = {
        "{\"text\":\"a\",\"choice\":1}", "{\"finished\":\"stop\",\"choice\":7}",
        "{\"embedding\":[1],\"choice\":0}", "{\"call\":{\"index\":1,\"id\":\"c\"}}"};
    struct request request;
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    struct answer_writer *writer =
        open_case(ENDPOINT_OPENAI_CHAT, least_body(ENDPOINT_OPENAI_CHAT), false, &request);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        assert_int_equal(put(writer, events[i], &out), HEARTH_ERROR_INTERNAL);
    answer_writer_close(writer);
    request_release(&request);
    buf_release(&out);
}

/* An event that does not fit leaves nothing behind, and the stream can still say that it failed. */
static void a_full_buffer_is_an_error(void **state) {
    struct request request;
    struct buf out;
    struct event event = {.kind = EVENT_TEXT};
    char text[512];
    (void)state;
    memset(text, 'a', sizeof text);
    event.text.data = text;
    event.text.length = sizeof text;
    buf_init(&out, 400);
    struct answer_writer *writer =
        open_case(ENDPOINT_OPENAI_CHAT, least_body(ENDPOINT_OPENAI_CHAT), true, &request);
    assert_int_equal(put(writer, "{\"started\":\"m\"}", &out), HEARTH_OK);
    size_t before = out.length;
    assert_int_equal(answer_writer_put(writer, &event, &out, NULL), HEARTH_ERROR_LIMIT);
    assert_int_equal(out.length, before);
    assert_int_equal(strlen(buf_text(&out)), before);
    buf_clear(&out);
    assert_int_equal(put(writer, "{\"failed\":\"too large\"}", &out), HEARTH_OK);
    assert_non_null(strstr(buf_text(&out), "too large"));
    answer_writer_close(writer);
    request_release(&request);
    buf_release(&out);
}

static void too_many_dimensions_are_a_problem(void **state) {
    static const enum endpoint endpoints[] = {ENDPOINT_OPENAI_EMBEDDINGS, ENDPOINT_OLLAMA_EMBED};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct request request;
        struct buf out;
        buf_init(&out, 4096);
        struct answer_writer *writer =
            open_case(endpoints[i], "{\"input\":\"a\",\"dimensions\":3}", false, &request);
        assert_int_equal(put(writer, "{\"embedding\":[1,2]}", &out), HEARTH_OK);
        assert_int_equal(put(writer, "{\"done\":[1,0,0,0]}", &out), HEARTH_OK);
        assert_int_equal(out.length, 0);
        assert_string_equal(answer_writer_problem(writer)->parameter, "dimensions");
        answer_writer_close(writer);
        request_release(&request);
        buf_release(&out);
    }
}

/* Texts that are no UTF-8 are mended rather than lost. */
static void broken_characters_are_mended(void **state) {
    struct request request;
    struct buf out;
    static const char broken[] = "a\xFF\xE2\x82z\xED\xA0\x80";
    struct event event = {.kind = EVENT_TEXT,
                          .text = {.data = broken, .length = sizeof broken - 1}};
    (void)state;
    buf_init(&out, 4096);
    struct answer_writer *writer =
        open_case(ENDPOINT_OLLAMA_CHAT, least_body(ENDPOINT_OLLAMA_CHAT), true, &request);
    struct event started = {.kind = EVENT_STARTED, .model = "caf\xE9"};
    assert_int_equal(answer_writer_put(writer, &started, &out, NULL), HEARTH_OK);
    assert_int_equal(answer_writer_put(writer, &event, &out, NULL), HEARTH_OK);
    json_t *stream = script_stream(buf_text(&out), true);
    const json_t *line = json_array_get(stream, 0), *message = json_object_get(line, "message");
    assert_string_equal(json_string_value(json_object_get(line, "model")), "caf\xEF\xBF\xBD");
    assert_string_equal(
        json_string_value(json_object_get(message, "content")),
        "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    json_decref(stream);
    answer_writer_close(writer);
    request_release(&request);
    buf_release(&out);
}

/* ---- memory ---- */

/* One case with the n-th allocation failing. True: everything went well nevertheless, or every
 * allocation succeeded; then the answer must be the right one. */
static bool write_case(const json_t *item, bool stream, struct buf *out) {
    struct request request;
    struct dialect_problem problem;
    struct answer_identity identity = {.id = "1", .created_s = 1752148800, .model = "m"};
    struct answer_writer *writer = NULL;
    const json_t *event;
    size_t i;
    enum endpoint endpoint = script_endpoint(json_string_value(json_object_get(item, "endpoint")));
    request_init(&request);
    bool ok = dialect_parse(endpoint, json_object_get(item, "body"), &request, &problem);
    assert_true(ok || problem.http_status == 500);
    request.stream = stream;
    ok = ok && answer_writer_open(&writer, endpoint, &request, &identity, NULL) == HEARTH_OK;
    json_array_foreach(json_object_get(item, "events"), i, event) {
        ok = ok && script_put(writer, event, out) == HEARTH_OK;
    }
    answer_writer_close(writer);
    request_release(&request);
    return ok;
}

/* Arguments that are parsed: jansson does not tell what is no JSON from a lack of memory, and
 * such arguments become empty. */
static bool parses_arguments(const json_t *item) {
    const char *endpoint = json_string_value(json_object_get(item, "endpoint"));
    const json_t *event;
    size_t i;
    if (strncmp(endpoint, "openai", 6) == 0) return false;
    json_array_foreach(json_object_get(item, "events"), i, event) {
        if (json_object_get(event, "call")) return true;
    }
    return false;
}

static void check_memory(const json_t *item, bool stream) {
    struct buf whole, out;
    bool may_differ = parses_arguments(item);
    const char *name = json_string_value(json_object_get(item, "name"));
    buf_init(&whole, 1 << 20);
    assert_true(write_case(item, stream, &whole));
    for (uint64_t n = 1;; n++) {
        buf_init(&out, 1 << 20);
        mem_fail_after(n);
        bool ok = write_case(item, stream, &out);
        bool failed = !mem_fail_pending();
        mem_fail_after(0);
        if (ok && !may_differ &&
            (out.length != whole.length || strcmp(buf_text(&out), buf_text(&whole)) != 0))
            fail_msg("%s: allocation %llu failed unnoticed:\n%s\n%s", name, (unsigned long long)n,
                     buf_text(&out), buf_text(&whole));
        buf_release(&out);
        if (!failed) break;
    }
    buf_release(&whole);
}

/* A request is whole, or there is a problem. */
static void check_request_memory(const json_t *item) {
    const json_t *expected = json_object_get(item, "request");
    const char *name = json_string_value(json_object_get(item, "name"));
    enum endpoint endpoint = script_endpoint(json_string_value(json_object_get(item, "endpoint")));
    bool failed = expected != NULL;
    for (uint64_t n = 1; failed; n++) {
        struct request request;
        struct dialect_problem problem;
        request_init(&request);
        mem_fail_after(n);
        bool ok = dialect_parse(endpoint, json_object_get(item, "body"), &request, &problem);
        failed = !mem_fail_pending();
        mem_fail_after(0);
        json_t *found = script_request(&request);
        /* A text of JSON that could not be read is a wrong one: see parses_arguments. */
        bool honest = problem.http_status == 500 || strcmp(problem.parameter, "guided_json") == 0;
        if (ok ? !script_equal(name, found, expected) : !honest)
            fail_msg("%s: allocation %llu: %d %s", name, (unsigned long long)n, problem.http_status,
                     problem.message);
        json_decref(found);
        request_release(&request);
    }
}

static void requests_without_memory_are_problems(void **state) {
    (void)state;
    json_set_alloc_funcs(mem_alloc, mem_free);
    json_t *cases = script_load("dialect_requests.json"), *item;
    size_t i;
    json_array_foreach(cases, i, item) {
        check_request_memory(item);
    }
    json_decref(cases);
    json_set_alloc_funcs(malloc, free);
}

static void answers_without_memory_are_errors(void **state) {
    (void)state;
    json_set_alloc_funcs(mem_alloc, mem_free);
    json_t *cases = script_load("dialect_answers.json"), *item;
    size_t i;
    json_array_foreach(cases, i, item) {
        if (json_object_get(item, "whole")) check_memory(item, false);
        if (json_object_get(item, "stream")) check_memory(item, true);
    }
    json_decref(cases);
    json_set_alloc_funcs(malloc, free);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_have_the_dialects_form),
        cmocka_unit_test(prompts_that_are_too_long_have_the_dialects_words),
        cmocka_unit_test(failures_have_a_status),
        cmocka_unit_test(a_failure_before_the_answer_is_a_problem),
        cmocka_unit_test(a_failure_within_a_stream_is_its_last_event),
        cmocka_unit_test(events_out_of_place_are_refused),
        cmocka_unit_test(a_full_buffer_is_an_error),
        cmocka_unit_test(too_many_dimensions_are_a_problem),
        cmocka_unit_test(broken_characters_are_mended),
        cmocka_unit_test(requests_without_memory_are_problems),
        cmocka_unit_test(answers_without_memory_are_errors),
    };
    return cmocka_run_group_tests_name("chat/dialect_failures", tests, NULL, NULL);
}
