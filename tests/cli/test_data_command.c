/* hearth data, from end to end: what it says of good data, of bad data, and its exit code. */
#include "program.h"

#include <jansson.h>
#include <string.h>

static const char good[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":"
    "\"Hi \\u001b[31mthere\"}]}\n"
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Again\"},{\"role\":\"assistant\",\"content\":"
    "\"No\"}]}\n";

static void put(const char *name, const char *text) {
    assert_int_equal(file_write(program_path(name), text, strlen(text), NULL), HEARTH_OK);
}

static void contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no '%s' in\n%s", part, text);
}

/* A template for a vocabulary that brings none. */
static const char *template_file(void) {
    put("chatml.jinja", "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>"
                        "\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
                        "{% endif %}");
    return program_path("chatml.jinja");
}

static void good_data_is_shown(void **state) {
    (void)state;
    put("good.jsonl", good);
    RUN_OK("data", program_path("good.jsonl"));
    contains(program_out(NULL), "2 records");
    contains(program_out(NULL), "format  messages (column 'messages' holds a list of {role, "
                                "content})");
    contains(program_out(NULL), "assistant: \u27e6Hi \u00b7[31mthere\u27e7");
    RUN_OK("data", program_path("good.jsonl"), "-m", testdata("tokenizers/qwen2/vocab.gguf"),
           "--template", template_file(), "--show", "1");
    contains(program_out(NULL), "<|im_start|>assistant\n\u27e6Hi \u00b7[31mthere<|im_end|>\u27e7");
    contains(program_out(NULL), "sequences              2\n");
    assert_null(strstr(program_out(NULL), "\u27e6No"));
    assert_null(strchr(program_out(NULL), '\x1b'));
}

static void json_says_the_same(void **state) {
    (void)state;
    put("good.jsonl", good);
    RUN_OK("data", program_path("good.jsonl"), "-m", testdata("tokenizers/qwen2/vocab.gguf"),
           "--template", template_file(), "--json", "--show", "1");
    json_t *report = json_loads(program_out(NULL), 0, NULL);
    assert_non_null(report);
    const json_t *file = json_array_get(json_object_get(report, "files"), 0);
    const json_t *training = json_object_get(report, "training");
    const json_t *sample = json_array_get(json_object_get(report, "samples"), 0);
    const json_t *segments = json_object_get(sample, "segments");
    assert_string_equal(json_string_value(json_object_get(file, "format")), "messages");
    assert_int_equal(json_integer_value(json_object_get(training, "sequences")), 2);
    assert_int_equal(json_integer_value(json_object_get(training, "turns")), 2);
    assert_int_equal(json_array_size(segments), 2);
    const json_t *answer = json_array_get(segments, 1);
    assert_true(json_is_true(json_object_get(answer, "trained")));
    assert_string_equal(json_string_value(json_object_get(answer, "text")),
                        "Hi \x1b[31mthere<|im_end|>");
    assert_int_equal(strlen(json_string_value(json_object_get(report, "sha256"))), 64);
    json_decref(report);
}

static void bad_data_fails_with_its_lines(void **state) {
    (void)state;
    put("bad.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\"\n{\"prompt\":\"a\"}\n");
    assert_int_equal(RUN("data", program_path("bad.jsonl")), 1);
    contains(program_out(NULL), "1 record, 2 broken");
    contains(program_out(NULL), "bad.jsonl:2: not JSON");
    contains(program_out(NULL), "bad.jsonl:3: no column 'completion'");
    put("bad.jsonl", "");
    assert_int_equal(RUN("data", program_path("bad.jsonl")), 1);
    contains(program_err(), "the file is empty");
    assert_int_equal(RUN("data", program_path("none.jsonl")), 1);
    contains(program_err(), "none.jsonl");
    assert_int_equal(RUN("data"), 2);
    put("good.jsonl", good);
    assert_int_equal(RUN("data", program_path("good.jsonl"), "--format", "alpacca"), 1);
    contains(program_err(), "did you mean 'alpaca'?");
    assert_int_equal(RUN("data", program_path("good.jsonl"), "--format", "alpaca"), 1);
    contains(program_err(), "does not look like the format alpaca");
}

static void long_records_are_counted(void **state) {
    (void)state;
    put("good.jsonl", good);
    RUN_OK("data", program_path("good.jsonl"), "-m", testdata("tokenizers/qwen2/vocab.gguf"),
           "--template", template_file(), "--max-length", "11", "--too-long", "drop");
    contains(program_out(NULL), "too long               1 record");
    contains(program_out(NULL), "good.jsonl:1: too long: ");
    assert_int_equal(RUN("data", program_path("good.jsonl"), "-m",
                         testdata("tokenizers/qwen2/vocab.gguf"), "--template", template_file(),
                         "--max-length", "3"),
                     1);
    contains(program_out(NULL), "no answer would be left");
}

static void columns_and_separators_are_taken(void **state) {
    (void)state;
    put("faq.csv", "Frage;Antwort\nWas?;Das\n");
    RUN_OK("data", program_path("faq.csv"), "--column", "prompt=Frage", "--column",
           "completion=Antwort");
    contains(program_out(NULL), "user: Was?\nassistant: \u27e6Das\u27e7");
    put("texts.txt", "one\n\n\ntwo\n\n\nthree");
    RUN_OK("data", program_path("texts.txt"), "--separator", "\\n\\n\\n", "--max-samples", "2");
    contains(program_out(NULL), "2 records");
    contains(program_out(NULL), "\u27e6two\u27e7");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_data_is_shown),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(bad_data_fails_with_its_lines),
        cmocka_unit_test(long_records_are_counted),
        cmocka_unit_test(columns_and_separators_are_taken),
    };
    return cmocka_run_group_tests(tests, program_set_up, program_tear_down);
}
