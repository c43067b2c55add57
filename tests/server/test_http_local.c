/* The server over a model: many streams at once say what each would say alone. */
#include <pthread.h>
#include <string.h>

#include "route/local_backend.h"
#include "serving.h"

enum { CLIENTS = 20 };

struct client {
    unsigned port;
    bool streams;
    char prompt[64];
    struct buf text;
    int status;
};

static struct backend *open_model(void) {
    struct local_backend_settings settings = {.name = "stories"};
    struct backend *backend;
    hearth_error err = {0};
    engine_settings_init(&settings.engine);
    drafting_settings_init(&settings.drafting);
    settings.engine.n_threads = 1;
    settings.engine.n_ctx = 128;
    settings.engine.model = testdata("models/stories260K/stories260K.gguf");
    if (local_backend_open(&backend, &settings, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return backend;
}

static void add_text(struct buf *out, const char *data, size_t n) {
    json_t *piece = json_loadb(data, n, 0, NULL);
    const json_t *choice = json_array_get(json_object_get(piece, "choices"), 0);
    const char *text = json_string_value(json_object_get(choice, "text"));
    if (text) buf_append_text(out, text);
    json_decref(piece);
}

static void read_text(struct client *c, const struct wire_reply *reply) {
    const char *body = buf_text(&reply->body);
    if (!c->streams) {
        add_text(&c->text, body, reply->body.length);
        return;
    }
    for (const char *at = body; (at = strstr(at, "data: {")) != NULL;) {
        at += 6;
        add_text(&c->text, at, strcspn(at, "\n"));
    }
}

static void *ask(void *context) {
    struct client *c = context;
    struct wire_reply reply;
    json_t *body = json_pack("{s:s, s:i, s:f, s:b}", "prompt", c->prompt, "max_tokens", 24,
                             "temperature", 0.0, "stream", (int)c->streams);
    char *text = json_dumps(body, 0);
    c->status = wire_ask(c->port, "POST", "/v1/completions", "", text, &reply);
    buf_init(&c->text, 1 << 16);
    read_text(c, &reply);
    wire_release(&reply);
    free(text);
    json_decref(body);
    return NULL;
}

static void begin(struct client *c, unsigned port, int number, bool streams) {
    static const char *const names[] = {"Tom", "Lily", "A dog", "The sun", "One day"};
    *c = (struct client){.port = port, .streams = streams};
    snprintf(c->prompt, sizeof c->prompt, "%s and %s", names[number % 5], names[number / 5]);
}

static void test_many_streams_are_as_alone(void **state) {
    struct serving s;
    struct client alone, many[CLIENTS];
    pthread_t threads[CLIENTS];
    (void)state;
    serving_begin(&s, open_model(), NULL);
    for (int i = 0; i < CLIENTS; i++) {
        begin(&many[i], s.port, i, true);
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &many[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CLIENTS; i++) {
        begin(&alone, s.port, i, false);
        ask(&alone);
        assert_int_equal(many[i].status, 200);
        assert_true(alone.text.length > 0);
        assert_string_equal(buf_text(&many[i].text), buf_text(&alone.text));
        buf_release(&alone.text);
        buf_release(&many[i].text);
    }
    assert_true(wire_metric(s.port, "hearth_answer_tokens_total") == 2 * CLIENTS * 24);
    assert_true(wire_metric(s.port, "hearth_time_to_first_token_seconds_count") == 2 * CLIENTS);
    serving_end(&s);
}

static void test_tokens(void **state) {
    struct serving s;
    struct wire_reply reply;
    (void)state;
    serving_begin(&s, open_model(), NULL);
    assert_int_equal(wire_ask(s.port, "POST", "/tokenize", "",
                              "{\"content\":\"Once\",\"with_pieces\":true}", &reply),
                     200);
    assert_non_null(strstr(buf_text(&reply.body), "\"piece\":"));
    wire_release(&reply);
    assert_int_equal(
        wire_ask(s.port, "POST", "/detokenize", "", "{\"tokens\":[1,403,200]}", &reply), 200);
    wire_release(&reply);
    assert_int_equal(wire_ask(s.port, "POST", "/detokenize", "", "{\"tokens\":[-1]}", &reply), 400);
    wire_release(&reply);
    assert_int_equal(wire_ask(s.port, "POST", "/apply-template", "",
                              "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", &reply),
                     200);
    assert_non_null(strstr(buf_text(&reply.body), "<|im_start|>user\\nHi<|im_end|>"));
    wire_release(&reply);
    serving_end(&s);
}

/* ---- what cannot be answered is refused, and what comes next is answered ------------------- */

static void expect(const struct serving *s, int status, const char *path, const char *body,
                   const char *part) {
    struct wire_reply reply;
    wire_ask(s->port, "POST", path, "", body, &reply);
    if (reply.status != status || !strstr(buf_text(&reply.body), part))
        fail_msg("%s %.200s: %d %s", path, body, reply.status, buf_text(&reply.body));
    wire_release(&reply);
}

/* The context has 128 tokens. */
static void test_prompts_that_are_too_long(void **state) {
    static const size_t repeats[] = {60, 2000, 1 << 17}; /* up to a megabyte */
    struct serving s;
    (void)state;
    serving_begin(&s, open_model(), NULL);
    for (size_t i = 0; i < sizeof repeats / sizeof repeats[0]; i++) {
        struct buf body;
        buf_init(&body, (size_t)16 << 20);
        buf_append_text(&body, "{\"max_tokens\":4,\"prompt\":\"");
        for (size_t k = 0; k < repeats[i]; k++)
            buf_append_text(&body, "Tom ran ");
        buf_append_text(&body, "\"}");
        expect(&s, 400, "/v1/completions", buf_text(&body), "context");
        buf_release(&body);
    }
    expect(&s, 200, "/v1/completions", "{\"prompt\":\"Tom\",\"max_tokens\":4}", "\"text\"");
    expect(&s, 200, "/v1/completions", "{\"prompt\":\"Tom\",\"max_tokens\":100000}", "length");
    serving_end(&s);
}

/* Whether or not the answer would stream: nothing of it was sent. */
static void test_excess_in_every_dialect(void **state) {
    static const struct {
        const char *path, *before, *after, *part;
    } cases[] = {{"/v1/chat/completions", "\"messages\":[{\"role\":\"user\",\"content\":\"", "\"}]",
                  "\"code\":\"context_length_exceeded\""},
                 {"/v1/completions", "\"prompt\":\"", "\"", "maximum context length is 128 tokens"},
                 {"/v1/responses", "\"input\":\"", "\"", "\"code\":\"context_length_exceeded\""},
                 {"/v1/messages",
                  "\"max_tokens\":4,\"messages\":[{\"role\":\"user\",\"content\":\"", "\"}]",
                  "tokens > 128 maximum"},
                 {"/api/chat", "\"messages\":[{\"role\":\"user\",\"content\":\"", "\"}]",
                  "{\"error\":\"the input length exceeds the context length"},
                 {"/api/generate", "\"prompt\":\"", "\"", "holds 128\"}"}};
    struct serving s;
    (void)state;
    serving_begin(&s, open_model(), NULL);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct buf body;
        buf_init(&body, 1 << 16);
        buf_append_format(&body, "{\"stream\":%s,%s", i % 2 ? "true" : "false",
                          cases[i / 2].before);
        for (size_t k = 0; k < 100; k++)
            buf_append_text(&body, "Tom ran ");
        buf_append_format(&body, "%s}", cases[i / 2].after);
        expect(&s, 400, cases[i / 2].path, buf_text(&body), cases[i / 2].part);
        buf_release(&body);
    }
    serving_end(&s);
}

static void test_forms_that_are_none(void **state) {
    static const char *const forms[] = {
        "\"guided_json\":{\"type\":\"thing\"}",
        "\"guided_json\":{\"$ref\":\"https://elsewhere.example/schema\"}",
        "\"guided_json\":{\"type\":\"string\",\"pattern\":\"(\"}",
        "\"guided_json\":{\"$ref\":\"#/none\"}",
        "\"guided_regex\":\"[a\"",
        "\"grammar\":\"root ::= missing\"",
        "\"grammar\":\"\\u0001\""};
    struct serving s;
    char body[512];
    (void)state;
    serving_begin(&s, open_model(), NULL);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        snprintf(body, sizeof body, "{\"prompt\":\"Tom\",\"max_tokens\":4,%s}", forms[i]);
        expect(&s, 400, "/v1/completions", body, "error");
    }
    expect(&s, 200, "/v1/completions",
           "{\"prompt\":\"Tom\",\"max_tokens\":4,\"guided_regex\":\"a{3}\"}", "\"aaa\"");
    serving_end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_streams_are_as_alone),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_prompts_that_are_too_long),
        cmocka_unit_test(test_excess_in_every_dialect),
        cmocka_unit_test(test_forms_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
