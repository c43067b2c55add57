/* The files of the browser app in the program: those that must be there, in the form that the
 * server sends. */
#include "testdata.h"

#include <string.h>

#include "server/assets.h"

static void need_the_app(void) {
    if (n_assets == 0) {
        print_message("the browser app was not built: npm is not there\n");
        skip();
    }
}

static const struct asset *find(const char *path) {
    for (size_t i = 0; i < n_assets; i++)
        if (strcmp(assets[i].path, path) == 0) return &assets[i];
    return NULL;
}

static void the_page_and_what_it_names_are_there(void **state) {
    (void)state;
    need_the_app();
    assert_non_null(find("/index.html"));
    assert_string_equal(find("/index.html")->content_type, "text/html; charset=utf-8");
    assert_non_null(find("/theme.js"));
    assert_non_null(find("/icon.svg"));
}

static void paths_are_sorted_and_differ(void **state) {
    (void)state;
    need_the_app();
    for (size_t i = 1; i < n_assets; i++)
        assert_true(strcmp(assets[i - 1].path, assets[i].path) < 0);
}

static void everything_is_compressed_and_tagged(void **state) {
    (void)state;
    need_the_app();
    for (size_t i = 0; i < n_assets; i++) {
        size_t tag = strlen(assets[i].etag);
        assert_true(assets[i].length > 18); /* RFC 1952: the header and the trailer */
        assert_memory_equal(assets[i].data, "\x1f\x8b\x08", 3);
        assert_true(tag > 2 && assets[i].etag[0] == '"' && assets[i].etag[tag - 1] == '"');
        assert_non_null(strchr(assets[i].content_type, '/'));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_and_what_it_names_are_there),
        cmocka_unit_test(paths_are_sorted_and_differ),
        cmocka_unit_test(everything_is_compressed_and_tagged),
    };
    return cmocka_run_group_tests_name("web/assets", tests, NULL, NULL);
}
