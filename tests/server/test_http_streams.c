/* Answers on their way to clients that read, do not read, leave, and to a server that ends. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "serving.h"

static const char whole[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const char streamed[] =
    "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
static const char chat[] = "/v1/chat/completions";

static void send_request(int fd, const char *body) {
    char text[1024];
    snprintf(text, sizeof text,
             "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", chat,
             strlen(body), body);
    wire_send_text(fd, text);
}

static void expect_answer(const struct serving *s) {
    struct wire_reply reply;
    assert_int_equal(wire_ask(s->port, "POST", chat, "", whole, &reply), 200);
    assert_non_null(strstr(buf_text(&reply.body), "\"content\":\"Hello there\""));
    wire_release(&reply);
}

static const struct script hello = {.pieces = {"Hello", " there"}, .n_pieces = 2, .rounds = 1};
static const struct script endless = {.pieces = {"again "}, .n_pieces = 1, .pause_ms = 5};

static void test_whole_and_streamed(void **state) {
    struct serving s;
    struct wire_reply reply;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    expect_answer(&s);
    assert_int_equal(wire_ask(s.port, "POST", chat, "", streamed, &reply), 200);
    assert_true(reply.whole);
    assert_string_equal(wire_header(&reply, "Content-Type"), "text/event-stream");
    assert_non_null(strstr(buf_text(&reply.body), "\"content\":\" there\""));
    assert_non_null(strstr(buf_text(&reply.body), "data: [DONE]"));
    wire_release(&reply);
    serving_end(&s);
}

static void test_connection_is_used_again(void **state) {
    struct serving s;
    struct wire_reply reply;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    int fd = wire_connect(s.port);
    send_request(fd, streamed); /* both at once: the second waits for the first */
    send_request(fd, whole);
    wire_read(fd, &reply);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(buf_text(&reply.body), "[DONE]"));
    wire_release(&reply);
    wire_read(fd, &reply);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(buf_text(&reply.body), "Hello there"));
    wire_release(&reply);
    close(fd);
    serving_end(&s);
}

/* ---- those that are being answered ------------------------------------------------------------
 */

static const char requests[] = "/api/hearth/v1/requests";

static json_t *listed(const struct serving *s) {
    struct wire_reply reply;
    assert_int_equal(wire_ask(s->port, "GET", requests, "", NULL, &reply), 200);
    json_t *body = wire_json(&reply), *list = json_incref(json_object_get(body, "requests"));
    assert_true(json_is_array(list));
    json_decref(body);
    wire_release(&reply);
    return list;
}

/* As soon as there are n. */
static json_t *await_listed(const struct serving *s, size_t n) {
    json_t *list = listed(s);
    while (json_array_size(list) != n) {
        json_decref(list);
        list = listed(s);
    }
    return list;
}

static int cancel(const struct serving *s, const char *id) {
    char path[128];
    struct wire_reply reply;
    snprintf(path, sizeof path, "%s/%s", requests, id);
    int status = wire_ask(s->port, "DELETE", path, "", NULL, &reply);
    wire_release(&reply);
    return status;
}

static void test_requests_are_listed_and_cancelled(void **state) {
    struct serving s;
    struct wire_reply reply;
    json_t *list;
    const char *id, *state_now;
    (void)state;
    serving_begin(&s, scripted_open(&endless), NULL);
    list = listed(&s);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    int first = wire_connect(s.port), second = wire_connect(s.port);
    send_request(first, whole);
    json_decref(await_listed(&s, 1));
    send_request(second, streamed);
    wire_read_head(second, &reply); /* so it is under way */
    wire_release(&reply);
    list = await_listed(&s, 2);
    const json_t *one = json_array_get(list, 0), *other = json_array_get(list, 1);
    assert_int_equal(
        json_unpack((json_t *)(uintptr_t)other, "{s:s, s:s}", "id", &id, "state", &state_now), 0);
    assert_true(json_is_false(json_object_get(one, "stream")));
    assert_true(json_is_true(json_object_get(other, "stream")));
    assert_string_equal(state_now, "running");
    assert_string_equal(json_string_value(json_object_get(one, "endpoint")), chat);
    assert_int_equal(json_integer_value(json_object_get(other, "prompt_tokens")), SCRIPTED_PROMPT);
    char *text = json_dumps(list, 0);
    assert_null(strstr(text, "hello")); /* what was said is nobody's business */
    free(text);
    assert_int_equal(cancel(&s, "none"), 404);
    assert_int_equal(cancel(&s, id), 200);
    scripted_await_cancelled(s.backend, 1);
    json_decref(list);
    close(first);
    close(second);
    scripted_await_cancelled(s.backend, 2);
    serving_end(&s);
}

/* The connection is suspended all the time: nothing of the answer is sent before its end. */
static void test_leaving_ends_a_whole_answer(void **state) {
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&endless), NULL);
    int fd = wire_connect(s.port);
    send_request(fd, whole);
    scripted_await_running(s.backend, 1);
    close(fd);
    scripted_await_cancelled(s.backend, 1);
    scripted_await_running(s.backend, 0);
    serving_end(&s);
}

static void test_leaving_ends_a_stream(void **state) {
    struct serving s;
    struct wire_reply reply;
    struct script slow = endless;
    (void)state;
    slow.pause_ms = 200;
    serving_begin(&s, scripted_open(&slow), NULL);
    int fd = wire_connect(s.port);
    send_request(fd, streamed);
    wire_read_head(fd, &reply);
    assert_int_equal(reply.status, 200);
    wire_release(&reply);
    close(fd);
    scripted_await_cancelled(s.backend, 1);
    while (wire_metric(s.port, "hearth_answers_abandoned_total") < 1)
        clock_rest(1000000);
    scripted_await_running(s.backend, 0);
    assert_true(wire_metric(s.port, "hearth_requests_running") == 0);
    serving_end(&s);
}

/* Also when the backend ends the answer sooner than its connection hears of the end. */
static void test_everyone_who_leaves_is_counted(void **state) {
    enum { CLIENTS = 16, ROUNDS = 8 };
    struct serving s;
    struct script quick = endless;
    int fds[CLIENTS];
    (void)state;
    quick.pause_ms = 1;
    serving_begin(&s, scripted_open(&quick), NULL);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < CLIENTS; i++)
            send_request(fds[i] = wire_connect(s.port), streamed);
        scripted_await_running(s.backend, CLIENTS);
        for (unsigned i = 0; i < CLIENTS; i++)
            close(fds[i]);
        scripted_await_running(s.backend, 0);
        while (wire_metric(s.port, "hearth_connections") > 1)
            clock_rest(1000000);
        assert_true(wire_metric(s.port, "hearth_answers_abandoned_total") == CLIENTS * round);
    }
    serving_end(&s);
}

/* Most clients hang up as soon as they have the end of an answer. */
static void test_who_has_everything_may_leave(void **state) {
    enum { REQUESTS = 200 };
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    for (int i = 0; i < REQUESTS; i++) {
        struct wire_reply reply;
        int fd = wire_connect(s.port);
        send_request(fd, i % 2 ? streamed : whole);
        wire_read(fd, &reply);
        close(fd);
        wire_release(&reply);
    }
    while (wire_metric(s.port, "hearth_connections") > 1)
        clock_rest(1000000);
    assert_true(wire_metric(s.port, "hearth_answers_abandoned_total") == 0);
    serving_end(&s);
}

/* Others are answered while one client does not read what it asked for. */
static void test_unread_answer_ends(void **state) {
    static char piece[4096];
    struct serving s;
    struct script flood = {.pieces = {piece}, .n_pieces = 1};
    const struct http_server_settings settings = {.max_pending_bytes = 1 << 16};
    (void)state;
    memset(piece, 'x', sizeof piece - 1);
    serving_begin(&s, scripted_open(&flood), &settings);
    int fd = wire_connect(s.port);
    send_request(fd, streamed);
    scripted_await_cancelled(s.backend, 1);
    assert_true(wire_metric(s.port, "hearth_answers_unread_total") == 1);
    close(fd);
    serving_end(&s);
}

/* Prometheus takes a series once; what differs in the method only is the same endpoint. */
static void test_endpoints_are_counted_once(void **state) {
    static const char *const methods[] = {"GET", "POST", "DELETE"};
    static const char counted[] =
        "hearth_requests_total{endpoint=\"/api/hearth/v1/*\",status=\"404\"}";
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    for (size_t i = 0; i < 3; i++) {
        struct wire_reply reply;
        assert_int_equal(wire_ask(s.port, methods[i], "/api/hearth/v1/nothing", "", NULL, &reply),
                         404);
        wire_release(&reply);
    }
    /* The last is counted when its reply is out. */
    while (wire_metric(s.port, counted) < 3)
        continue;
    assert_true(wire_metric(s.port, counted) == 3);
    serving_end(&s);
}

static void expect_slots(const struct serving *s, int status, const char *query, size_t n_taken) {
    struct wire_reply reply;
    char path[64];
    size_t i, n = 0;
    const json_t *slot;
    snprintf(path, sizeof path, "/slots%s", query);
    assert_int_equal(wire_ask(s->port, "GET", path, "", NULL, &reply), status);
    json_t *slots = wire_json(&reply);
    json_array_foreach(slots, i, slot) {
        n += json_is_true(json_object_get(slot, "is_processing"));
    }
    assert_int_equal(n, n_taken);
    json_decref(slots);
    wire_release(&reply);
}

/* The scripted model has two. */
static void test_slots_are_taken(void **state) {
    struct serving s;
    int clients[2];
    (void)state;
    serving_begin(&s, scripted_open(&endless), NULL);
    expect_slots(&s, 200, "?fail_on_no_slot=1", 0);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = wire_connect(s.port);
        send_request(clients[i], streamed);
        scripted_await_running(s.backend, i + 1);
        expect_slots(&s, 200, "", i + 1);
    }
    expect_slots(&s, 503, "?fail_on_no_slot=1", 0);
    for (size_t i = 0; i < 2; i++)
        close(clients[i]);
    scripted_await_running(s.backend, 0);
    serving_end(&s);
}

static void test_refused_by_the_backend(void **state) {
    struct serving s;
    struct wire_reply reply;
    struct script one = endless;
    (void)state;
    one.most_jobs = 1;
    serving_begin(&s, scripted_open(&one), NULL);
    int fd = wire_connect(s.port);
    send_request(fd, streamed);
    scripted_await_running(s.backend, 1);
    assert_int_equal(wire_ask(s.port, "POST", chat, "", whole, &reply), 429);
    assert_string_equal(wire_header(&reply, "Retry-After"), "1");
    assert_non_null(strstr(buf_text(&reply.body), "too many requests"));
    wire_release(&reply);
    close(fd);
    serving_end(&s);
}

static void test_failures(void **state) {
    struct serving s;
    struct wire_reply reply;
    struct script early = {.fails = HEARTH_ERROR_ARGUMENT, .message = "the prompt is too long"};
    struct script late = hello;
    (void)state;
    serving_begin(&s, scripted_open(&early), NULL);
    assert_int_equal(wire_ask(s.port, "POST", chat, "", streamed, &reply), 400);
    assert_non_null(strstr(buf_text(&reply.body), "the prompt is too long"));
    wire_release(&reply);
    serving_end(&s);

    late.late = true;
    late.fails = HEARTH_ERROR_INTERNAL;
    late.message = "it broke";
    serving_begin(&s, scripted_open(&late), NULL);
    assert_int_equal(wire_ask(s.port, "POST", chat, "", streamed, &reply), 200);
    assert_non_null(strstr(buf_text(&reply.body), " there"));
    assert_non_null(strstr(buf_text(&reply.body), "it broke"));
    wire_release(&reply);
    assert_int_equal(wire_ask(s.port, "POST", chat, "", whole, &reply), 500);
    assert_non_null(strstr(buf_text(&reply.body), "it broke"));
    wire_release(&reply);
    serving_end(&s);
}

/* Sends all but the last byte of a body; it takes 60 of the 100 bytes that there are. */
static int hold_a_body(const struct serving *s) {
    int fd = wire_connect(s->port);
    wire_send_text(fd, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Length: 61\r\n\r\n"
                       "123456789012345678901234567890123456789012345678901234567890");
    return fd;
}

static int ask_whole(const struct serving *s) {
    struct wire_reply reply;
    int status = wire_ask(s->port, "POST", chat, "", whole, &reply);
    wire_release(&reply);
    return status;
}

/* Of two that meet, either may be the one that is refused. */
static void test_bodies_together(void **state) {
    const struct http_server_settings settings = {.max_bodies_bytes = 100};
    struct serving s;
    int status = 200, fd = -1;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    for (int i = 0; i < 1000 && status == 200; i++) {
        if (fd >= 0) close(fd);
        fd = hold_a_body(&s);
        status = ask_whole(&s);
    }
    assert_int_equal(status, 503);
    close(fd);
    for (int i = 0; i < 1000 && status == 503; i++)
        status = ask_whole(&s);
    assert_int_equal(status, 200);
    serving_end(&s);
}

/* ---- slow clients ---------------------------------------------------------------------- */

/* A long answer does not keep what was asked. */
static void test_answers_hold_no_bodies(void **state) {
    enum { CLIENTS = 8 };
    const struct http_server_settings settings = {.max_bodies_bytes = 2 * sizeof streamed};
    struct serving s;
    struct wire_reply reply;
    int fds[CLIENTS];
    (void)state;
    serving_begin(&s, scripted_open(&endless), &settings);
    for (int i = 0; i < CLIENTS; i++) {
        send_request(fds[i] = wire_connect(s.port), streamed);
        wire_read_head(fds[i], &reply);
        assert_int_equal(reply.status, 200);
        wire_release(&reply);
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    serving_end(&s);
}

static void test_slow_head_and_body_are_cut(void **state) {
    static const char head[] = "GET /health HTTP/1.1\r\nHost: loc";
    static const char body[] =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{";
    const struct http_server_settings settings = {.header_s = 1, .body_s = 1};
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    int slow_head = wire_connect(s.port), slow_body = wire_connect(s.port);
    int silent = wire_connect(s.port);
    wire_send_text(slow_head, head);
    wire_send_text(slow_body, body);
    expect_answer(&s);
    assert_true(wire_is_closed(slow_head));
    assert_true(wire_is_closed(slow_body));
    assert_true(wire_is_closed(silent));
    close(slow_head);
    close(slow_body);
    close(silent);
    serving_end(&s);
}

/* A drop now and then does not keep a connection open. */
static void test_drops_do_not_help(void **state) {
    const struct http_server_settings settings = {.header_s = 1};
    struct serving s;
    bool closed = false;
    (void)state;
    serving_begin(&s, scripted_open(&hello), &settings);
    int fd = wire_connect(s.port);
    wire_send_text(fd, "GET /health HTTP/1.1\r\nX: ");
    for (int i = 0; i < 500 && !closed; i++) {
        char c;
        clock_rest(20000000);
        wire_send_text(fd, "x");
        closed = recv(fd, &c, 1, MSG_DONTWAIT) == 0;
    }
    assert_true(closed);
    close(fd);
    serving_end(&s);
}

static void test_many_idle_connections(void **state) {
    enum { IDLE = 300 };
    int fds[IDLE];
    struct wire_reply reply;
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    for (int i = 0; i < IDLE; i++) {
        fds[i] = wire_connect(s.port);
        wire_send_text(fds[i], "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wire_read(fds[i], &reply);
        assert_int_equal(reply.status, 200);
        wire_release(&reply);
    }
    expect_answer(&s);
    assert_true(wire_metric(s.port, "hearth_connections") >= IDLE);
    for (int i = 0; i < IDLE; i++)
        close(fds[i]);
    serving_end(&s);
}

/* Reads up to a text; the test fails when none comes. */
static void await_text(int fd, const char *text) {
    char seen[8192] = "";
    size_t n = 0;
    while (!strstr(seen, text)) {
        if (n + 1 == sizeof seen || recv(fd, seen + n, 1, 0) != 1) fail_msg("no '%s'", text);
        seen[++n] = '\0';
    }
}

static void test_log_as_it_comes(void **state) {
    struct serving s;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    expect_answer(&s);
    int fd = wire_connect(s.port), gone = wire_connect(s.port);
    wire_send_text(fd, "GET /api/hearth/v1/logs HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wire_send_text(gone, "GET /api/hearth/v1/logs HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await_text(fd, "text/event-stream");
    await_text(fd, "X-Accel-Buffering: no");
    await_text(gone, "text/event-stream");
    await_text(fd, "\"path\":\"/v1/chat/completions\"");
    close(gone);
    wire_metric(s.port, "hearth_connections");
    await_text(fd, "\"path\":\"/metrics\"");
    http_server_drain(s.server, 5);
    await_text(fd, "\r\n0\r\n\r\n");
    close(fd);
    serving_end(&s);
}

/* ---- the end of the server ----------------------------------------------------------------- */

struct client {
    unsigned port;
    const char *body;
    struct wire_reply reply;
    pthread_t thread;
};

static void *ask(void *context) {
    struct client *client = context;
    wire_ask(client->port, "POST", chat, "", client->body, &client->reply);
    return NULL;
}

static void begin_asking(struct client *client, const struct serving *s, const char *body) {
    *client = (struct client){.port = s->port, .body = body};
    assert_int_equal(pthread_create(&client->thread, NULL, ask, client), 0);
}

static void test_drain_lets_answers_end(void **state) {
    struct serving s;
    struct client client;
    struct script slow = hello;
    (void)state;
    slow.pause_ms = 100;
    serving_begin(&s, scripted_open(&slow), NULL);
    begin_asking(&client, &s, streamed);
    scripted_await_running(s.backend, 1);
    http_server_drain(s.server, 20);
    pthread_join(client.thread, NULL);
    assert_int_equal(client.reply.status, 200);
    assert_non_null(strstr(buf_text(&client.reply.body), "[DONE]"));
    assert_int_equal(scripted_counts(s.backend).cancelled, 0);
    wire_release(&client.reply);
    serving_end(&s);
}

static void test_drain_ends_what_goes_on(void **state) {
    struct serving s;
    struct client client;
    (void)state;
    serving_begin(&s, scripted_open(&endless), NULL);
    begin_asking(&client, &s, streamed);
    scripted_await_running(s.backend, 1);
    int idle = wire_connect(s.port);
    wire_send_text(idle, "GET /health HTTP/1.1\r\n");
    http_server_drain(s.server, 0);
    pthread_join(client.thread, NULL);
    assert_int_equal(client.reply.status, 200);
    assert_non_null(strstr(buf_text(&client.reply.body), "[DONE]"));
    assert_int_equal(scripted_counts(s.backend).cancelled, 1);
    wire_release(&client.reply);
    close(idle);
    serving_end(&s);
}

static void test_requests_while_draining(void **state) {
    struct serving s;
    struct wire_reply reply;
    (void)state;
    serving_begin(&s, scripted_open(&hello), NULL);
    int fd = wire_connect(s.port);
    wire_send_text(fd, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wire_read(fd, &reply);
    assert_int_equal(reply.status, 200);
    wire_release(&reply);
    http_server_drain(s.server, 0);
    send_request(fd, whole);
    wire_read(fd, &reply);
    assert_int_equal(reply.status, 503);
    wire_release(&reply);
    assert_true(wire_is_closed(fd));
    close(fd);
    serving_end(&s);
}

/* ---- where it listens ---------------------------------------------------------------------- */

static hearth_status try_host(const char *host) {
    struct backend *backend = scripted_open(&hello);
    const struct http_server_settings settings = {.host = host, .backend = backend};
    struct http_server *server;
    hearth_status status = http_server_start(&server, &settings, NULL);
    http_server_stop(server);
    backend_close(backend);
    return status;
}

/* Without keys only this machine may reach it, whatever an address is called. */
static void test_names_of_addresses(void **state) {
    (void)state;
    assert_int_equal(try_host("127.0.0.1"), HEARTH_OK);
    assert_int_equal(try_host("localhost"), HEARTH_OK);
    assert_int_equal(try_host("127.1"), HEARTH_OK);
    assert_int_equal(try_host("0"), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(try_host("::"), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(try_host("no.such.name.invalid"), HEARTH_ERROR_ARGUMENT);
}

static void test_stop_with_answers_going_on(void **state) {
    enum { CLIENTS = 8 };
    struct serving s;
    int fds[CLIENTS];
    (void)state;
    serving_begin(&s, scripted_open(&endless), NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = wire_connect(s.port);
        send_request(fds[i], i % 2 ? streamed : whole);
    }
    scripted_await_running(s.backend, CLIENTS);
    serving_end(&s);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(wire_is_closed(fds[i]));
        close(fds[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_and_streamed),
        cmocka_unit_test(test_connection_is_used_again),
        cmocka_unit_test(test_requests_are_listed_and_cancelled),
        cmocka_unit_test(test_leaving_ends_a_whole_answer),
        cmocka_unit_test(test_leaving_ends_a_stream),
        cmocka_unit_test(test_everyone_who_leaves_is_counted),
        cmocka_unit_test(test_who_has_everything_may_leave),
        cmocka_unit_test(test_unread_answer_ends),
        cmocka_unit_test(test_endpoints_are_counted_once),
        cmocka_unit_test(test_slots_are_taken),
        cmocka_unit_test(test_refused_by_the_backend),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_bodies_together),
        cmocka_unit_test(test_answers_hold_no_bodies),
        cmocka_unit_test(test_slow_head_and_body_are_cut),
        cmocka_unit_test(test_drops_do_not_help),
        cmocka_unit_test(test_many_idle_connections),
        cmocka_unit_test(test_log_as_it_comes),
        cmocka_unit_test(test_drain_lets_answers_end),
        cmocka_unit_test(test_drain_ends_what_goes_on),
        cmocka_unit_test(test_requests_while_draining),
        cmocka_unit_test(test_stop_with_answers_going_on),
        cmocka_unit_test(test_names_of_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
