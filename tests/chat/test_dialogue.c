/* Prompts from messages in every shape. */
#include "testdata.h"

#include <string.h>

#include "chat/dialogue.h"

static char *render_with(const char *source, const char *messages, const char *variables) {
    static char text[4096];
    struct chat_template *t;
    struct buf out;
    hearth_error err;
    json_t *list = json_loads(messages, 0, NULL);
    json_t *extra = variables ? json_loads(variables, 0, NULL) : NULL;
    assert_non_null(list);
    struct dialogue d = {
        .messages = list, .variables = extra, .bos_text = "<s>", .add_generation_prompt = true};
    hearth_status status = source ? chat_template_open(&t, source, strlen(source), &err)
                                  : dialogue_open_chatml(&t, &err);
    assert_int_equal(status, HEARTH_OK);
    buf_init(&out, 1 << 20);
    status = dialogue_render(t, &d, NULL, &out, &err);
    snprintf(text, sizeof text, "%s", status == HEARTH_OK ? buf_text(&out) : err.message);
    buf_release(&out);
    chat_template_close(t);
    json_decref(list);
    json_decref(extra);
    return text;
}

static void chatml_is_the_fallback(void **state) {
    (void)state;
    assert_string_equal(
        render_with(NULL,
                    "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                    "{\"type\":\"refusal\",\"refusal\":\"b\"}]}]",
                    NULL),
        "<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n");
}

static const char call_with_text[] =
    "[{\"role\":\"assistant\",\"content\":null,\"reasoning\":\"r\",\"tool_calls\":[{\"function\":"
    "{\"name\":\"f\",\"arguments\":\"{\\\"x\\\": 1}\"}}]}]";

static void arguments_take_the_shape_the_template_wants(void **state) {
    (void)state;
    assert_string_equal(render_with("{% for k, v in messages[0].tool_calls[0].function.arguments"
                                    "|items %}{{ k }}={{ v }}{% endfor %}",
                                    call_with_text, NULL),
                        "x=1");
    assert_string_equal(render_with("{{ '>' + messages[0].tool_calls[0].function.arguments }}",
                                    call_with_text, NULL),
                        ">{\"x\": 1}");
    assert_string_equal(render_with("{{ '>' + messages[0].content + '<' }}", call_with_text, NULL),
                        "><");
    assert_string_equal(render_with("{{ messages[0].content is none }}", call_with_text, NULL),
                        "True");
    assert_string_equal(render_with("{{ messages[0].reasoning_content }}", call_with_text, NULL),
                        "r");
}

static void variables_reach_the_template(void **state) {
    (void)state;
    assert_string_equal(render_with("{{ bos_token }}{{ enable_thinking }}{{ tools is none }}"
                                    "{{ eos_token }}|",
                                    "[]", "{\"enable_thinking\": false}"),
                        "<s>FalseTrue|");
    assert_string_equal(render_with("{{ raise_exception('roles!') }}", "[]", NULL), "roles!");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chatml_is_the_fallback),
        cmocka_unit_test(arguments_take_the_shape_the_template_wants),
        cmocka_unit_test(variables_reach_the_template),
    };
    return cmocka_run_group_tests_name("chat/dialogue", tests, NULL, NULL);
}
