/* Events become answers in every dialect, whole and as streams: tests/chat/dialect_answers.json. */
#include "dialect_script.h"

#include <string.h>

static bool check_writing(const char *name, const json_t *item, bool stream) {
    struct request request;
    struct dialect_problem problem;
    struct buf out;
    enum endpoint endpoint = script_endpoint(json_string_value(json_object_get(item, "endpoint")));
    const json_t *expected = json_object_get(item, stream ? "stream" : "whole");
    if (!expected) return true;
    request_init(&request);
    buf_init(&out, 1 << 20);
    if (!dialect_parse(endpoint, json_object_get(item, "body"), &request, &problem))
        fail_msg("%s: %s: %s", name, problem.parameter, problem.message);
    request.stream = stream;
    struct answer_writer *writer = script_writer(endpoint, &request);
    script_run(writer, json_object_get(item, "events"), &out);
    assert_null(answer_writer_problem(writer));
    bool lines = strcmp(answer_writer_content_type(writer), "application/x-ndjson") == 0;
    json_t *found = stream ? script_stream(buf_text(&out), lines)
                           : json_loadb(buf_text(&out), out.length, JSON_ALLOW_NUL, NULL);
    bool ok = script_equal(name, found, expected);
    json_decref(found);
    answer_writer_close(writer);
    request_release(&request);
    buf_release(&out);
    return ok;
}

static void answers_have_the_dialects_form(void **state) {
    (void)state;
    json_t *cases = script_load("dialect_answers.json"), *item;
    size_t i, n_wrong = 0;
    json_array_foreach(cases, i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        assert_true(json_object_get(item, "whole") || json_object_get(item, "stream"));
        n_wrong += !check_writing(name, item, false);
        n_wrong += !check_writing(name, item, true);
    }
    assert_int_equal(n_wrong, 0);
    assert_true(json_array_size(cases) > 0);
    json_decref(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_have_the_dialects_form),
    };
    return cmocka_run_group_tests_name("chat/dialect_answer", tests, NULL, NULL);
}
