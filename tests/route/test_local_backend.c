/* Requests answered by a small model: what comes, in which order, and what ends it. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "collected.h"
#include "route/local_backend.h"

static struct backend *backend;

/* Of more than one page of the cache, so that it is found again. */
#define LONG_PROMPT                                                                                \
    "Once upon a time there was a little girl who lived in a house at the edge of a big forest. "  \
    "Every day she went to play with her friend, a small brown dog"

static int set_up(void **state) {
    struct local_backend_settings settings = {.name = "stories", .max_waiting = 4};
    hearth_error err = {0};
    (void)state;
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 256;
    settings.engine.model = testdata("models/stories260K/stories260K.gguf");
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    backend_close(backend);
    return 0;
}

/* Continues a text by so many tokens, always the likeliest. */
static void ask(struct request *r, const char *prompt, int64_t max_tokens) {
    request_init(r);
    r->kind = REQUEST_TEXT;
    r->inputs = json_pack("[s]", prompt);
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = max_tokens;
}

static void chat(struct request *r, int64_t max_tokens) {
    request_init(r);
    r->kind = REQUEST_CHAT;
    r->messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Tell me a story.");
    r->sampling = json_pack("{s:f}", "temperature", 0.0);
    r->max_tokens = max_tokens;
}

static void test_text(void **state) {
    struct request r;
    struct collected c, again;
    (void)state;
    ask(&r, LONG_PROMPT, 24);
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.n_started, 1);
    assert_int_equal(c.n_finished, 1);
    assert_int_equal(c.reason, FINISH_LENGTH);
    assert_int_equal(c.usage.n_answer, 24);
    assert_true(c.text[0].length > 24);
    collected_run(&again, backend, &r);
    assert_string_equal(buf_text(&again.text[0]), buf_text(&c.text[0]));
    assert_true(again.usage.n_cached > 0);
    assert_int_equal(again.usage.n_prompt, c.usage.n_prompt);
    collected_release(&c);
    collected_release(&again);
    request_release(&r);
}

static void test_echo(void **state) {
    struct request r;
    struct collected c, whole;
    (void)state;
    ask(&r, "Once upon a time", 0);
    r.echo = true;
    collected_run(&whole, backend, &r);
    assert_non_null(strstr(buf_text(&whole.text[0]), "Once upon a time"));
    assert_int_equal(whole.usage.n_answer, 0);
    r.n_logprobs = 0;
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.usage.n_answer, 0);
    assert_int_equal(c.n_logprobs, c.usage.n_prompt);
    assert_string_equal(buf_text(&c.text[0]), buf_text(&whole.text[0]));
    assert_true(c.logprob < 0 && isfinite(c.logprob));
    collected_release(&whole);
    collected_release(&c);
    r.n_choices = 2; /* and of each choice, with the answer behind it */
    r.max_tokens = 3;
    collected_run(&c, backend, &r);
    assert_int_equal(c.n_logprobs, 2 * c.usage.n_prompt + 6);
    assert_int_equal(c.usage.n_answer, 6);
    collected_release(&c);
    request_release(&r);
}

/* More than may wait: the others follow, and where that is enough, end. */
static void test_very_many_prompts(void **state) {
    enum { MANY = 300 };
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Once", 3);
    for (int i = 1; i < MANY; i++)
        json_array_append_new(r.inputs, json_sprintf("Once %d", i));
    collected_run(&c, backend, &r);
    if (c.failed != HEARTH_OK) fail_msg("%s", c.message);
    assert_int_equal(c.n_finished, MANY);
    assert_int_equal(c.usage.n_answer, 3 * MANY);
    collected_release(&c);
    r.max_tokens = 60;
    collected_init(&c);
    assert_int_equal(collected_start(&c, backend, &r, NULL), HEARTH_OK);
    collected_await(&c, 20);
    job_cancel(c.job);
    collected_finish(&c);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.n_finished, MANY);
    assert_int_equal(c.reason, FINISH_CANCELLED);
    assert_true(c.usage.n_answer < 60 * MANY);
    collected_release(&c);
    request_release(&r);
}

/* What ends an answer, and what form it must have, is nothing to the prompt before it. */
static void test_echo_before_stops_and_forms(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Once upon a time", 8);
    r.echo = true;
    r.n_logprobs = 0;
    r.stops = json_pack("[s, s]", "upon", "time never");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.usage.n_answer, 8);
    assert_int_equal(c.n_logprobs, c.usage.n_prompt + 8);
    assert_non_null(strstr(buf_text(&c.text[0]), "Once upon a time"));
    collected_release(&c);
    r.constraint = CONSTRAINT_CHOICE;
    r.constraint_schema = json_pack("[s, s]", " yes", " no");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    if (!strstr(buf_text(&c.text[0]), "time yes"))
        assert_non_null(strstr(buf_text(&c.text[0]), "time no"));
    collected_release(&c);
    request_release(&r);
}

static void test_only_text_is_read(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "One", 1);
    r.kind = REQUEST_CHAT;
    r.messages =
        json_pack("[{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}}]}]", "role", "user", "content", "type",
                  "text", "text", "See", "type", "image_url", "image_url", "url", "data:,");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(c.message, "messages[0].content[1]"));
    assert_non_null(strstr(c.message, "'image_url'"));
    assert_int_equal(c.n_started, 0);
    collected_release(&c);
    json_array_remove(json_object_get(json_array_get(r.messages, 0), "content"), 1);
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    collected_release(&c);
    request_release(&r);
}

static void test_chat_and_count(void **state) {
    struct request r;
    struct collected c, counted;
    (void)state;
    chat(&r, 8);
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    assert_int_equal(c.usage.n_answer, 8);
    r.kind = REQUEST_COUNT;
    collected_run(&counted, backend, &r);
    assert_int_equal(counted.usage.n_prompt, c.usage.n_prompt);
    assert_int_equal(counted.usage.n_answer, 0);
    assert_int_equal(counted.n_finished, 0);
    collected_release(&c);
    collected_release(&counted);
    request_release(&r);
}

static void test_stop_text(void **state) {
    struct request r;
    struct collected c, cut;
    (void)state;
    ask(&r, "Once upon a time", 40);
    collected_run(&c, backend, &r);
    char *word = mem_strndup(buf_text(&c.text[0]) + 20, 5);
    r.stops = json_pack("[s, s]", "never to be found", word);
    r.n_logprobs = 0;
    collected_run(&cut, backend, &r);
    assert_int_equal(cut.reason, FINISH_STOP_TEXT);
    assert_string_equal(cut.stop_text, word);
    assert_null(strstr(buf_text(&cut.text[0]), word));
    assert_memory_equal(buf_text(&cut.text[0]), buf_text(&c.text[0]), cut.text[0].length);
    mem_free(word);
    collected_release(&c);
    collected_release(&cut);
    request_release(&r);
}

static void test_logprobs(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Once upon a time", 16);
    r.n_logprobs = 3;
    collected_run(&c, backend, &r);
    assert_int_equal(c.n_logprobs, 16);
    assert_int_equal(c.n_top, 3);
    assert_true(c.logprob < 0 && isfinite(c.logprob));
    assert_string_equal(buf_text(&c.token_text), buf_text(&c.text[0]));
    collected_release(&c);
    request_release(&r);
}

static void test_choices_differ_by_seed(void **state) {
    struct request r;
    struct collected c, again;
    (void)state;
    ask(&r, "One day", 20);
    json_decref(r.sampling);
    r.sampling = json_pack("{s:f, s:i}", "temperature", 1.5, "seed", 7);
    r.n_choices = 3;
    collected_run(&c, backend, &r);
    assert_int_equal(c.n_finished, 3);
    assert_string_not_equal(buf_text(&c.text[0]), buf_text(&c.text[1]));
    assert_string_not_equal(buf_text(&c.text[1]), buf_text(&c.text[2]));
    collected_run(&again, backend, &r);
    for (int i = 0; i < 3; i++)
        assert_string_equal(buf_text(&c.text[i]), buf_text(&again.text[i]));
    collected_release(&c);
    collected_release(&again);
    request_release(&r);
}

static void test_several_inputs(void **state) {
    struct request r;
    struct collected c, alone;
    (void)state;
    ask(&r, "One day", 12);
    collected_run(&alone, backend, &r);
    json_array_insert_new(r.inputs, 0, json_string("Tom had"));
    collected_run(&c, backend, &r);
    assert_int_equal(c.n_finished, 2);
    assert_string_equal(buf_text(&c.text[1]), buf_text(&alone.text[0]));
    assert_string_not_equal(buf_text(&c.text[0]), buf_text(&c.text[1]));
    collected_release(&c);
    collected_release(&alone);
    request_release(&r);
}

/* ---- sampling -------------------------------------------------------------------------- */

static void test_settings_are_heard(void **state) {
    struct request r;
    struct collected c, banned;
    json_t *ids = json_array();
    struct backend_text text = {.data = " was", .length = 4};
    (void)state;
    ask(&r, "Once upon a time, there", 1);
    collected_run(&c, backend, &r);
    text.data = buf_text(&c.text[0]);
    text.length = c.text[0].length;
    assert_int_equal(backend_tokenize(backend, &text, ids, NULL), HEARTH_OK);
    json_t *last = json_array_get(ids, json_array_size(ids) - 1);
    json_object_set_new(r.sampling, "logit_bias", json_pack("[[O, b]]", last, 0));
    collected_run(&banned, backend, &r);
    assert_string_not_equal(buf_text(&c.text[0]), buf_text(&banned.text[0]));
    collected_release(&banned);
    json_object_set_new(r.sampling, "logit_bias",
                        json_pack("[[s, b]]", buf_text(&c.text[0]), 0)); /* each of its tokens */
    collected_run(&banned, backend, &r);
    assert_int_equal(banned.failed, HEARTH_OK);
    assert_string_not_equal(buf_text(&c.text[0]), buf_text(&banned.text[0]));
    json_decref(ids);
    collected_release(&c);
    collected_release(&banned);
    request_release(&r);
}

static void test_impossible_settings(void **state) {
    static const struct {
        const char *sampling, *says;
    } cases[] = {{"{\"temperature\":-1}", "temperature"},
                 {"{\"top_k\":1.5}", "top_k"},
                 {"{\"top_p\":\"all\"}", "top_p"},
                 {"{\"min_keep\":-1}", "min_keep"},
                 {"{\"seed\":\"x\"}", "seed"},
                 {"{\"temperature\":1e300}", "temperature"},
                 {"{\"logit_bias\":{\"x\":1}}", "logit_bias"},
                 {"{\"logit_bias\":[[99999999,1]]}", "logit_bias"},
                 {"{\"logit_bias\":[5]}", "logit_bias"},
                 {"{\"dry_multiplier\":1,\"dry_sequence_breakers\":[1]}", "dry_sequence_breakers"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request r;
        struct collected c;
        ask(&r, "One", 1);
        json_decref(r.sampling);
        r.sampling = json_loads(cases[i].sampling, 0, NULL);
        assert_non_null(r.sampling);
        collected_run(&c, backend, &r);
        assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
        if (!strstr(c.message, cases[i].says)) fail_msg("%s: %s", cases[i].sampling, c.message);
        collected_release(&c);
        request_release(&r);
    }
}

/* ---- what cannot be answered --------------------------------------------------------------- */

static void test_refusals(void **state) {
    struct request r;
    struct collected c;
    hearth_error err = {0};
    (void)state;
    ask(&r, "One", 1);
    r.model = mem_strdup("another");
    collected_init(&c);
    assert_int_equal(collected_start(&c, backend, &r, &err), HEARTH_ERROR_NOT_FOUND);
    collected_release(&c);
    mem_free(r.model);
    r.model = mem_strdup("stories:latest");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_OK);
    collected_release(&c);

    json_array_set_new(r.inputs, 0, json_array());
    for (int i = 0; i < 300; i++)
        json_array_append_new(json_array_get(r.inputs, 0), json_integer(5));
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(c.message, "300 tokens"));
    assert_int_equal(c.n_started, 0);
    collected_release(&c);

    json_array_set_new(json_array_get(r.inputs, 0), 0, json_integer(1 << 20));
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_ARGUMENT);
    collected_release(&c);

    json_array_set_new(r.inputs, 0, json_string("x"));
    r.adapters = json_pack("[{s:s}]", "name", "mine");
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(c.message, "there are none"));
    collected_release(&c);
    json_array_clear(r.adapters);

    r.suffix = mem_strdup(" end."); /* the vocabulary has no tokens for a gap */
    collected_run(&c, backend, &r);
    assert_int_equal(c.failed, HEARTH_ERROR_UNSUPPORTED);
    collected_release(&c);
    request_release(&r);
}

/* ---- several jobs --------------------------------------------------------------------------- */

/* An answer that does not end before it is cancelled, with one event at least. */
static void occupy(struct collected *c, struct request *r) {
    ask(r, "Once upon a time", -1);
    r->ignore_end = true;
    r->n_choices = REQUEST_MAX_CHOICES;
    collected_init(c);
    assert_int_equal(collected_start(c, backend, r, NULL), HEARTH_OK);
    collected_await(c, 2);
}

static void test_queue_is_bounded(void **state) {
    struct request busy, r;
    struct collected first, waiting[4], refused;
    hearth_error err = {0};
    (void)state;
    occupy(&first, &busy);
    ask(&r, "One day", 4);
    for (int i = 0; i < 4; i++) {
        collected_init(&waiting[i]);
        assert_int_equal(collected_start(&waiting[i], backend, &r, NULL), HEARTH_OK);
    }
    collected_init(&refused);
    assert_int_equal(collected_start(&refused, backend, &r, &err), HEARTH_ERROR_LIMIT);
    collected_release(&refused);
    job_cancel(first.job);
    collected_finish(&first);
    assert_int_equal(first.reason, FINISH_CANCELLED);
    for (int i = 0; i < 4; i++) {
        collected_finish(&waiting[i]);
        assert_int_equal(waiting[i].usage.n_answer, 4);
        assert_string_equal(buf_text(&waiting[i].text[0]), buf_text(&waiting[0].text[0]));
    }
    for (int i = 0; i < 4; i++)
        collected_release(&waiting[i]);
    collected_release(&first);
    request_release(&busy);
    request_release(&r);
}

/* Of four places one client may have three. */
static void test_no_client_fills_the_queue(void **state) {
    struct request busy, r;
    struct collected first, waiting[4], refused;
    hearth_error err = {0};
    (void)state;
    occupy(&first, &busy);
    ask(&r, "One day", 4);
    for (int i = 0; i < 4; i++) {
        r.client = i < 3 ? 1 : 2;
        collected_init(&waiting[i]);
        assert_int_equal(collected_start(&waiting[i], backend, &r, NULL), HEARTH_OK);
        if (i != 2) continue;
        collected_init(&refused);
        assert_int_equal(collected_start(&refused, backend, &r, &err), HEARTH_ERROR_LIMIT);
        assert_non_null(strstr(err.message, "3 of your requests"));
        collected_release(&refused);
    }
    job_cancel(first.job);
    collected_finish(&first);
    for (int i = 0; i < 4; i++) {
        collected_finish(&waiting[i]);
        assert_int_equal(waiting[i].usage.n_answer, 4);
        collected_release(&waiting[i]);
    }
    collected_release(&first);
    request_release(&busy);
    request_release(&r);
}

/* The one that waits hears so while the other still runs. */
static void test_cancel_while_waiting(void **state) {
    struct request busy, r;
    struct collected first, second;
    (void)state;
    occupy(&first, &busy);
    ask(&r, "One day", 4);
    collected_init(&second);
    assert_int_equal(collected_start(&second, backend, &r, NULL), HEARTH_OK);
    job_cancel(second.job);
    job_cancel(second.job);
    collected_finish(&second);
    assert_int_equal(second.reason, FINISH_CANCELLED);
    assert_int_equal(second.n_started, 0);
    assert_int_equal(second.usage.n_answer, 0);
    job_cancel(first.job);
    collected_finish(&first);
    collected_release(&first);
    collected_release(&second);
    request_release(&busy);
    request_release(&r);
}

static void test_nobody_listens(void **state) {
    struct request r;
    struct collected c;
    (void)state;
    ask(&r, "Once upon a time", -1);
    r.ignore_end = true;
    collected_init(&c);
    c.most = 3;
    assert_int_equal(collected_start(&c, backend, &r, NULL), HEARTH_OK);
    collected_finish(&c);
    assert_int_equal(c.n_events, 3);
    collected_release(&c);
    request_release(&r);
}

static void test_tokens_and_texts(void **state) {
    struct backend_text text = {.data = "Once upon", .length = 9};
    json_t *ids = json_array(), *status = json_object(), *models = json_array();
    struct buf back;
    (void)state;
    buf_init(&back, 1024);
    assert_int_equal(backend_tokenize(backend, &text, ids, NULL), HEARTH_OK);
    assert_true(json_array_size(ids) > 0);
    assert_int_equal(backend_detokenize(backend, NULL, ids, &back, NULL), HEARTH_OK);
    assert_non_null(strstr(buf_text(&back), "Once upon"));
    assert_int_equal(backend_detokenize(backend, "other", ids, &back, NULL),
                     HEARTH_ERROR_NOT_FOUND);
    assert_int_equal(backend_status(backend, status, NULL), HEARTH_OK);
    assert_int_equal(json_integer_value(json_object_get(status, "threads")), 1);
    assert_int_equal(backend_list_models(backend, models, NULL), HEARTH_OK);
    assert_string_equal(json_string_value(json_object_get(json_array_get(models, 0), "family")),
                        "llama");
    buf_release(&back);
    json_decref(ids);
    json_decref(status);
    json_decref(models);
}

int main(void) {
    if (!testdata_is_there("models/stories260K/stories260K.gguf")) return TEST_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_echo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_very_many_prompts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_echo_before_stops_and_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_text_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chat_and_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_logprobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_choices_differ_by_seed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_inputs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settings_are_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_impossible_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_client_fills_the_queue, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_while_waiting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_listens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tokens_and_texts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
