/* hearth serve as a process: where it listens, what it refuses, how it ends, and what a signal
 * has it read again. */
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../server/tls_client.h"
#include "base/clock.h"
#include "base/mem.h"
#include "program.h"

static const char model[] = "models/stories260K/stories260K.gguf";

/* The port that the program prints, once it does; 0: it ended without. */
static unsigned await_port(void) {
    for (int i = 0; i < 2000; i++) {
        char *text = NULL; /* the file may not be there yet */
        size_t size;
        clock_rest(10000000);
        if (file_read(program_path("stdout"), 1 << 16, &text, &size, NULL) != HEARTH_OK) continue;
        const char *at = strstr(text, "127.0.0.1:");
        unsigned port = at && strchr(at, '(') ? (unsigned)strtoul(at + 10, NULL, 10) : 0;
        mem_free(text);
        if (port) return port;
    }
    return 0;
}

static bool answers(unsigned port, const char *request, const char *expected) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char reply[8192];
    size_t length = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
        for (ssize_t n; length + 1 < sizeof reply &&
                        (n = recv(fd, reply + length, sizeof reply - 1 - length, 0)) > 0;)
            length += (size_t)n;
    reply[length] = '\0';
    close(fd);
    return strstr(reply, expected) != NULL;
}

static void test_serves_until_told_to_stop(void **state) {
    static const char health[] =
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const char ask[] =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Length: 47\r\n\r\n{\"prompt\":\"Once\",\"max_tokens\":4,\"model\":\"tale\"}";
    (void)state;
    const char *args[] = {"serve", testdata(model), "--port", "0", "--alias", "tale", "--threads",
                          "1",     "--log-file",    NULL,     NULL};
    char log_path[1024];
    snprintf(log_path, sizeof log_path, "%s", program_path("log"));
    args[9] = log_path;
    pid_t child = program_start(NULL, args);
    unsigned port = await_port();
    assert_true(port > 0);
    assert_true(answers(port, health, "\"status\":\"ok\""));
    char moved[1024];
    snprintf(moved, sizeof moved, "%s", program_path("moved"));
    assert_int_equal(rename(log_path, moved), 0);
    kill(child, SIGUSR1);
    for (int i = 0; i < 1000 && !file_exists(log_path); i++)
        clock_rest(10000000);
    assert_true(answers(port, ask, "text_completion"));
    kill(child, SIGTERM);
    assert_int_equal(program_wait(child), 0);
    char *log;
    size_t size;
    assert_int_equal(file_read(log_path, 1 << 16, &log, &size, NULL), HEARTH_OK);
    assert_non_null(strstr(log, "\"path\":\"/v1/completions\""));
    assert_null(strstr(log, "Once"));
    mem_free(log);
    assert_false(answers(port, health, "HTTP"));
}

static void put_model(const char *name) {
    struct file_map map;
    assert_int_equal(file_map_open(&map, testdata(model), NULL), HEARTH_OK);
    assert_int_equal(file_write(program_path(name), map.data, map.size, NULL), HEARTH_OK);
    file_map_close(&map);
}

#define POST(path, length, body)                                                                   \
    "POST " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: " length    \
    "\r\n\r\n" body

/* Two that are named, and one that comes when it is asked for and takes the place of none. */
static void test_several_models(void **state) {
    char anna[1024], bert[1024], folder[1024];
    (void)state;
    put_model("anna.gguf");
    put_model("bert.gguf");
    put_model("carl.gguf");
    snprintf(anna, sizeof anna, "%s", program_path("anna.gguf"));
    snprintf(bert, sizeof bert, "%s", program_path("bert.gguf"));
    snprintf(folder, sizeof folder, "%s", program_path("."));
    setenv("HEARTH_MODELS", folder, 1);
    const char *args[] = {"serve", anna, bert,           "--port", "0", "--threads",
                          "1",     "-q", "--max-models", "2",      NULL};
    pid_t child = program_start(NULL, args);
    clock_rest(100000000);
    unsigned port = await_port();
    unsetenv("HEARTH_MODELS");
    assert_true(port > 0);
    assert_true(answers(port,
                        POST("/v1/completions", "32", "{\"prompt\":\"Once\",\"max_tokens\":2}"),
                        "\"model\":\"anna\""));
    assert_true(answers(
        port,
        POST("/v1/completions", "47", "{\"prompt\":\"Once\",\"max_tokens\":2,\"model\":\"bert\"}"),
        "\"model\":\"bert\""));
    assert_true(answers(
        port,
        POST("/v1/completions", "47", "{\"prompt\":\"Once\",\"max_tokens\":2,\"model\":\"carl\"}"),
        "--max-models"));
    assert_true(
        answers(port, POST("/api/hearth/v1/models/unload", "15", "{\"name\":\"bert\"}"), " 200 "));
    assert_true(answers(
        port,
        POST("/v1/completions", "47", "{\"prompt\":\"Once\",\"max_tokens\":2,\"model\":\"carl\"}"),
        "\"model\":\"carl\""));
    kill(child, SIGTERM);
    assert_int_equal(program_wait(child), 0);
}

static void test_refuses_to_be_open(void **state) {
    (void)state;
    assert_int_equal(
        RUN("serve", testdata(model), "--threads", "1", "--host", "0.0.0.0", "--port", "0"), 1);
    assert_non_null(strstr(program_err(), "there are no keys"));
}

static bool says(const char *text) {
    char *err;
    size_t size;
    assert_int_equal(file_read(program_path("stderr"), 1 << 20, &err, &size, NULL), HEARTH_OK);
    bool found = strstr(err, text) != NULL;
    mem_free(err);
    return found;
}

static void expect_said(const char *text) {
    for (int i = 0; i < 1000 && !says(text); i++)
        clock_rest(10000000);
    if (!says(text)) fail_msg("'%s' was not said", text);
}

static void test_certificate_is_read_again(void **state) {
    struct tls_tunnel tunnel;
    char certificate[1024], key[1024];
    (void)state;
    snprintf(certificate, sizeof certificate, "%s", program_path("cert.pem"));
    snprintf(key, sizeof key, "%s", program_path("key.pem"));
    tls_make_certificate("one", certificate, key);
    const char *args[] = {"serve",     testdata(model), "--port", "0",
                          "--quiet",   "--threads",     "1",      "--tls-cert",
                          certificate, "--tls-key",     key,      NULL};
    pid_t child = program_start(NULL, args);
    unsigned port = await_port();
    assert_true(port > 0);
    assert_int_equal(remove(key), 0);
    kill(child, SIGHUP);
    expect_said("the former certificate stays: cannot open");
    tls_make_certificate("two", certificate, key);
    kill(child, SIGHUP);
    expect_said("the certificate was read again");
    int fd = tls_tunnel_open(&tunnel, port, NULL);
    assert_true(fd >= 0);
    assert_string_equal(tunnel.peer, "two");
    close(fd);
    tls_tunnel_close(&tunnel);
    kill(child, SIGTERM);
    assert_int_equal(program_wait(child), 0);
}

static void test_a_closed_terminal_ends_it(void **state) {
    (void)state;
    const char *args[] = {"serve", testdata(model), "--port", "0", "--threads", "1", NULL};
    pid_t child = program_start(NULL, args);
    assert_true(await_port() > 0);
    kill(child, SIGHUP);
    assert_int_equal(program_wait(child), 128 + SIGHUP);
}

static void test_mistakes(void **state) {
    (void)state;
    assert_int_equal(RUN("serve", "/nowhere/model.gguf"), 1);
    assert_int_equal(RUN("serve", testdata(model), "--host", "127.0.0.1:notaport"), 1);
    assert_non_null(strstr(program_err(), "port"));
    assert_int_equal(RUN("serve", testdata(model), "--port", "70000"), 2);
    assert_int_equal(RUN("serve", testdata(model), "--api-key-file", "/nowhere/keys"), 1);
    assert_int_equal(RUN("serve", testdata(model), "--threads", "1", "--host", "no such host"), 1);
    assert_int_equal(RUN("serve", testdata(model), "--threads", "1", "--tls-cert", "c.pem"), 1);
    assert_non_null(strstr(program_err(), "--tls-key"));
    assert_int_equal(RUN("serve", testdata(model), "--keep-alive", "a while"), 1);
    assert_non_null(strstr(program_err(), "--keep-alive"));
    assert_int_equal(RUN("serve", testdata(model), testdata(model)), 1);
    assert_non_null(strstr(program_err(), "both be called"));
    assert_int_equal(RUN("serve", testdata(model), "--threads", "1", "--max-memory", "1M"), 1);
    assert_non_null(strstr(program_err(), "--max-memory"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serves_until_told_to_stop, program_set_up,
                                        program_tear_down),
        cmocka_unit_test_setup_teardown(test_several_models, program_set_up, program_tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_to_be_open, program_set_up, program_tear_down),
        cmocka_unit_test_setup_teardown(test_certificate_is_read_again, program_set_up,
                                        program_tear_down),
        cmocka_unit_test_setup_teardown(test_a_closed_terminal_ends_it, program_set_up,
                                        program_tear_down),
        cmocka_unit_test_setup_teardown(test_mistakes, program_set_up, program_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
