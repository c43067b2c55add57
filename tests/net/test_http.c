/* The client against a server that says exactly what each test scripts, broken
 * answers included. */
#include "testdata.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http.h"

enum { MAX_STEPS = 16, REQUEST_BYTES = 4096, CROWD = 4 };

enum ending { CLOSE, RESET, STALL, CROWD_THEN_CLOSE };

struct step {
    const char *answer;
    enum ending ending;
};

/* Connection i gets steps[i]; the last step repeats. */
struct server {
    int listener;
    unsigned port;
    pthread_t thread;
    const struct step *steps;
    size_t n_steps;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n_requests, n_open;
    bool stopping;
    char requests[MAX_STEPS][REQUEST_BYTES];
};

struct connection {
    struct server *server;
    int fd;
};

static void send_all(int fd, const char *text) {
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
        if (n <= 0) return;
        text += n, left -= (size_t)n;
    }
}

/* Reads head and announced body; returns the number of the request. */
static size_t read_request(struct server *s, int fd) {
    char text[REQUEST_BYTES] = "";
    size_t length = 0, wanted = sizeof text - 1;
    while (length < wanted) {
        ssize_t n = recv(fd, text + length, wanted - length, 0);
        if (n <= 0) break;
        length += (size_t)n;
        text[length] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *body = strstr(text, "Content-Length: ");
        if (end) wanted = (size_t)(end + 4 - text) + (body ? strtoul(body + 16, NULL, 10) : 0);
    }
    pthread_mutex_lock(&s->lock);
    size_t number = s->n_requests++;
    if (number < MAX_STEPS) memcpy(s->requests[number], text, sizeof text);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return number;
}

static void *serve_connection(void *context) {
    struct connection *c = context;
    struct server *s = c->server;
    size_t number = read_request(s, c->fd);
    const struct step *step = &s->steps[number < s->n_steps ? number : s->n_steps - 1];
    pthread_mutex_lock(&s->lock);
    while (step->ending == CROWD_THEN_CLOSE && s->n_requests < CROWD && !s->stopping)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    send_all(c->fd, step->answer);
    if (step->ending == RESET) {
        usleep(20000);
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    }
    pthread_mutex_lock(&s->lock);
    while (step->ending == STALL && !s->stopping)
        pthread_cond_wait(&s->changed, &s->lock);
    close(c->fd);
    s->n_open--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    free(c);
    return NULL;
}

static void *accept_all(void *context) {
    struct server *s = context;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;) {
        struct connection *c = malloc(sizeof *c);
        pthread_t thread;
        *c = (struct connection){s, fd};
        pthread_mutex_lock(&s->lock);
        s->n_open++;
        pthread_mutex_unlock(&s->lock);
        pthread_create(&thread, NULL, serve_connection, c);
        pthread_detach(thread);
    }
    return NULL;
}

static void server_start(struct server *s, const struct step *steps, size_t n_steps) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
    socklen_t length = sizeof address;
    memset(s, 0, sizeof *s);
    s->steps = steps;
    s->n_steps = n_steps;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    getsockname(s->listener, (struct sockaddr *)&address, &length);
    s->port = ntohs(address.sin_port);
    pthread_create(&s->thread, NULL, accept_all, s);
}

static void server_stop(struct server *s) {
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    while (s->n_open > 0)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* One client, one server and one request after another. */
struct scene {
    struct server server;
    struct http_client *client;
    struct http_response response;
    hearth_error err;
    char url[256], got[256];
    size_t n_got;
};

static struct scene scene;

static hearth_status keep(void *context, const void *data, size_t n, hearth_error *err) {
    struct scene *s = context;
    if (n > sizeof s->got - 1 - s->n_got)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than the test expects");
    memcpy(s->got + s->n_got, data, n);
    s->n_got += n;
    s->got[s->n_got] = '\0';
    return HEARTH_OK;
}

#define BEGIN(...)                                                                                 \
    static const struct step steps[] = {__VA_ARGS__};                                              \
    scene_begin(steps, sizeof steps / sizeof *steps)

static void scene_begin(const struct step *steps, size_t n_steps) {
    static const struct http_options options = {.backoff_ms = 10, .stall_timeout_ms = 1000};
    memset(&scene, 0, sizeof scene);
    server_start(&scene.server, steps, n_steps);
    assert_int_equal(http_client_open(&scene.client, &options, &scene.err), HEARTH_OK);
    snprintf(scene.url, sizeof scene.url, "http://127.0.0.1:%u/x", scene.server.port);
}

static void scene_end(void) {
    http_response_release(&scene.response);
    http_client_close(scene.client);
    server_stop(&scene.server);
}

static hearth_status perform(struct http_request request) {
    if (!request.url) request.url = scene.url;
    request.context = &scene;
    http_response_release(&scene.response);
    return http_perform(scene.client, &request, &scene.response, &scene.err);
}

static void assert_says(const char *words) {
    if (!strstr(scene.err.message, words))
        fail_msg("'%s' is not in '%s'", words, scene.err.message);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"

static void a_plain_answer_is_collected(void **state) {
    (void)state;
    BEGIN({OK_HEAD "X-Thing:  some value \r\nContent-Length: 5\r\n\r\nhello", CLOSE});
    static const char *const headers[] = {"Accept: text/x-test"};
    assert_int_equal(perform((struct http_request){.headers = headers, .n_headers = 1}), HEARTH_OK);
    assert_int_equal(scene.response.status, 200);
    assert_string_equal(buf_text(&scene.response.body), "hello");
    assert_true(scene.response.has_total);
    assert_int_equal(scene.response.total_bytes, 5);
    char value[32], tiny[4];
    assert_true(http_header(&scene.response, "x-thing", value, sizeof value));
    assert_string_equal(value, "some value");
    assert_false(http_header(&scene.response, "x-thing", tiny, sizeof tiny));
    assert_false(http_header(&scene.response, "x-thin", value, sizeof value));
    assert_non_null(strstr(scene.server.requests[0], "User-Agent: hearth/" HEARTH_VERSION "\r\n"));
    assert_non_null(strstr(scene.server.requests[0], "Accept: text/x-test\r\n"));
    assert_int_equal(http_check(&scene.response, &scene.err), HEARTH_OK);
    scene_end();
}

static void a_missing_page_is_an_answer(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nno such\n", CLOSE});
    assert_int_equal(perform((struct http_request){.on_body = keep}), HEARTH_OK);
    assert_int_equal(scene.n_got, 0);
    assert_int_equal(http_check(&scene.response, &scene.err), HEARTH_ERROR_NOT_FOUND);
    assert_says("127.0.0.1:");
    assert_says("status 404 (no such");
    scene_end();
}

static void head_has_no_body(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 5000\r\nETag: \"abc\"\r\n\r\n", CLOSE});
    assert_int_equal(perform((struct http_request){.method = HTTP_HEAD}), HEARTH_OK);
    assert_int_equal(scene.response.total_bytes, 5000);
    assert_memory_equal(scene.server.requests[0], "HEAD /x", 7);
    scene_end();
}

static void a_post_is_sent_once(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", CLOSE});
    struct http_request post = {.method = HTTP_POST, .body = "{\"a\":1}", .body_bytes = 7};
    assert_int_equal(perform(post), HEARTH_OK);
    assert_int_equal(scene.response.status, 500);
    assert_int_equal(scene.server.n_requests, 1);
    assert_non_null(strstr(scene.server.requests[0], "\r\n\r\n{\"a\":1}"));
    scene_end();
}

static void a_redirect_keeps_the_token_at_home(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 302 Found\r\nLocation: ../y?z=1\r\nContent-Length: 3\r\n"
           "Connection: close\r\n\r\nnot",
           CLOSE},
          {OK_HEAD "Content-Length: 2\r\n\r\nok", CLOSE});
    struct http_request get = {.on_body = keep, .authorization = "Bearer secret"};
    assert_int_equal(perform(get), HEARTH_OK);
    assert_string_equal(scene.got, "ok");
    assert_memory_equal(scene.server.requests[1], "GET /y?z=1 ", 11);
    assert_non_null(strstr(scene.server.requests[1], "Authorization: Bearer secret\r\n"));
    assert_non_null(strstr(scene.response.url, "/y?z=1"));
    scene_end();
}

static void a_redirect_elsewhere_drops_the_token(void **state) {
    (void)state;
    static struct server other;
    static const struct step answer[] = {{OK_HEAD "Content-Length: 2\r\n\r\nok", CLOSE}};
    static char redirect[256];
    static struct step steps[] = {{redirect, CLOSE}};
    static const char *const headers[] = {"X-Api-Key: hidden"};
    server_start(&other, answer, 1);
    snprintf(redirect, sizeof redirect,
             "HTTP/1.1 307 Go\r\nConnection: close\r\nContent-Length: 0\r\n"
             "Location: http://127.0.0.1:%u/there\r\n\r\n",
             other.port);
    scene_begin(steps, 1);
    assert_int_equal(perform((struct http_request){
                         .authorization = "Bearer secret", .headers = headers, .n_headers = 1}),
                     HEARTH_OK);
    assert_string_equal(buf_text(&scene.response.body), "ok");
    assert_non_null(strstr(scene.server.requests[0], "Authorization: Bearer secret"));
    assert_memory_equal(other.requests[0], "GET /there", 10);
    assert_null(strstr(other.requests[0], "secret"));
    assert_null(strstr(other.requests[0], "hidden"));
    scene_end();
    server_stop(&other);
}

static void redirects_end(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 301 Go\r\nConnection: close\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n",
           CLOSE});
    assert_int_equal(perform((struct http_request){.max_redirects = 3}), HEARTH_ERROR_FORMAT);
    assert_int_equal(scene.server.n_requests, 4);
    assert_says("redirects in circles");
    assert_int_equal(perform((struct http_request){.max_redirects = HTTP_NO_REDIRECTS}), HEARTH_OK);
    assert_int_equal(scene.response.status, 301);
    scene_end();
}

static void a_redirect_to_a_file_is_refused(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 302 Go\r\nConnection: close\r\nContent-Length: 0\r\n"
           "Location: file:///etc/passwd\r\n\r\n",
           CLOSE});
    assert_int_equal(perform((struct http_request){0}), HEARTH_ERROR_FORMAT);
    scene_end();
}

static void a_redirect_may_be_the_answer(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 302 Go\r\nConnection: close\r\nContent-Length: 0\r\nX-Linked-Etag: \"e\"\r\n"
           "Location: /blob\r\n\r\n",
           CLOSE});
    struct http_request head = {.method = HTTP_HEAD, .answer_header = "X-Linked-Etag"};
    assert_int_equal(perform(head), HEARTH_OK);
    assert_int_equal(scene.response.status, 302);
    assert_int_equal(scene.server.n_requests, 1);
    scene_end();
}

static void server_errors_are_retried(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!", CLOSE},
          {"", RESET}, {OK_HEAD "Content-Length: 2\r\n\r\nok", CLOSE});
    assert_int_equal(perform((struct http_request){.on_body = keep}), HEARTH_OK);
    assert_string_equal(scene.got, "ok");
    assert_int_equal(scene.server.n_requests, 3);
    scene_end();
}

static void retries_end(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 502 Bad\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", CLOSE});
    assert_int_equal(perform((struct http_request){.max_retries = 2}), HEARTH_OK);
    assert_int_equal(scene.response.status, 502);
    assert_int_equal(scene.server.n_requests, 3);
    assert_int_equal(http_check(&scene.response, &scene.err), HEARTH_ERROR_IO);
    assert_says("status 502");
    scene_end();
}

static void retry_after_is_honoured(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 429 Slow\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
           CLOSE},
          {OK_HEAD "Content-Length: 2\r\n\r\nok", CLOSE});
    uint64_t start = clock_now_ns();
    assert_int_equal(perform((struct http_request){0}), HEARTH_OK);
    assert_int_equal(scene.response.status, 200);
    assert_true(clock_seconds_since(start) >= 0.99);
    scene_end();
}

static void a_long_retry_after_is_not_waited_for(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 429 Slow\r\nConnection: close\r\nRetry-After: 9999\r\n"
           "Content-Length: 0\r\n\r\n",
           CLOSE});
    assert_int_equal(perform((struct http_request){0}), HEARTH_OK);
    assert_int_equal(scene.response.status, 429);
    assert_int_equal(scene.server.n_requests, 1);
    scene_end();
}

static void a_cut_body_is_resumed(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 10\r\n\r\n0123", RESET},
          {"HTTP/1.1 206 Part\r\nConnection: close\r\nContent-Range: bytes 4-9/10\r\n"
           "Content-Length: 6\r\n\r\n456",
           CLOSE},
          {"HTTP/1.1 206 Part\r\nConnection: close\r\nContent-Range: bytes 7-9/10\r\n"
           "Content-Length: 3\r\n\r\n789",
           CLOSE});
    assert_int_equal(perform((struct http_request){.on_body = keep}), HEARTH_OK);
    assert_string_equal(scene.got, "0123456789");
    assert_non_null(strstr(scene.server.requests[1], "Range: bytes=4-\r\n"));
    assert_non_null(strstr(scene.server.requests[2], "Range: bytes=7-\r\n"));
    scene_end();
}

static void a_server_without_ranges_is_skipped_through(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 10\r\n\r\n0123", CLOSE},
          {OK_HEAD "Content-Length: 10\r\n\r\n0123456789", CLOSE});
    assert_int_equal(perform((struct http_request){.on_body = keep}), HEARTH_OK);
    assert_string_equal(scene.got, "0123456789");
    scene_end();
}

static void a_range_is_exact(void **state) {
    (void)state;
    BEGIN({"HTTP/1.1 206 Part\r\nConnection: close\r\nContent-Range: bytes 3-6/10\r\n"
           "Content-Length: 4\r\n\r\n3456",
           CLOSE});
    struct http_request range = {.on_body = keep, .range_begin = 3, .range_end = 7};
    assert_int_equal(perform(range), HEARTH_OK);
    assert_string_equal(scene.got, "3456");
    assert_int_equal(scene.response.total_bytes, 10);
    assert_non_null(strstr(scene.server.requests[0], "Range: bytes=3-6\r\n"));
    range.range_begin = 4; /* the server's answer begins at 3 */
    assert_int_equal(perform(range), HEARTH_ERROR_FORMAT);
    assert_says("another range");
    range = (struct http_request){.on_body = keep, .range_begin = 3, .range_end = 5};
    assert_int_equal(perform(range), HEARTH_ERROR_FORMAT);
    assert_says("more bytes");
    scene_end();
}

static void an_ignored_range_is_told_apart(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 10\r\n\r\n0123456789", CLOSE});
    struct http_request range = {.on_body = keep, .range_begin = 3, .range_end = 7};
    assert_int_equal(perform(range), HEARTH_ERROR_UNSUPPORTED);
    assert_true(scene.response.range_ignored);
    assert_int_equal(scene.n_got, 0);
    scene_end();
}

static void a_stall_ends(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 10\r\n\r\n0123", STALL});
    uint64_t start = clock_now_ns();
    struct http_request get = {.on_body = keep, .max_retries = HTTP_NO_RETRIES};
    assert_int_equal(perform(get), HEARTH_ERROR_IO);
    assert_true(clock_seconds_since(start) >= 0.9 && clock_seconds_since(start) < 4);
    assert_says("127.0.0.1:");
    assert_says("not a byte came for 1 s");
    scene_end();
}

static void *set_flag_soon(void *flag) {
    usleep(150000);
    atomic_store((atomic_bool *)flag, true);
    return NULL;
}

static void a_flag_cancels(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 10\r\n\r\n0123", STALL});
    static atomic_bool cancel;
    struct http_options options = {.cancel = &cancel};
    struct http_client *client;
    pthread_t thread;
    assert_int_equal(http_client_open(&client, &options, NULL), HEARTH_OK);
    pthread_create(&thread, NULL, set_flag_soon, &cancel);
    uint64_t start = clock_now_ns();
    struct http_request get = {.url = scene.url};
    assert_int_equal(http_perform(client, &get, &scene.response, &scene.err),
                     HEARTH_ERROR_CANCELLED);
    assert_true(clock_seconds_since(start) < 3);
    pthread_join(thread, NULL);
    http_client_close(client);
    scene_end();
}

static void bodies_have_a_limit(void **state) {
    (void)state;
    BEGIN({OK_HEAD "\r\n0123456789", CLOSE});
    assert_int_equal(perform((struct http_request){.max_body_bytes = 9}), HEARTH_ERROR_LIMIT);
    assert_int_equal(perform((struct http_request){.max_body_bytes = 10}), HEARTH_OK);
    scene_end();
}

static void garbage_is_refused(void **state) {
    (void)state;
    BEGIN({"SSH-2.0-server\r\n\r\n", CLOSE});
    assert_int_equal(perform((struct http_request){.max_retries = 1}), HEARTH_ERROR_IO);
    scene_end();
}

static void endless_headers_are_refused(void **state) {
    (void)state;
    static char flood[HTTP_MAX_HEADER_BYTES * 2] = OK_HEAD;
    size_t length = strlen(flood);
    while (length + 1026 < sizeof flood) {
        memcpy(flood + length, "X-Flood: ", 9);
        memset(flood + length + 9, 'x', 1000);
        memcpy(flood + length + 1009, "\r\n", 3);
        length += 1011;
    }
    static struct step steps[] = {{flood, CLOSE}};
    scene_begin(steps, 1);
    assert_int_equal(perform((struct http_request){0}), HEARTH_ERROR_LIMIT);
    assert_says("header");
    scene_end();
}

static void line_breaks_in_a_token_are_refused(void **state) {
    (void)state;
    BEGIN({OK_HEAD "\r\n", CLOSE});
    assert_int_equal(perform((struct http_request){.authorization = "Bearer a\r\nX: y"}),
                     HEARTH_ERROR_ARGUMENT);
    assert_int_equal(scene.server.n_requests, 0);
    scene_end();
}

static void a_closed_port_is_named(void **state) {
    (void)state;
    BEGIN({"", CLOSE});
    server_stop(&scene.server);
    assert_int_equal(perform((struct http_request){0}), HEARTH_ERROR_IO);
    assert_says("127.0.0.1:");
    assert_says("check the network");
    http_response_release(&scene.response);
    http_client_close(scene.client);
}

/* The server answers only once all four requests have arrived. */
static void started_requests_run_side_by_side(void **state) {
    (void)state;
    BEGIN({OK_HEAD "Content-Length: 2\r\n\r\nok", CROWD_THEN_CLOSE});
    size_t n = 0;
    int marks[CROWD] = {0};
    for (int i = 0; i < CROWD; i++) {
        struct http_transfer *t;
        struct http_request get = {.url = scene.url, .context = &marks[i]};
        assert_int_equal(http_start(scene.client, &get, &t, &scene.err), HEARTH_OK);
    }
    for (struct http_transfer *t; (t = http_next(scene.client)); n++) {
        ++*(int *)http_transfer_context(t);
        assert_int_equal(http_finish(t, &scene.response, &scene.err), HEARTH_OK);
        assert_string_equal(buf_text(&scene.response.body), "ok");
        http_response_release(&scene.response);
    }
    assert_int_equal(n, CROWD);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(marks[i], 1);
    scene_end();
}

static void text_is_escaped(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_true(http_escape(&out, "a/b c\xc3\xa9~", "/"));
    assert_string_equal(out.data, "a/b%20c%C3%A9~");
    buf_release(&out);
    char host[64];
    assert_string_equal(http_host("https://u:p@h.example:81/x", host, sizeof host), "h.example:81");
}

int main(void) {
    unsetenv("http_proxy");
    setenv("NO_PROXY", "127.0.0.1", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_answer_is_collected),
        cmocka_unit_test(a_missing_page_is_an_answer),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(a_post_is_sent_once),
        cmocka_unit_test(a_redirect_keeps_the_token_at_home),
        cmocka_unit_test(a_redirect_elsewhere_drops_the_token),
        cmocka_unit_test(redirects_end),
        cmocka_unit_test(a_redirect_to_a_file_is_refused),
        cmocka_unit_test(a_redirect_may_be_the_answer),
        cmocka_unit_test(server_errors_are_retried),
        cmocka_unit_test(retries_end),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(a_long_retry_after_is_not_waited_for),
        cmocka_unit_test(a_cut_body_is_resumed),
        cmocka_unit_test(a_server_without_ranges_is_skipped_through),
        cmocka_unit_test(a_range_is_exact),
        cmocka_unit_test(an_ignored_range_is_told_apart),
        cmocka_unit_test(a_stall_ends),
        cmocka_unit_test(a_flag_cancels),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(endless_headers_are_refused),
        cmocka_unit_test(line_breaks_in_a_token_are_refused),
        cmocka_unit_test(a_closed_port_is_named),
        cmocka_unit_test(started_requests_run_side_by_side),
        cmocka_unit_test(text_is_escaped),
    };
    return cmocka_run_group_tests_name("net/http", tests, NULL, NULL);
}
