/* Requests that nobody sends who means well: broken JSON, fields of every type, heads that say two
 * things, floods. Whatever comes is answered in HTTP, as the client's mistake or as what it asks
 * for, and the server goes on. */
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../chat/openapi_schema.h"
#include "serving.h"

static const struct script hello = {.pieces = {"Hello", " there"}, .n_pieces = 2, .rounds = 1};
static struct serving s;

static int set_up(void **state) {
    const struct http_server_settings settings = {.slot_folder = "slots"};
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    return 0;
}

/* ---- requests by the dozen ------------------------------------------------------------------ */

enum { TOGETHER = 64 };

/* Requests that go out in one piece, so that thousands of them take no time, and what their answers
 * must be: `status`, or where that is 0 an answer or a refusal. */
struct client {
    int fd;
    int status;
    struct buf out;
    char *bodies[TOGETHER]; /* for messages */
    size_t n_waiting, n_asked;
};

static void client_begin(struct client *c, int status) {
    *c = (struct client){.fd = wire_connect(s.port), .status = status};
    buf_init(&c->out, (size_t)1 << 24);
}

/* A mistake is said in JSON. */
static void check_reply(const struct client *c, const char *body, const struct wire_reply *reply) {
    bool refused = reply->status == 400 || reply->status == 404;
    bool right = c->status ? reply->status == c->status : reply->status == 200 || refused;
    if (!reply->whole || !right) fail_msg("%s: %d %s", body, reply->status, buf_text(&reply->body));
    if (!refused) return;
    json_t *error = wire_json(reply);
    assert_non_null(json_object_get(error, "error"));
    json_decref(error);
}

static void flush(struct client *c) {
    struct wire_reply reply;
    wire_send(c->fd, buf_text(&c->out), c->out.length);
    for (size_t i = 0; i < c->n_waiting; i++) {
        wire_read(c->fd, &reply);
        check_reply(c, c->bodies[i], &reply);
        wire_release(&reply);
        free(c->bodies[i]);
    }
    buf_clear(&c->out);
    c->n_waiting = 0;
}

static void post(struct client *c, const char *path, const char *body, size_t n) {
    buf_append_format(&c->out, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
                      path, n);
    buf_append(&c->out, body, n);
    assert_false(c->out.failed);
    c->bodies[c->n_waiting] = strndup(body, n);
    c->n_asked++;
    if (++c->n_waiting == TOGETHER) flush(c);
}

static void client_end(struct client *c) {
    flush(c);
    close(c->fd);
    buf_release(&c->out);
}

static void still_answers(void) {
    struct wire_reply reply;
    assert_int_equal(wire_ask(s.port, "GET", "/health", "", NULL, &reply), 200);
    wire_release(&reply);
}

/* ---- broken JSON --------------------------------------------------------------------------- */

static const struct {
    const char *path, *body;
} bodies[] = {
    {"/v1/chat/completions",
     "{\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9 \xc3\xa9\"}],\"max_tokens\":5}"},
    {"/v1/completions", "{\"prompt\":[\"a\",\"b\"],\"temperature\":0.5,\"stop\":null}"},
    {"/v1/embeddings", "{\"input\":[[1,2],[3]],\"encoding_format\":\"base64\"}"},
    {"/v1/responses", "{\"input\":[{\"role\":\"user\",\"content\":\"hi\"}],\"store\":false}"},
    {"/v1/messages", "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
    {"/v1/messages/count_tokens", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
    {"/api/chat", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":false}"},
    {"/api/generate", "{\"prompt\":\"hi\",\"options\":{\"seed\":-1e0},\"stream\":false}"},
    {"/api/embed", "{\"input\":\"hi\",\"keep_alive\":\"5m\"}"},
    {"/infill", "{\"input_prefix\":\"a\",\"input_suffix\":\"b\"}"},
    {"/v1/rerank", "{\"query\":\"q\",\"documents\":[{\"text\":\"d\"}]}"},
    {"/lora-adapters?model=a", "[{\"id\":0,\"scale\":0.5}]"},
    {"/slots/0?action=save", "{\"filename\":\"story.bin\",\"model\":\"m\"}"},
};
enum { N_BODIES = sizeof bodies / sizeof bodies[0] };

static void test_bodies_that_are_right(void **state) {
    struct client c;
    (void)state;
    client_begin(&c, 200);
    for (size_t i = 0; i < N_BODIES; i++)
        post(&c, bodies[i].path, bodies[i].body, strlen(bodies[i].body));
    client_end(&c);
}

/* A text whose last brace is missing is no object any more. */
static void test_bodies_cut_at_every_byte(void **state) {
    struct client c;
    (void)state;
    client_begin(&c, 400);
    for (size_t i = 0; i < N_BODIES; i++)
        for (size_t k = 0; k < strlen(bodies[i].body); k++)
            post(&c, bodies[i].path, bodies[i].body, k);
    assert_true(c.n_asked > 500);
    client_end(&c);
}

static void test_bodies_wrong_at_every_byte(void **state) {
    static const char wrong[] = {'\0', '\xff', '\xc0', '"', '}', '{', '9', '\n'};
    struct client c;
    char body[256];
    (void)state;
    client_begin(&c, 0);
    for (size_t i = 0; i < N_BODIES; i++)
        for (size_t k = 0, n = strlen(bodies[i].body); k < n; k++)
            for (size_t w = 0; w < sizeof wrong; w++) {
                snprintf(body, sizeof body, "%s", bodies[i].body);
                body[k] = wrong[w];
                post(&c, bodies[i].path, body, n);
            }
    client_end(&c);
    still_answers();
}

/* ---- fields of every type -------------------------------------------------------------------- */

static const char *const values[] = {
    "null", "true",   "7",  "-9223372036854775808", "1e300", "\"\"", "\"x\\u0000y\"",
    "[]",   "[null]", "{}", "{\"x\":[{}]}"};

struct field_check {
    struct client client;
    const char *path;  /* of the endpoint */
    const char *least; /* a body that is right */
    size_t n_fields;
};

/* What lies between is made: "a[].b" becomes {"a":[{"b":value}]}. */
static void set_at(json_t *object, const char *field, json_t *value) {
    size_t n = strcspn(field, ".[");
    bool in_list = strncmp(field + n, "[]", 2) == 0;
    const char *rest = field + n + (in_list ? 2 : 0);
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)n, field);
    if (!*rest) {
        json_object_set_new(object, name, in_list ? json_pack("[o]", value) : value);
        return;
    }
    while (strncmp(rest, "[]", 2) == 0) /* lists of lists are made as lists */
        rest += 2;
    json_t *inner = json_object_get(object, name);
    if (in_list) inner = json_array_get(inner, 0);
    if (!json_is_object(inner)) {
        inner = json_object();
        json_object_set_new(object, name, in_list ? json_pack("[o]", inner) : inner);
    }
    set_at(inner, rest + (*rest == '.'), value);
}

static void try_field(void *context, const char *field) {
    struct field_check *check = context;
    check->n_fields++;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        json_t *body = json_loads(check->least, 0, NULL);
        json_t *value = json_loads(values[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_true(body && value);
        set_at(body, field, value);
        char *text = json_dumps(body, JSON_COMPACT);
        post(&check->client, check->path, text, strlen(text));
        free(text);
        json_decref(body);
    }
}

static void test_described_fields_of_every_type(void **state) {
    static const struct {
        const char *schema, *path, *least;
    } endpoints[] = {
        {"CreateChatCompletionRequest", "/v1/chat/completions",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
        {"CreateCompletionRequest", "/v1/completions", "{\"prompt\":\"hi\"}"},
        {"CreateEmbeddingRequest", "/v1/embeddings", "{\"input\":\"hi\"}"},
        {"CreateResponse", "/v1/responses", "{\"input\":\"hi\"}"},
    };
    struct openapi *api = openapi_open(testdata("openai-api/openapi.yaml"));
    (void)state;
    assert_non_null(api);
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        struct field_check check = {.path = endpoints[i].path, .least = endpoints[i].least};
        client_begin(&check.client, 0);
        openapi_each_field(api, endpoints[i].schema, 2, try_field, &check);
        assert_true(check.n_fields >= 5);
        client_end(&check.client);
    }
    openapi_close(api);
    still_answers();
}

/* ---- contents ----------------------------------------------------------------------------------
 */

static void expect(int status, const char *path, const char *body, const char *part) {
    struct wire_reply reply;
    if (wire_ask(s.port, "POST", path, "", body, &reply) != status ||
        !strstr(buf_text(&reply.body), part))
        fail_msg("%s %.200s: %d %s", path, body, reply.status, buf_text(&reply.body));
    wire_release(&reply);
}

static void test_contents(void **state) {
    (void)state;
    expect(400, "/v1/chat/completions", "{\"messages\":[{\"role\":\"root\",\"content\":\"hi\"}]}",
           "messages[0].role");
    expect(400, "/v1/messages",
           "{\"max_tokens\":5,\"messages\":[{\"role\":\"tool\",\"content\":\"hi\"}]}",
           "messages[0].role");
    expect(400, "/api/chat", "{\"messages\":[{\"role\":\"\",\"content\":\"hi\"}]}", "role");
    expect(400, "/v1/chat/completions", "{\"messages\":[]}", "messages");
    expect(404, "/v1/completions", "{\"model\":\"unknown\",\"prompt\":\"hi\"}", "model_not_found");
    expect(404, "/api/generate", "{\"model\":\"unknown\",\"prompt\":\"hi\"}", "unknown");
    expect(400, "/v1/chat/completions",
           "{\"messages\":[{\"role\":\"user\",\"content\":\"\xed\xa0\x80\"}]}", "not valid JSON");
    expect(400, "/v1/chat/completions",
           "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}", "not valid JSON");
    expect(400, "/v1/completions", "{\"prompt\":\"hi\",\"logit_bias\":{\"-1\":1}}", "logit_bias");
    expect(400, "/v1/completions", "{\"prompt\":\"hi\",\"max_tokens\":-7}", "max_tokens");
    expect(400, "/v1/completions", "{\"prompt\":\"hi\",\"temperature\":1e999}", "too large");
}

static void test_prompt_of_ten_megabytes(void **state) {
    struct buf body;
    (void)state;
    buf_init(&body, (size_t)16 << 20);
    buf_append_text(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    for (size_t i = 0; i < 10 << 20; i += 16)
        buf_append_text(&body, "sixteen letters ");
    buf_append_text(&body, "\"}]}");
    expect(200, "/v1/chat/completions", buf_text(&body), "Hello there");
    buf_release(&body);
}

/* ---- names of files ------------------------------------------------------------------------- */

static int save_as(const char *name) {
    struct wire_reply reply;
    json_t *body = json_pack("{s:s}", "filename", name);
    char *text = json_dumps(body, 0);
    int status = wire_ask(s.port, "POST", "/slots/0?action=save", "", text, &reply);
    wire_release(&reply);
    free(text);
    json_decref(body);
    return status;
}

/* Whatever is saved lies in the folder, under the very name. */
static void test_names_with_every_byte(void **state) {
    unsigned n_saved = 0;
    (void)state;
    for (int i = 0; i < 3 * 0x80; i++) {
        char name[8] = "abcd", path[16];
        if (i % 0x80 == 0) continue;
        name[i / 0x80] = (char)(i % 0x80);
        snprintf(path, sizeof path, "slots/%s", name);
        int status = save_as(name);
        assert_true(status == 200 || status == 400);
        if (status == 400) continue;
        n_saved++;
        assert_string_equal(scripted_counts(s.backend).slot_path, path);
        assert_null(strpbrk(name, "/\\:\r\n"));
        assert_int_not_equal(name[0], '.');
    }
    assert_true(n_saved > 3 * 62);
    assert_int_equal(save_as("\xe2\x80\xae.bin"), 200);
    still_answers();
}

static void test_numbers_of_slots(void **state) {
    static const char *const paths[] = {"/slots/",
                                        "/slots/-0?action=erase",
                                        "/slots/0x1?action=erase",
                                        "/slots/%30%2f..?action=erase",
                                        "/slots/99999999999999999999?action=erase",
                                        "/slots/0?action=",
                                        "/slots/0?action=%ff&action=erase",
                                        "/slots/..%2fslots?action=erase"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct wire_reply reply;
        int status = wire_ask(s.port, "POST", paths[i], "", "{}", &reply);
        if (status != 400 && status != 404) fail_msg("%s: %d", paths[i], status);
        wire_release(&reply);
    }
    assert_string_equal(scripted_counts(s.backend).slot_path, "");
    still_answers();
}

/* ---- heads
 * ---------------------------------------------------------------------------------------- */

#define HOST "Host: localhost\r\n"
#define SECOND "GET /metrics HTTP/1.1\r\n" HOST "\r\n"

/* What can be read in two ways is read in none: no answer to the second request comes out of the
 * first one's body. */
static const char *const heads[] = {
    "GET /health HTTP/1.1\r\n" HOST "Content-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n"
    "0\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
    "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n"
    "0\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST
    "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Content-Length: 0, 44\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Content-Length: 0x0\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST
    "Content-Length: 99999999999999999999999\r\n\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
    "ffffffffffffffffffff\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n" SECOND,
    "POST /v1/completions HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n" SECOND,
};

static void test_heads_that_say_two_things(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char block[4096];
        ssize_t n;
        struct buf all;
        buf_init(&all, 1 << 20);
        int fd = wire_connect(s.port);
        wire_send_text(fd, heads[i]);
        shutdown(fd, SHUT_WR);
        while ((n = recv(fd, block, sizeof block, 0)) > 0)
            buf_append(&all, block, (size_t)n);
        close(fd);
        if (strstr(buf_text(&all), " 200 ")) fail_msg("%s\n---\n%s", heads[i], buf_text(&all));
        buf_release(&all);
    }
    still_answers();
}

static void test_targets(void **state) {
    static const char *const targets[] = {"/%252e%252e/%252e%252e/etc/passwd",
                                          "/..%5c..%5cetc%5cpasswd",
                                          "/..\\..\\etc\\passwd",
                                          "/%c0%ae%c0%ae/etc/passwd",
                                          "/assets/....//....//etc/passwd",
                                          "//etc/passwd",
                                          "/etc/passwd%00.html",
                                          "http://localhost/../etc/passwd",
                                          "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                                          "/api/hearth/v1/../../../etc/passwd",
                                          "*",
                                          "passwd",
                                          "/\x80\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct wire_reply reply;
        int status = wire_ask(s.port, "GET", targets[i], "", NULL, &reply);
        if (status == 200 || status >= 500 || strstr(buf_text(&reply.body), "root:"))
            fail_msg("%s: %d %s", targets[i], status, buf_text(&reply.body));
        wire_release(&reply);
    }
}

/* ---- keys
 * ----------------------------------------------------------------------------------------- */

static void test_keys(void **state) {
    static const char *const shown[] = {"",
                                        "Authorization: Bearer\r\n",
                                        "Authorization: Bearer  \r\n",
                                        "Authorization: Bearer secre\r\n",
                                        "Authorization: Bearer secret2\r\n",
                                        "Authorization: Bearer SECRET\r\n",
                                        "Authorization: Basic c2VjcmV0\r\n",
                                        "Authorization: Bearer \xff\xfe\r\n",
                                        "x-api-key: 'secret'\r\n",
                                        "Cookie: hearth_session=secret\r\n",
                                        "Cookie: hearth_session=key-1.secret\r\n"};
    struct key_list list = {0};
    struct serving closed;
    struct wire_reply reply;
    (void)state;
    assert_int_equal(key_list_add(&list, "secret", 6, NULL), HEARTH_OK);
    const struct key_check check = key_list_check(&list);
    const struct http_server_settings settings = {.keys = &check};
    serving_begin(&closed, scripted_open(&hello), &settings);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        if (wire_ask(closed.port, "GET", "/v1/models", shown[i], NULL, &reply) != 401)
            fail_msg("%s: %d", shown[i], reply.status);
        wire_release(&reply);
    }
    assert_int_equal(
        wire_ask(closed.port, "GET", "/v1/models", "x-api-key: secret\r\n", NULL, &reply), 200);
    wire_release(&reply);
    serving_end(&closed);
}

/* ---- floods
 * ---------------------------------------------------------------------------------------- */

enum { FLOODERS = 16, FLOOD_REQUESTS = 50 };

/* Requests that are never read, never finished, or nonsense, one after the other. */
static void *flood(void *context) {
    static const char chat[] = "POST /v1/chat/completions HTTP/1.1\r\n" HOST
                               "Content-Length: 68\r\n\r\n{\"stream\":true,\"messages\":"
                               "[{\"role\":\"user\",\"content\":\"hello there\"}]}";
    static const char *const requests[] = {chat, "GET /metrics HTTP/1.1\r\n" HOST "\r\n",
                                           "POST /v1/completions HTTP/1.1\r\n" HOST
                                           "Content-Length: 100000\r\n\r\n{\"prompt\":",
                                           "\x16\x03\x01 nonsense \r\n\r\n", "GET /hea"};
    (void)context;
    for (size_t i = 0; i < FLOOD_REQUESTS; i++) {
        int fd = wire_try_connect(s.port);
        if (fd < 0) continue;
        wire_send_text(fd, requests[i % 5]);
        close(fd);
    }
    return NULL;
}

static void test_floods(void **state) {
    pthread_t threads[FLOODERS];
    (void)state;
    for (size_t i = 0; i < FLOODERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flood, NULL), 0);
    for (int i = 0; i < 20; i++)
        still_answers();
    for (size_t i = 0; i < FLOODERS; i++)
        pthread_join(threads[i], NULL);
    scripted_await_running(s.backend, 0);
    still_answers();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bodies_that_are_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bodies_cut_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bodies_wrong_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_described_fields_of_every_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prompt_of_ten_megabytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_with_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_of_slots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heads_that_say_two_things, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_targets, set_up, tear_down),
        cmocka_unit_test(test_keys),
        cmocka_unit_test_setup_teardown(test_floods, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server/http_hostile", tests, NULL, NULL);
}
