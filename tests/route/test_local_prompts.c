/* Prompts of a small model: conversations that are too long, templates, control tokens, and what is
 * computed of them in files. */
#include <string.h>

#include "base/mem.h"
#include "collected.h"
#include "format/scratch.h"
#include "route/local_backend.h"

enum { N_CTX = 256 };

static struct local_backend_settings settings_of(void) {
    struct local_backend_settings settings = {.name = "stories", .n_parallel = 2};
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = N_CTX;
    settings.engine.model = testdata("models/stories260K/stories260K.gguf");
    return settings;
}

static struct backend *open_backend(const struct local_backend_settings *settings) {
    struct backend *backend;
    hearth_error err = {0};
    assert_ok(local_backend_open(&backend, settings, &err), &err);
    return backend;
}

static void ask(struct request *r, const char *text, int64_t max_tokens) {
    request_init(r);
    r->kind = REQUEST_TEXT;
    r->inputs = json_pack("[s]", text);
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = max_tokens;
}

/* ---- conversations ------------------------------------------------------------ */

static void add(json_t *messages, const char *role, const char *content) {
    assert_int_equal(
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", role, "content", content)),
        0);
}

static const char question[] = "And then? What did the cat say when it saw the dog in the park?";

/* A system's message and so many turns, the last one without its answer. */
static void converse(struct request *r, int n_turns) {
    request_init(r);
    r->kind = REQUEST_CHAT;
    r->messages = json_array();
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = 4;
    add(r->messages, "system", "Be brief.");
    for (int i = 0; i < n_turns; i++) {
        add(r->messages, "user", question);
        if (i + 1 < n_turns) add(r->messages, "assistant", "It said that it was a big dog.");
    }
}

static void what_is_oldest_is_left_out(void **state) {
    struct request r;
    struct collected c, fits;
    const struct local_backend_settings settings = settings_of();
    struct backend *backend = open_backend(&settings);
    (void)state;
    converse(&r, 2);
    r.leaves_out_oldest = true;
    collected_run(&fits, backend, &r);
    assert_int_equal(fits.failed, HEARTH_OK);
    assert_int_equal(fits.n_left_out, 0);
    request_release(&r);

    converse(&r, 9);
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(c.message, "the context of 'stories' holds 256"));
    assert_int_equal(c.excess.n_ctx, N_CTX);
    assert_true(c.excess.n_prompt > N_CTX);
    collected_release(&c);
    r.leaves_out_oldest = true;
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_true(c.n_left_out > 0 && c.n_left_out % 2 == 0); /* whole turns */
    assert_true(c.usage.n_prompt <= N_CTX - N_CTX / 8);
    assert_int_equal(json_array_size(r.messages), 18); /* the request is as it was */

    /* What is left is what a shorter conversation is. */
    struct request shorter;
    struct collected same;
    converse(&shorter, 9 - (int)c.n_left_out / 2);
    collected_run(&same, backend, &shorter);
    assert_int_equal(same.usage.n_prompt, c.usage.n_prompt);
    assert_string_equal(buf_text(&same.text[0]), buf_text(&c.text[0]));
    collected_release(&same);
    request_release(&shorter);
    collected_release(&c);
    collected_release(&fits);
    request_release(&r);
    backend_close(backend);
}

/* The last message stays, and then says itself that it is too long. */
static void the_last_message_stays(void **state) {
    struct request r;
    struct collected c;
    char *text = mem_calloc(1, 4001);
    const struct local_backend_settings settings = settings_of();
    struct backend *backend = open_backend(&settings);
    (void)state;
    for (int i = 0; i < 4000; i += 8)
        memcpy(text + i, "one dog ", 8);
    converse(&r, 3);
    add(r.messages, "user", text);
    r.leaves_out_oldest = true;
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    assert_int_equal(c.n_started, 0);
    collected_release(&c);
    request_release(&r);
    backend_close(backend);
    mem_free(text);
}

/* ---- templates ------------------------------------------------------------------ */

static void expect_rendered(const struct local_backend_settings *settings, const char *expected) {
    struct backend *backend = open_backend(settings);
    struct request r;
    struct buf prompt;
    hearth_error err = {0};
    request_init(&r);
    r.kind = REQUEST_CHAT;
    r.messages = json_array();
    add(r.messages, "user", "Hi");
    buf_init(&prompt, 1 << 16);
    assert_ok(backend_render(backend, &r, &prompt, &err), &err);
    assert_string_equal(buf_text(&prompt), expected);
    buf_release(&prompt);
    request_release(&r);
    backend_close(backend);
}

static void templates_come_from_files_or_are_not_used(void **state) {
    static const char chatml[] = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    struct local_backend_settings settings = settings_of();
    struct backend *backend;
    hearth_error err = {0};
    (void)state;
    expect_rendered(&settings, chatml);
    scratch_put_text("own.jinja", "[{{ messages[0].content }}]");
    settings.template_file = scratch("own.jinja");
    expect_rendered(&settings, "[Hi]");
    settings.no_template = true; /* of the model */
    expect_rendered(&settings, "[Hi]");
    settings.template_file = NULL;
    expect_rendered(&settings, chatml);
    scratch_put_text("bad.jinja", "{% for %}");
    settings.template_file = scratch("bad.jinja");
    assert_int_not_equal(local_backend_open(&backend, &settings, &err), HEARTH_OK);
    assert_contains(err.message, "bad.jinja");
    settings.template_file = scratch("none.jinja");
    assert_int_equal(local_backend_open(&backend, &settings, &err), HEARTH_ERROR_NOT_FOUND);
    assert_null(backend);
}

/* Token 2 ends answers; here it is all that is said. */
static void control_tokens_are_shown_when_asked(void **state) {
    const struct local_backend_settings settings = settings_of();
    struct backend *backend = open_backend(&settings);
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Once", 3);
    json_object_set_new(r.sampling, "logit_bias", json_pack("[[i, f]]", 2, 1000.0));
    r.ignore_end = true;
    collected_run(&c, backend, &r);
    assert_int_equal(c.usage.n_answer, 3);
    assert_string_equal(buf_text(&c.text[0]), "");
    collected_release(&c);
    r.shows_control = true;
    collected_run(&c, backend, &r);
    assert_string_equal(buf_text(&c.text[0]), "</s></s></s>");
    collected_release(&c);
    request_release(&r);
    backend_close(backend);
}

/* ---- files ------------------------------------------------------------------------ */

static const char story[] =
    "Once upon a time there was a little girl who lived in a small house near a big forest with "
    "her mother, her father and a cat. Every day she went out to play with the cat, and every day "
    "she came home to eat. One day she saw";

static void prompts_outlive_the_backend(void **state) {
    const struct local_backend_settings settings = settings_of();
    struct backend *backend = open_backend(&settings);
    struct request r;
    struct collected first, again;
    hearth_error err = {0};
    bool complete = true;
    (void)state;
    ask(&r, story, 12);
    assert_int_equal(local_backend_load_prefix(backend, &r, scratch("prompt"), &complete, &err),
                     HEARTH_ERROR_NOT_FOUND);
    assert_false(complete);
    collected_run(&first, backend, &r);
    assert_int_equal(first.usage.n_cached, 0);
    assert_ok(local_backend_save_prefix(backend, &r, scratch("prompt"), &err), &err);
    backend_close(backend);

    backend = open_backend(&settings);
    assert_ok(local_backend_load_prefix(backend, &r, scratch("prompt"), &complete, &err), &err);
    assert_true(complete);
    collected_run(&again, backend, &r);
    assert_int_equal(again.usage.n_cached, 64);
    assert_string_equal(buf_text(&again.text[0]), buf_text(&first.text[0]));
    json_string_set(json_array_get(r.inputs, 0), "Once upon a time");
    assert_ok(local_backend_load_prefix(backend, &r, scratch("prompt"), &complete, &err), &err);
    assert_true(complete); /* there is nothing to keep of it */
    char *longer = mem_calloc(1, 2 * sizeof story);
    snprintf(longer, 2 * sizeof story, "%s a dog that was as big as the house of her father",
             story);
    json_string_set(json_array_get(r.inputs, 0), longer);
    assert_ok(local_backend_load_prefix(backend, &r, scratch("prompt"), &complete, &err), &err);
    assert_false(complete);
    json_array_append_new(r.inputs, json_string("another"));
    assert_int_equal(local_backend_save_prefix(backend, &r, scratch("prompt"), &err),
                     HEARTH_ERROR_ARGUMENT);
    mem_free(longer);
    collected_release(&first);
    collected_release(&again);
    request_release(&r);
    backend_close(backend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_oldest_is_left_out),
        cmocka_unit_test(the_last_message_stays),
        cmocka_unit_test(templates_come_from_files_or_are_not_used),
        cmocka_unit_test(control_tokens_are_shown_when_asked),
        cmocka_unit_test(prompts_outlive_the_backend),
    };
    return cmocka_run_group_tests_name("route/local_prompts", tests, scratch_open, scratch_close);
}
