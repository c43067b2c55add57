/* Keys, sessions and conversations over HTTP. */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "serving.h"

static const char chat[] = "/v1/chat/completions";
static const char hello[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const char own[] = "/api/hearth/v1/";

static struct serving s;
static struct store_pool *store;
static struct usage_queue *usage;
static char folder[64];

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct access_log logged;
static struct key_list listed;
static struct key_check listed_check;

static int begin(const struct script *script) {
    hearth_error err = {0};
    snprintf(folder, sizeof folder, "/tmp/hearth-store-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    if (store_pool_open(&store, in_folder("test.db"), &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    assert_int_equal(usage_queue_open(&usage, store, NULL), HEARTH_OK);
    const struct http_server_settings settings = {
        .store = store, .usage = usage, .keys = listed.count ? &listed_check : NULL, .log = logged};
    serving_begin(&s, scripted_open(script), &settings);
    return 0;
}

static int set_up(void **state) {
    const struct script script = {.pieces = {"Hello"}, .n_pieces = 1, .rounds = 1};
    (void)state;
    return begin(&script);
}

/* Answers end when they are cancelled. */
static int set_up_endless(void **state) {
    const struct script script = {.pieces = {"again "}, .n_pieces = 1, .pause_ms = 5};
    (void)state;
    return begin(&script);
}

/* The same with a key of the command line. */
static int set_up_listed(void **state) {
    assert_int_equal(key_list_add(&listed, "of-the-owner", 12, NULL), HEARTH_OK);
    listed_check = key_list_check(&listed);
    return set_up(state);
}

static int tear_down(void **state) {
    char **names;
    size_t n;
    (void)state;
    serving_end(&s);
    usage_queue_close(usage);
    store_pool_close(store);
    if (file_list(folder, &names, &n, NULL) == HEARTH_OK) {
        for (size_t i = 0; i < n; i++)
            remove(in_folder(names[i]));
        file_names_free(names, n);
    }
    listed.count = 0;
    return remove(folder);
}

/* Below /api/hearth/v1/. The body as JSON, given; NULL where there is none. `cookie` nullable:
 * receives the value of a cookie that is set. */
static json_t *asked(int status, const char *method, const char *path, const char *extra,
                     const char *body, char cookie[256]) {
    char whole[256];
    struct wire_reply reply;
    snprintf(whole, sizeof whole, "%s%s", own, path);
    int found = wire_ask(s.port, method, whole, extra, body, &reply);
    if (found != status)
        fail_msg("%s %s: %d, not %d: %s", method, path, found, status, buf_text(&reply.body));
    const char *set = wire_header(&reply, "Set-Cookie");
    if (cookie) {
        assert_non_null(set);
        assert_non_null(strstr(set, "HttpOnly; SameSite=Strict"));
        snprintf(cookie, 256, "Cookie: %.*s\r\n", (int)strcspn(set, ";"), set);
    }
    json_t *value = reply.body.length ? wire_json(&reply) : NULL;
    wire_release(&reply);
    return value;
}

static void expect(int status, const char *method, const char *path, const char *extra,
                   const char *body) {
    json_decref(asked(status, method, path, extra, body, NULL));
}

static int ask_chat(const char *extra) {
    struct wire_reply reply;
    int status = wire_ask(s.port, "POST", chat, extra, hello, &reply);
    wire_release(&reply);
    return status;
}

/* The first key, an admin's, as a header. */
static void make_key(char header[256]) {
    json_t *made = asked(201, "POST", "keys", "", "{\"name\":\"first\"}", NULL);
    const char *key = json_string_value(json_object_get(made, "key"));
    assert_non_null(key);
    snprintf(header, 256, "Authorization: Bearer %s\r\n", key);
    json_decref(made);
}

static void test_conversations_without_keys(void **state) {
    char path[128];
    (void)state;
    json_t *made = asked(201, "POST", "conversations", "", "{\"title\":\"Stars\"}", NULL);
    const char *id = json_string_value(json_object_get(made, "id"));
    snprintf(path, sizeof path, "conversations/%s/messages", id);
    expect(201, "POST", path, "", "{\"parent\":null,\"role\":\"user\",\"content\":\"Why?\"}");
    snprintf(path, sizeof path, "conversations/%s", id);
    json_t *read = asked(200, "GET", path, "", NULL, NULL);
    assert_int_equal(json_array_size(json_object_get(read, "messages")), 1);
    json_decref(read);
    json_t *list = asked(200, "GET", "conversations?q=Why&limit=5", "", NULL, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "conversations")), 1);
    json_decref(list);
    json_decref(made);
    expect(404, "GET", "conversations/none", "", NULL);
    expect(404, "GET", "nothing", "", NULL);
    expect(404, "GET", "conversations/a/b/c/d/e/f/g/h/i", "", NULL);
    expect(400, "POST", "conversations", "", "{\"title\":5}");
}

static void test_keys_close_the_server(void **state) {
    char key[256];
    (void)state;
    assert_int_equal(ask_chat(""), 200);
    make_key(key);
    assert_int_equal(ask_chat(""), 401);
    assert_int_equal(ask_chat("Authorization: Bearer sk-hearth-wrong\r\n"), 401);
    assert_int_equal(ask_chat(key), 200);
    expect(401, "GET", "conversations", "", NULL);
    expect(200, "GET", "conversations", key, NULL);
    expect(401, "GET", "status", "", NULL);
    expect(200, "GET", "status", key, NULL);
}

/* How long a model stays, and who comes first, is not for every key to say. */
/* What a request is answered whose head announces so large a body, of which nothing comes. */
static int announce(const char *path, const char *extra, size_t n_bytes) {
    char head[512];
    struct wire_reply reply;
    int fd = wire_connect(s.port);
    snprintf(head, sizeof head,
             "POST %s%s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n", own, path,
             extra, n_bytes);
    wire_send_text(fd, head);
    wire_read(fd, &reply);
    int status = reply.status;
    wire_release(&reply);
    close(fd);
    return status;
}

/* Nobody's bodies fill the server before it is clear who they are. */
static void test_bodies_of_strangers(void **state) {
    char admin[256];
    (void)state;
    make_key(admin);
    assert_int_equal(announce("keys", "", 1 << 20), 401);
    assert_int_equal(announce("conversations", "", 1 << 20), 401);
    assert_int_equal(announce("session", "", 1 << 20), 413);
    expect(401, "POST", "session", "", "{\"key\":\"wrong\"}");
}

static void test_admins_decide_for_all(void **state) {
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
                               "\"stream\":false,\"keep_alive\":0,\"priority\":-7}";
    char admin[256], user[256];
    struct wire_reply reply;
    (void)state;
    make_key(admin);
    json_t *made = asked(201, "POST", "keys", admin, "{\"name\":\"user\"}", NULL);
    snprintf(user, sizeof user, "x-api-key: %s\r\n",
             json_string_value(json_object_get(made, "key")));
    json_decref(made);
    assert_int_equal(wire_ask(s.port, "POST", "/api/chat", admin, body, &reply), 200);
    wire_release(&reply);
    assert_true(scripted_counts(s.backend).keep_alive_s == 0);
    assert_int_equal(wire_ask(s.port, "POST", chat, admin, body, &reply), 200);
    wire_release(&reply);
    assert_int_equal(scripted_counts(s.backend).priority, 7);
    assert_int_equal(wire_ask(s.port, "POST", "/api/chat", user, body, &reply), 200);
    wire_release(&reply);
    assert_true(isnan(scripted_counts(s.backend).keep_alive_s));
    assert_int_equal(wire_ask(s.port, "POST", chat, user, body, &reply), 200);
    wire_release(&reply);
    assert_int_equal(scripted_counts(s.backend).priority, 0);
}

static size_t count_requests(const char *key) {
    json_t *found = asked(200, "GET", "requests", key, NULL, NULL);
    size_t n = json_array_size(json_object_get(found, "requests"));
    json_decref(found);
    return n;
}

static void test_requests_are_those_of_a_key(void **state) {
    char admin[256], user[256], head[600], path[128];
    struct wire_reply reply;
    (void)state;
    make_key(admin);
    json_t *made = asked(201, "POST", "keys", admin, "{\"name\":\"user\"}", NULL);
    snprintf(user, sizeof user, "x-api-key: %s\r\n",
             json_string_value(json_object_get(made, "key")));
    json_decref(made);
    int fd = wire_connect(s.port);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: 64\r\n\r\n%-64s", chat,
             admin, "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
    wire_send_text(fd, head);
    wire_read_head(fd, &reply);
    assert_int_equal(reply.status, 200);
    wire_release(&reply);
    expect(401, "GET", "requests", "", NULL);
    assert_int_equal(count_requests(user), 0);
    assert_int_equal(count_requests(admin), 1);
    json_t *found = asked(200, "GET", "requests", admin, NULL, NULL);
    const json_t *one = json_array_get(json_object_get(found, "requests"), 0);
    assert_string_equal(json_string_value(json_object_get(one, "key")), "first");
    snprintf(path, sizeof path, "requests/%s", json_string_value(json_object_get(one, "id")));
    json_decref(found);
    expect(401, "DELETE", path, "", NULL);
    expect(404, "DELETE", path, user, NULL);
    assert_int_equal(count_requests(admin), 1);
    expect(200, "DELETE", path, admin, NULL);
    scripted_await_cancelled(s.backend, 1);
    close(fd);
}

static void test_limits_of_a_key(void **state) {
    char admin[256], header[256];
    (void)state;
    make_key(admin);
    json_t *made = asked(201, "POST", "keys", admin,
                         "{\"name\":\"small\",\"limits\":{\"requests_per_minute\":1}}", NULL);
    snprintf(header, sizeof header, "x-api-key: %s\r\n",
             json_string_value(json_object_get(made, "key")));
    json_decref(made);
    assert_int_equal(ask_chat(header), 200);
    assert_int_equal(ask_chat(header), 429);
    assert_int_equal(ask_chat(admin), 200);
    expect(403, "GET", "keys", header, NULL);
}

/* ---- the log --------------------------------------------------------------------------- */

static struct buf lines;
static pthread_mutex_t lines_mutex = PTHREAD_MUTEX_INITIALIZER;

static void take_line(void *context, const char *line, size_t n) {
    (void)context;
    pthread_mutex_lock(&lines_mutex);
    buf_append(&lines, line, n);
    pthread_mutex_unlock(&lines_mutex);
}

static int set_up_logged(void **state) {
    logged = (struct access_log){.write = take_line, .bodies = true};
    buf_init(&lines, 1 << 20);
    return set_up(state);
}

/* What models are asked, where that is wanted; never the keys of those who ask. */
static void test_log_of_bodies(void **state) {
    char admin[256], body[256];
    (void)state;
    make_key(admin);
    const char *key = strstr(admin, "sk-");
    snprintf(body, sizeof body, "{\"key\":\"%.*s\"}", (int)strcspn(key, "\r"), key);
    expect(200, "POST", "session", "", body);
    assert_int_equal(ask_chat(admin), 200);
    serving_end(&s); /* all lines are there */
    const char *text = buf_text(&lines);
    assert_non_null(strstr(text, "\"path\":\"/api/hearth/v1/session\""));
    assert_non_null(strstr(text, "\\\"content\\\":\\\"hello\\\""));
    assert_null(strstr(text, "sk-hearth-"));
    buf_release(&lines);
    logged = (struct access_log){.write = NULL};
    const struct script script = {.pieces = {"Hello"}, .n_pieces = 1, .rounds = 1};
    serving_begin(&s, scripted_open(&script), NULL);
}

static void test_session(void **state) {
    char key[256], cookie[256], with_csrf[512], body[300];
    (void)state;
    make_key(key);
    json_t *before = asked(200, "GET", "session", "", NULL, NULL);
    assert_true(json_is_true(json_object_get(before, "needed")));
    assert_true(json_is_false(json_object_get(before, "signed_in")));
    json_decref(before);
    expect(401, "POST", "session", "", "{\"key\":\"wrong\"}");
    char *text = mem_strndup(key + 22, strlen(key) - 24);
    snprintf(body, sizeof body, "{\"key\":\"%s\"}", text);
    json_t *begun = asked(200, "POST", "session", "", body, cookie);
    snprintf(with_csrf, sizeof with_csrf, "%sX-Hearth-CSRF: %s\r\n", cookie,
             json_string_value(json_object_get(begun, "csrf")));
    json_decref(begun);
    mem_free(text);
    expect(200, "GET", "conversations", cookie, NULL);
    expect(200, "GET", "status", cookie, NULL);
    expect(403, "POST", "conversations", cookie, "{}");
    expect(201, "POST", "conversations", with_csrf, "{}");
    assert_int_equal(ask_chat(cookie), 403);
    assert_int_equal(ask_chat(with_csrf), 200);
    expect(200, "DELETE", "session", with_csrf, NULL);
    expect(401, "GET", "conversations", cookie, NULL);
    assert_int_equal(ask_chat(with_csrf), 401);
}

static void test_session_by_a_key_of_the_command_line(void **state) {
    char cookie[256], with_csrf[512], forged[256];
    (void)state;
    assert_int_equal(ask_chat(""), 401);
    expect(401, "POST", "session", "", "{\"key\":\"of-the-owne\"}");
    json_t *begun = asked(200, "POST", "session", "", "{\"key\":\"of-the-owner\"}", cookie);
    snprintf(with_csrf, sizeof with_csrf, "%sX-Hearth-CSRF: %s\r\n", cookie,
             json_string_value(json_object_get(begun, "csrf")));
    json_decref(begun);
    json_t *signed_in = asked(200, "GET", "session", cookie, NULL, NULL);
    assert_true(json_is_true(json_object_get(signed_in, "signed_in")));
    json_decref(signed_in);
    assert_int_equal(ask_chat(cookie), 403);
    assert_int_equal(ask_chat(with_csrf), 200);
    expect(201, "POST", "conversations", with_csrf, "{}");
    expect(201, "POST", "keys", with_csrf, "{\"name\":\"one\"}");
    snprintf(forged, sizeof forged, "%s", cookie);
    forged[strlen(forged) - 4] ^= 1;
    expect(401, "GET", "conversations", forged, NULL);
    assert_int_equal(ask_chat("x-api-key: of-the-owner\r\n"), 200);
}

/* Rows come when an exchange is over, which is after its client has read the answer. */
static void test_usage(void **state) {
    json_int_t requests = 0, prompt_tokens = 0;
    (void)state;
    assert_int_equal(ask_chat(""), 200);
    assert_int_equal(ask_chat(""), 200);
    for (int i = 0; i < 1000 && requests < 2; i++) {
        assert_int_equal(usage_queue_flush(usage, INT64_C(1767225600000), NULL), HEARTH_OK);
        json_t *found = asked(200, "GET", "usage?by=model", "", NULL, NULL);
        const json_t *row = json_array_get(json_object_get(found, "rows"), 0);
        if (row) assert_string_equal(json_string_value(json_object_get(row, "model")), "scripted");
        requests = json_integer_value(json_object_get(row, "requests"));
        prompt_tokens = json_integer_value(json_object_get(row, "prompt_tokens"));
        json_decref(found);
    }
    assert_int_equal(requests, 2);
    assert_int_equal(prompt_tokens, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conversations_without_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_close_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bodies_of_strangers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_admins_decide_for_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests_are_those_of_a_key, set_up_endless,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_limits_of_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_of_bodies, set_up_logged, tear_down),
        cmocka_unit_test_setup_teardown(test_session, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_session_by_a_key_of_the_command_line, set_up_listed,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_usage, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
