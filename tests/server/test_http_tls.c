/* The server over TLS: answers, clients that leave or dawdle, other versions, new certificates. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serving.h"
#include "tls_client.h"

static const char streamed[] =
    "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const struct script hello = {.pieces = {"Hello", " there"}, .n_pieces = 2, .rounds = 1};
static const struct script endless = {.pieces = {"again "}, .n_pieces = 1, .pause_ms = 5};

static char folder[64], certificate[128], key[128];
static struct http_server_settings settings;

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hearth-tls-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    tls_make_certificate("first", certificate, key);
    settings = (struct http_server_settings){.tls_certificate = certificate, .tls_key = key};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove(certificate);
    remove(key);
    return remove(folder);
}

static void ask(int fd, const char *method, const char *path, const char *extra, const char *body) {
    char text[2048];
    snprintf(text, sizeof text,
             "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", method, path,
             extra, strlen(body), body);
    wire_send_text(fd, text);
}

static void expect(int fd, int status, const char *part) {
    struct wire_reply reply;
    wire_read(fd, &reply);
    assert_int_equal(reply.status, status);
    if (!strstr(buf_text(&reply.body), part)) fail_msg("%s", buf_text(&reply.body));
    wire_release(&reply);
}

static void hang_up(struct tls_tunnel *tunnel, int fd) {
    close(fd);
    tls_tunnel_close(tunnel);
}

static void test_answers(void **state) {
    static const char *const versions[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.2",
                                           "NORMAL:-VERS-ALL:+VERS-TLS1.3"};
    struct serving s;
    struct tls_tunnel tunnel;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    assert_non_null(strstr(http_server_address(s.server), "https://127.0.0.1:"));
    for (int i = 0; i < 2; i++) {
        int fd = tls_tunnel_open(&tunnel, s.port, versions[i]);
        assert_true(fd >= 0);
        ask(fd, "GET", "/health", "", "");
        expect(fd, 200, "ok");
        ask(fd, "POST", "/v1/chat/completions", "", streamed);
        expect(fd, 200, "data: [DONE]");
        hang_up(&tunnel, fd);
    }
    serving_end(&s);
}

/* What came with a request in one record is decrypted, and not on the socket any more, when the
 * connection goes on. */
static void test_requests_in_one_record(void **state) {
    static const char both[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n"
        "{\"prompt\":\"hi\"}"
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct serving s;
    struct tls_tunnel tunnel;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    int fd = tls_tunnel_open(&tunnel, s.port, NULL);
    for (int i = 0; i < 3; i++) {
        wire_send_text(fd, both);
        expect(fd, 200, "Hello there");
        expect(fd, 200, "ok");
    }
    hang_up(&tunnel, fd);
    serving_end(&s);
}

/* RFC 8996; and what is not TLS is not answered. */
static void test_others_are_turned_away(void **state) {
    static const char old[] = "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0:%COMPAT";
    struct serving s;
    struct tls_tunnel tunnel;
    struct wire_reply reply;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    assert_int_equal(tls_tunnel_open(&tunnel, s.port, old), -1);
    assert_int_equal(tls_tunnel_open(&tunnel, s.port, "NORMAL:-KX-ALL:+RSA:-VERS-TLS1.3"), -1);
    assert_int_equal(wire_ask(s.port, "GET", "/health", "", NULL, &reply), 0);
    wire_release(&reply);
    serving_end(&s);
}

static void test_own_pages_are_of_https(void **state) {
    struct serving s;
    struct tls_tunnel tunnel;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    int fd = tls_tunnel_open(&tunnel, s.port, NULL);
    ask(fd, "GET", "/v1/models", "Origin: https://localhost\r\n", "");
    expect(fd, 200, "scripted");
    ask(fd, "GET", "/v1/models", "Origin: http://localhost\r\n", "");
    expect(fd, 403, "another origin");
    hang_up(&tunnel, fd);
    serving_end(&s);
}

static void test_cookies_are_secure(void **state) {
    struct key_list list = {0};
    struct serving s;
    struct tls_tunnel tunnel;
    struct wire_reply reply;
    struct store_pool *store;
    struct http_server_settings keyed = settings;
    struct key_check check = key_list_check(&list);
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/test.db", folder);
    assert_int_equal(store_pool_open(&store, path, NULL), HEARTH_OK);
    assert_int_equal(key_list_add(&list, "secret", 6, NULL), HEARTH_OK);
    keyed.keys = &check;
    keyed.store = store;
    serving_begin(&s, scripted_open(&hello), &keyed);
    int fd = tls_tunnel_open(&tunnel, s.port, NULL);
    ask(fd, "POST", "/api/hearth/v1/session", "", "{\"key\":\"secret\"}");
    wire_read(fd, &reply);
    assert_int_equal(reply.status, 200);
    const char *cookie = wire_header(&reply, "Set-Cookie");
    assert_non_null(cookie);
    assert_non_null(strstr(cookie, "; Secure"));
    wire_release(&reply);
    hang_up(&tunnel, fd);
    serving_end(&s);
    store_pool_close(store);
    remove(path);
    snprintf(path, sizeof path, "%s/test.db.secret", folder);
    remove(path);
}

static void test_leaving_ends_an_answer(void **state) {
    static const char whole[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&endless), &settings);
    for (size_t i = 0; i < 2; i++) {
        struct tls_tunnel tunnel;
        int fd = tls_tunnel_open(&tunnel, s.port, NULL);
        ask(fd, "POST", "/v1/chat/completions", "", i ? streamed : whole);
        scripted_await_running(s.backend, 1);
        hang_up(&tunnel, fd);
        scripted_await_cancelled(s.backend, i + 1);
        scripted_await_running(s.backend, 0);
    }
    serving_end(&s);
}

/* The bound of what waits for a client holds behind TLS, too. */
static void test_unread_answer_ends(void **state) {
    static char piece[4096];
    struct serving s;
    struct tls_tunnel tunnel;
    struct script flood = {.pieces = {piece}, .n_pieces = 1};
    struct http_server_settings tight = settings;
    (void)state;
    memset(piece, 'x', sizeof piece - 1);
    tight.max_pending_bytes = 1 << 16;
    serving_begin(&s, scripted_open(&flood), &tight);
    int fd = tls_tunnel_open(&tunnel, s.port, NULL);
    ask(fd, "POST", "/v1/chat/completions", "", streamed);
    scripted_await_cancelled(s.backend, 1);
    hang_up(&tunnel, fd);
    serving_end(&s);
}

/* One that does not even begin its handshake, and one that sends no request after it. */
static void test_slow_clients_are_cut(void **state) {
    struct serving s;
    struct tls_tunnel tunnel;
    struct http_server_settings hasty = settings;
    (void)state;
    hasty.header_s = 2;
    serving_begin(&s, scripted_open(&hello), &hasty);
    int silent = wire_connect(s.port);
    int fd = tls_tunnel_open(&tunnel, s.port, NULL);
    wire_send_text(fd, "GET /health HTTP/1.1\r\nHost: local");
    assert_true(wire_is_closed(silent));
    assert_true(wire_is_closed(fd));
    close(silent);
    hang_up(&tunnel, fd);
    serving_end(&s);
}

static void test_new_certificate(void **state) {
    struct serving s;
    struct tls_tunnel before, after;
    hearth_error err = {0};
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    int old = tls_tunnel_open(&before, s.port, NULL);
    assert_string_equal(before.peer, "first");
    tls_make_certificate("second", certificate, key);
    assert_int_equal(http_server_reload(s.server, &err), HEARTH_OK);
    assert_int_equal(http_server_reload(s.server, &err), HEARTH_OK); /* nothing is new */
    int fd = tls_tunnel_open(&after, s.port, NULL);
    assert_string_equal(after.peer, "second");
    ask(fd, "GET", "/health", "", "");
    expect(fd, 200, "ok");
    ask(old, "GET", "/health", "", ""); /* connections that were there go on */
    expect(old, 200, "ok");
    hang_up(&before, old);
    hang_up(&after, fd);
    serving_end(&s);
}

static void test_certificate_that_cannot_be_used(void **state) {
    struct serving s;
    struct tls_tunnel tunnel;
    hearth_error err = {0};
    char other[128];
    (void)state;
    snprintf(other, sizeof other, "%s/other.pem", folder);
    serving_begin(&s, scripted_open(&hello), &settings);
    tls_make_certificate("third", certificate, other); /* the key is that of the first */
    assert_int_equal(http_server_reload(s.server, &err), HEARTH_ERROR_FORMAT);
    assert_non_null(strstr(err.message, "belong together"));
    int fd = tls_tunnel_open(&tunnel, s.port, NULL);
    assert_string_equal(tunnel.peer, "first");
    hang_up(&tunnel, fd);
    remove(other);
    serving_end(&s);
}

static void expect_no_start(hearth_status status, const char *part) {
    struct http_server *server;
    hearth_error err = {0};
    struct backend *backend = scripted_open(&hello);
    settings.backend = backend;
    assert_int_equal(http_server_start(&server, &settings, &err), status);
    if (!strstr(err.message, part)) fail_msg("%s", err.message);
    backend_close(backend);
}

static void test_keys_of_others_are_refused(void **state) {
    (void)state;
    assert_int_equal(chmod(key, 0604), 0);
    expect_no_start(HEARTH_ERROR_ARGUMENT, "has mode 0604");
    assert_int_equal(chmod(key, 0620), 0);
    expect_no_start(HEARTH_ERROR_ARGUMENT, "has mode 0620");
    assert_int_equal(remove(key), 0);
    expect_no_start(HEARTH_ERROR_IO, "cannot open");
    settings.tls_key = NULL;
    expect_no_start(HEARTH_ERROR_ARGUMENT, "--tls-key");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests_in_one_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_turned_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_pages_are_of_https, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cookies_are_secure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaving_ends_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unread_answer_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_clients_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_new_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_certificate_that_cannot_be_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_of_others_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server/http_tls", tests, NULL, NULL);
}
