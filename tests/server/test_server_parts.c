/* Hosts, origins, addresses, targets, keys and limits, one by one. */
#include "testdata.h"

#include <string.h>

#include "server/access_log.h"
#include "server/http_accept.h"
#include "server/http_auth.h"
#include "server/http_guard.h"
#include "server/http_target.h"
#include "server/json_depth.h"
#include "server/limits.h"
#include "server/metrics.h"

#define SECOND UINT64_C(1000000000)

static void test_hosts(void **state) {
    static const char *const own[] = {"localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:1",
                                      "10.1.2.3",  "[::1]",        "[fe80::1]:9", "mine.example"};
    static const char *const others[] = {"evil.example", "localhost.example", "127.0.0.1.example",
                                         "xlocalhost",   ".example",          "notmine.example"};
    static const char *const broken[] = {"",         "a b",    "a:",    "a:b", "a:123456",
                                         "[::1",     "[::1]x", "[a]:1", "a/b", "a@b",
                                         "a\r\nb:c", "::1",    "a:1:2", "a?b", "[]"};
    const struct option_list names = {{"mine.example"}, 1};
    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (!guard_host_is_own(own[i], &names)) fail_msg("'%s' is not known", own[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (guard_host_is_own(others[i], &names)) fail_msg("'%s' is taken", others[i]);
        assert_true(guard_host_is_valid(others[i]));
    }
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        if (guard_host_is_valid(broken[i])) fail_msg("'%s' is valid", broken[i]);
}

static void test_encodings(void **state) {
    static const char *const taken[] = {
        "gzip",   "deflate, gzip;q=1.0, *;q=0.5", "GZIP",           "*",
        "x-gzip", "br;q=0,gzip ; q=0.001",        "identity;q=0, *"};
    static const char *const refused[] = {
        "",        "identity", "gzip;q=0", "br, gzip;q=0.000", "*;q=0", "gzip;q=0, *;q=1",
        "gzipped", "not-gzip", ",,;",      "gzip;q="};
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (!http_accepts_gzip(taken[i])) fail_msg("'%s' takes gzip", taken[i]);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (http_accepts_gzip(refused[i])) fail_msg("'%s' does not take gzip", refused[i]);
}

static void test_request_ids(void **state) {
    char longest[HTTP_REQUEST_ID_BYTES + 1];
    (void)state;
    memset(longest, 'a', sizeof longest);
    longest[HTTP_REQUEST_ID_BYTES] = '\0';
    assert_false(http_request_id_is_valid(longest));
    assert_true(http_request_id_is_valid(longest + 1));
    assert_true(http_request_id_is_valid("0f3c8a52-7b1e-4c7a-9f57-1d1d0a6f4d6e"));
    assert_false(http_request_id_is_valid(""));
    assert_false(http_request_id_is_valid("a b"));
    assert_false(http_request_id_is_valid("a\r\nSet-Cookie: b"));
    assert_false(http_request_id_is_valid("\"quoted\""));
}

static void test_origins(void **state) {
    const struct option_list some = {{"https://a.example", "http://b.example:81"}, 2};
    const struct option_list any = {{"*"}, 1}, none = {{NULL}, 0};
    (void)state;
    assert_true(guard_origin_is_own("http://localhost:8484", "localhost:8484", false));
    assert_true(guard_origin_is_own("https://Hearth.example", "hearth.example", false));
    assert_true(guard_origin_is_own("https://hearth.example", "hearth.example", true));
    assert_false(guard_origin_is_own("http://hearth.example", "hearth.example", true));
    assert_false(guard_origin_is_own("http://localhost:8485", "localhost:8484", false));
    assert_false(guard_origin_is_own("null", "null", false));
    assert_false(guard_origin_is_own("file://localhost", "localhost", false));
    assert_true(guard_origin_is_allowed("https://a.example", &some));
    assert_false(guard_origin_is_allowed("http://a.example", &some));
    assert_false(guard_origin_is_allowed("http://b.example", &some));
    assert_true(guard_origin_is_allowed("null", &any));
    assert_false(guard_origin_is_allowed("null", &none));
}

static void test_loopback(void **state) {
    (void)state;
    assert_true(guard_is_loopback("127.0.0.1"));
    assert_true(guard_is_loopback("127.9.9.9"));
    assert_true(guard_is_loopback("::1"));
    assert_true(guard_is_loopback("localhost"));
    assert_false(guard_is_loopback("0.0.0.0"));
    assert_false(guard_is_loopback("::"));
    assert_false(guard_is_loopback("128.0.0.1"));
    assert_false(guard_is_loopback("my.machine"));
}

static void test_targets(void **state) {
    static const char *const broken[] = {"",      "v1",       "/a%2", "/a%g0",  "/%00",   "/a/../b",
                                         "/a/..", "/%2e%2e/", "/.",   "/a%0ab", "/a/./b", "/\x7f"};
    char path[16];
    (void)state;
    assert_true(http_target_path("/a%20b?c=/../", path, sizeof path));
    assert_string_equal(path, "/a b");
    assert_true(http_target_path("/..a/b../...", path, sizeof path));
    assert_true(http_target_path("/123456789012345", path, sizeof path) == false);
    assert_true(http_target_path("/12345678901234", path, sizeof path));
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        if (http_target_path(broken[i], path, sizeof path)) fail_msg("'%s' is taken", broken[i]);
}

static bool within(const char *text, unsigned most) {
    return json_depth_within(text, strlen(text), most, 100);
}

static void test_number_of_values(void **state) {
    static const char text[] = "[1,{\"a\":2,\"b\":[]},\",,,,\"]"; /* 6 with the outermost */
    (void)state;
    assert_true(json_depth_within(text, sizeof text - 1, 9, 7));
    assert_false(json_depth_within(text, sizeof text - 1, 9, 5));
}

static void test_depth(void **state) {
    (void)state;
    assert_true(within("[[1,2],{\"a\":[]}]", 3));
    assert_false(within("[[1,2],{\"a\":[]}]", 2));
    assert_true(within("[\"[[[[\\\"[[[\"]", 1));
    assert_false(within("[\"\\\\\",[", 1));
    assert_true(within("]]]]", 0));
    assert_true(within("\"[", 0));
}

/* ---- keys -------------------------------------------------------------------------------- */

static void test_keys(void **state) {
    struct key_list list = {0};
    struct key_identity who;
    size_t n;
    const struct key_check check = key_list_check(&list);
    (void)state;
    assert_false(check.any(check.context));
    assert_int_equal(key_list_add(&list, "", 0, NULL), HEARTH_ERROR_ARGUMENT);
    assert_int_equal(key_list_add(&list, "first", 5, NULL), HEARTH_OK);
    assert_int_equal(key_list_add(&list, "second", 6, NULL), HEARTH_OK);
    assert_true(check.any(check.context));
    assert_true(check.check(check.context, "second", 6, &who));
    assert_string_equal(who.id, "key-2");
    assert_false(check.check(check.context, "second", 5, &who));
    assert_false(check.check(check.context, "", 0, &who));
    assert_memory_equal(auth_bearer("Bearer abc  ", &n), "abc", 3);
    assert_int_equal(n, 3);
    assert_null(auth_bearer("Bearerabc", &n));
    assert_null(auth_bearer("Bearer   ", &n));
    assert_null(auth_bearer("Basic abc", &n));
}

static void test_key_file(void **state) {
    static const char text[] = "# for the team\n  one \r\n\n\ttwo\nthree";
    char path[] = "/tmp/hearth-keys-XXXXXX";
    struct key_list list = {0};
    struct key_identity who;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write(path, text, sizeof text - 1, NULL), HEARTH_OK);
    assert_int_equal(key_list_read(&list, path, NULL), HEARTH_OK);
    assert_int_equal(list.count, 3);
    const struct key_check check = key_list_check(&list);
    assert_true(check.check(check.context, "one", 3, &who));
    assert_true(check.check(check.context, "three", 5, &who));
    assert_int_equal(file_write(path, "# none\n", 7, NULL), HEARTH_OK);
    assert_int_equal(key_list_read(&list, path, NULL), HEARTH_ERROR_ARGUMENT);
    remove(path);
}

/* ---- limits ------------------------------------------------------------------------------- */

static struct limits *limits;
static unsigned retry_s;
static const char *exhausted;

static bool may(const struct key_identity *key, uint64_t now_ns) {
    return limits_begin(limits, key, now_ns, &retry_s, &exhausted);
}

static void test_requests_a_minute(void **state) {
    const struct key_identity key = {"a", {.requests_per_minute = 2}}, other = {"b", {0}};
    (void)state;
    assert_int_equal(limits_open(&limits, NULL), HEARTH_OK);
    assert_true(may(&key, SECOND));
    assert_true(may(&key, SECOND));
    assert_false(may(&key, SECOND));
    assert_int_equal(retry_s, 30);
    assert_string_equal(exhausted, "requests a minute");
    assert_true(may(&other, SECOND));
    assert_false(may(&key, 30 * SECOND));
    assert_true(may(&key, 31 * SECOND));
    assert_false(may(&key, 31 * SECOND));
    assert_true(may(&key, 1000 * SECOND)); /* no more than a minute's is saved up */
    assert_true(may(&key, 1000 * SECOND));
    assert_false(may(&key, 1000 * SECOND));
    limits_close(limits);
}

static void test_tokens_a_minute(void **state) {
    const struct key_identity key = {"a", {.tokens_per_minute = 60}};
    (void)state;
    assert_int_equal(limits_open(&limits, NULL), HEARTH_OK);
    assert_true(may(&key, SECOND));
    limits_count_tokens(limits, &key, 90, SECOND);
    assert_false(may(&key, SECOND));
    assert_int_equal(retry_s, 31); /* 30 to make up for, and one for the next */
    assert_true(may(&key, 33 * SECOND));
    limits_close(limits);
}

static void test_requests_at_a_time(void **state) {
    const struct key_identity key = {"a", {.concurrent = 2}};
    (void)state;
    assert_int_equal(limits_open(&limits, NULL), HEARTH_OK);
    assert_true(may(&key, SECOND));
    assert_true(may(&key, SECOND));
    assert_false(may(&key, SECOND));
    limits_end(limits, &key);
    assert_true(may(&key, SECOND));
    limits_close(limits);
}

static void test_many_keys(void **state) {
    struct key_identity key = {"", {.concurrent = 1}};
    (void)state;
    assert_int_equal(limits_open(&limits, NULL), HEARTH_OK);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++) {
            snprintf(key.id, sizeof key.id, "key %d", i);
            assert_int_equal(may(&key, SECOND), round == 0);
        }
    limits_close(limits);
}

/* ---- metrics -------------------------------------------------------------------------------- */

/* ---- the log -------------------------------------------------------------------------------- */

static void keep_line(void *context, const char *line, size_t n) {
    *(json_t **)context = json_loadb(line, n, 0, NULL);
}

/* A long body is cut, and never within a character. */
static void test_logged_bodies(void **state) {
    enum { LEAST_BYTES = 30000, BODY_BYTES = 100001 };
    static char body[BODY_BYTES];
    json_t *line = NULL;
    const struct access_log log = {.write = keep_line, .context = &line, .bodies = true};
    (void)state;
    for (size_t first = 0; first < 2; first++) {
        for (size_t i = 0; i + 1 < sizeof body - first; i += 2)
            memcpy(body + first + i, "\u00e9", 2);
        body[0] = first ? 'a' : body[0];
        const struct access_entry entry = {
            .id = "1", .body = body, .body_bytes = sizeof body - 1 + first, .first_seconds = -1};
        access_log_put(&log, &entry);
        const json_t *said = json_object_get(line, "body");
        assert_true(json_string_length(said) > LEAST_BYTES);
        assert_true(json_string_length(said) < BODY_BYTES);
        assert_memory_equal(json_string_value(said), body, json_string_length(said));
        json_decref(line);
    }
}

static void test_metrics(void **state) {
    static struct metrics metrics;
    static const char *const names[] = {"/a", "/b"};
    const struct metrics_now now = {.running = 2, .uptime_seconds = 1.5};
    const struct event_usage usage = {.n_prompt = 10, .n_cached = 4, .n_answer = 5};
    struct buf out;
    (void)state;
    metrics_count_request(&metrics, 1, 200, 0.003);
    metrics_count_request(&metrics, 1, 200, 100);
    metrics_count_request(&metrics, 0, 599, 0);
    metrics_count_usage(&metrics, &usage);
    buf_init(&out, 1 << 20);
    metrics_put(&metrics, &now, names, 2, &out);
    static const char *const expected[] = {
        "hearth_requests_total{endpoint=\"/b\",status=\"200\"} 2\n",
        "hearth_requests_total{endpoint=\"/a\",status=\"other\"} 1\n",
        "hearth_request_seconds_bucket{le=\"0.0025\"} 1\n",
        "hearth_request_seconds_bucket{le=\"0.005\"} 2\n",
        "hearth_request_seconds_bucket{le=\"60\"} 2\n",
        "hearth_request_seconds_bucket{le=\"+Inf\"} 3\n",
        "hearth_request_seconds_count 3\n",
        "llamacpp:prompt_tokens_total 6\n",
        "hearth_answer_tokens_total 5\n",
        "hearth_requests_running 2\n",
        "hearth_uptime_seconds 1.5\n"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (!strstr(buf_text(&out), expected[i])) fail_msg("%s is missing", expected[i]);
    assert_false(out.failed);
    buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_number_of_values),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_key_file),
        cmocka_unit_test(test_requests_a_minute),
        cmocka_unit_test(test_tokens_a_minute),
        cmocka_unit_test(test_requests_at_a_time),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_logged_bodies),
        cmocka_unit_test(test_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
