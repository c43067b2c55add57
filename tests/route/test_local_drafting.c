/* Answers of a small model with every kind of draft: the same texts, and how much was drafted. */
#include <string.h>

#include "base/mem.h"
#include "collected.h"
#include "marked_ember.h"
#include "route/local_backend.h"

enum { N_ASKED = 3 };

static const char *model_path(void) {
    return testdata("models/stories260K/stories260K.gguf");
}

static struct local_backend_settings settings_of(int type) {
    struct local_backend_settings settings = {.name = "stories"};
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 256;
    settings.engine.model = model_path();
    settings.drafting.type = type;
    settings.drafting.least = 3; /* whether it pays or not */
    settings.drafting.min_probability = 0;
    return settings;
}

/* Several answers at once, then one alone; the texts one after the other. */
static struct event_usage ask(const struct local_backend_settings *settings, struct buf *texts) {
    static const char *const prompts[N_ASKED] = {"Once upon a time", "Tom had a red ball", "One"};
    struct backend *backend;
    struct request requests[N_ASKED];
    struct collected answers[N_ASKED];
    struct event_usage usage = {0};
    hearth_error err = {0};
    if (local_backend_open(&backend, settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    for (int i = 0; i < N_ASKED; i++) {
        struct request *r = &requests[i];
        request_init(r);
        r->kind = REQUEST_TEXT;
        r->inputs = json_pack("[s]", prompts[i]);
        r->sampling = json_pack("{s:f}", "temperature", 0.0);
        r->max_tokens = 60;
        collected_init(&answers[i]);
        assert_int_equal(collected_start(&answers[i], backend, r, &err), HEARTH_OK);
        if (i == 1) collected_finish(&answers[0]); /* the others may go on together */
    }
    for (int i = 1; i < N_ASKED; i++)
        collected_finish(&answers[i]);
    for (int i = 0; i < N_ASKED; i++) {
        struct collected *c = &answers[i];
        assert_int_equal(c->failed, HEARTH_OK);
        buf_append(texts, buf_text(&c->text[0]), c->text[0].length + 1);
        usage.n_drafted += c->usage.n_drafted;
        usage.n_accepted += c->usage.n_accepted;
        collected_release(c);
        request_release(&requests[i]);
    }
    backend_close(backend);
    return usage;
}

static void drafts_change_no_answer(void **state) {
    static const int types[] = {DRAFTING_AUTO, DRAFTING_NGRAM, DRAFTING_MODEL};
    struct local_backend_settings settings = settings_of(DRAFTING_NONE);
    struct buf plain, drafted;
    (void)state;
    buf_init(&plain, 1 << 16);
    buf_init(&drafted, 1 << 16);
    struct event_usage usage = ask(&settings, &plain);
    assert_int_equal(usage.n_drafted + usage.n_accepted, 0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        settings = settings_of(types[i]);
        /* The model itself, which is always right. */
        if (types[i] == DRAFTING_MODEL) settings.drafting.model = model_path();
        usage = ask(&settings, &drafted);
        assert_int_equal(drafted.length, plain.length);
        assert_memory_equal(drafted.data, plain.data, plain.length);
        assert_true(usage.n_drafted > 10 && usage.n_accepted <= usage.n_drafted);
        if (types[i] == DRAFTING_MODEL) assert_true(usage.n_accepted > 20);
        drafted.length = 0;
    }
    buf_release(&plain);
    buf_release(&drafted);
}

/* Calls that the model begins by itself. */
static uint64_t call_tools(const struct marked_ember *ember, int drafting, struct buf *calls) {
    struct backend *backend = marked_ember_open(ember, drafting);
    struct request r;
    struct collected c;
    request_init(&r);
    r.messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Well?");
    r.tools = json_pack("[{s:s, s:{s:s, s:{s:s, s:{s:{s:s}, s:{s:[s,s]}}, s:[s,s]}}}]", "type",
                        "function", "function", "name", "weather", "parameters", "type", "object",
                        "properties", "days", "type", "integer", "city", "enum", "Paris", "Rome",
                        "required", "days", "city");
    r.sampling = json_pack("{s:f, s:[[i, f]]}", "temperature", 0.0, "logit_bias", 2043, 100.0);
    r.max_tokens = 400;
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_true(c.n_calls >= 1);
    buf_append(calls, buf_text(&c.calls), c.calls.length);
    buf_append(calls, buf_text(&c.text[0]), c.text[0].length);
    uint64_t n_drafted = c.usage.n_drafted;
    collected_release(&c);
    request_release(&r);
    backend_close(backend);
    return n_drafted;
}

static void drafts_change_no_call(void **state) {
    static const int types[] = {DRAFTING_NGRAM, DRAFTING_MODEL};
    struct marked_ember ember;
    struct buf plain, drafted;
    (void)state;
    buf_init(&plain, 1 << 16);
    buf_init(&drafted, 1 << 16);
    marked_ember_make(&ember);
    assert_int_equal(call_tools(&ember, DRAFTING_NONE, &plain), 0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_true(call_tools(&ember, types[i], &drafted) > 10);
        assert_string_equal(buf_text(&drafted), buf_text(&plain));
        buf_clear(&drafted);
    }
    marked_ember_remove(&ember);
    buf_release(&plain);
    buf_release(&drafted);
}

static void expect_refused(const struct local_backend_settings *settings, hearth_status status,
                           const char *says) {
    struct backend *backend;
    hearth_error err = {0};
    assert_int_equal(local_backend_open(&backend, settings, &err), status);
    assert_null(backend);
    if (!strstr(err.message, says)) fail_msg("'%s' does not say '%s'", err.message, says);
}

/* Both models within the memory that they may have, or none. */
static void drafting_counts_as_memory(void **state) {
    unsigned n_opened = 0, n_refused = 0;
    (void)state;
    for (uint64_t kib = 1024; kib <= 32 * 1024; kib += kib / 4) {
        struct local_backend_settings settings = settings_of(DRAFTING_MODEL);
        struct backend *backend;
        json_t *status = json_object();
        settings.drafting.model = model_path();
        settings.max_bytes = kib << 10;
        if (local_backend_open(&backend, &settings, NULL) == HEARTH_OK) {
            assert_int_equal(backend_status(backend, status, NULL), HEARTH_OK);
            json_int_t used = json_integer_value(json_object_get(status, "models_bytes"));
            if ((uint64_t)used > settings.max_bytes)
                fail_msg("%lld bytes are used of %llu", (long long)used,
                         (unsigned long long)settings.max_bytes);
            n_opened++;
        } else
            n_refused++;
        backend_close(backend);
        json_decref(status);
    }
    assert_true(n_opened > 0 && n_refused > 0);
}

static void what_cannot_draft_is_refused(void **state) {
    struct local_backend_settings settings = settings_of(DRAFTING_MTP);
    (void)state;
    expect_refused(&settings, HEARTH_ERROR_UNSUPPORTED, "no heads for further tokens");
    settings = settings_of(DRAFTING_MODEL);
    expect_refused(&settings, HEARTH_ERROR_ARGUMENT, "no draft model given");
    settings.drafting.model = "/nowhere/at-all.gguf";
    expect_refused(&settings, HEARTH_ERROR_NOT_FOUND, "cannot draft with '/nowhere/at-all.gguf'");
    settings.drafting.most = 0; /* nothing is to be drafted, so nothing is opened */
    struct buf texts;
    buf_init(&texts, 1 << 16);
    assert_int_equal(ask(&settings, &texts).n_drafted, 0);
    buf_release(&texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drafts_change_no_answer),
        cmocka_unit_test(drafting_counts_as_memory),
        cmocka_unit_test(drafts_change_no_call),
        cmocka_unit_test(what_cannot_draft_is_refused),
    };
    return cmocka_run_group_tests_name("route/local_drafting", tests, NULL, NULL);
}
