/* The app's files by HTTP, of a table of the test's own: what is sent to whom, and compressed or
 * not. */
#include <string.h>

#include "server/assets.h"
#include "serving.h"

static const unsigned char page[] = "(the page)", script[] = "(the script)";
static const struct asset table[] = {
    {"/assets/app.js", "text/javascript", script, sizeof script - 1, "\"s1\""},
    {"/index.html", "text/html; charset=utf-8", page, sizeof page - 1, "\"p1\""},
};
const struct asset *const assets = table;
const size_t n_assets = 2;

static const struct script nothing = {.rounds = 1};
static struct serving s;

static int set_up(void **state) {
    (void)state;
    serving_begin(&s, scripted_open(&nothing), NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    serving_end(&s);
    return 0;
}

/* `encoding` of the reply; NULL: it has none. */
static void expect(const char *path, const char *extra, int status, const char *encoding,
                   const char *part) {
    struct wire_reply reply;
    int found = wire_ask(s.port, "GET", path, extra, NULL, &reply);
    const char *name = wire_header(&reply, "Content-Encoding");
    if (found != status) fail_msg("%s %s: %d, not %d", path, extra, found, status);
    assert_true((name == NULL) == (encoding == NULL));
    if (name) assert_string_equal(name, encoding);
    if (!strstr(buf_text(&reply.body), part)) fail_msg("%s", buf_text(&reply.body));
    assert_string_equal(wire_header(&reply, "Vary"), "Accept-Encoding, Origin");
    wire_release(&reply);
}

static void test_browsers_get_the_app(void **state) {
    static const char browser[] = "Accept-Encoding: gzip, deflate, br\r\n";
    (void)state;
    expect("/", browser, 200, "gzip", "(the page)");
    expect("/index.html", browser, 200, "gzip", "(the page)");
    expect("/assets/app.js", browser, 200, "gzip", "(the script)");
    expect("/", "Accept-Encoding: gzip\r\nIf-None-Match: \"p1\"\r\n", 304, "gzip", "");
}

static void test_others_are_told(void **state) {
    static const char none[] = "Accept-Encoding: gzip;q=0, identity\r\n";
    (void)state;
    expect("/", "", 200, NULL, "browsers get the app");
    expect("/", none, 200, NULL, "browsers get the app");
    expect("/assets/app.js", "", 200, "gzip", "(the script)");
    expect("/assets/app.js", none, 406, NULL, "gzip only");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_browsers_get_the_app, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_told, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("server/http_page", tests, NULL, NULL);
}
