/* A folder goes with all that is in it, and nothing else does. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/remove_tree.h"
#include "testdata.h"

static char home[64];

static const char *in_home(const char *name) {
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", home, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    snprintf(home, sizeof home, "/tmp/hearth-tree-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return remove_tree(home, NULL) == HEARTH_OK ? 0 : -1;
}

static void test_everything_below_goes(void **state) {
    (void)state;
    assert_int_equal(file_make_folders(in_home("run/checkpoints/deep"), NULL), HEARTH_OK);
    assert_int_equal(file_write(in_home("run/a"), "a", 1, NULL), HEARTH_OK);
    assert_int_equal(file_write(in_home("run/checkpoints/deep/b"), "b", 1, NULL), HEARTH_OK);
    assert_int_equal(file_write(in_home("running"), "c", 1, NULL), HEARTH_OK);
    assert_int_equal(remove_tree(in_home("run"), NULL), HEARTH_OK);
    assert_false(file_exists(in_home("run")));
    assert_true(file_exists(in_home("running")));
    assert_int_equal(remove_tree(in_home("run"), NULL), HEARTH_OK); /* it is gone already */
}

static void test_links_are_not_followed(void **state) {
    (void)state;
    assert_int_equal(file_make_folders(in_home("kept"), NULL), HEARTH_OK);
    assert_int_equal(file_write(in_home("kept/file"), "a", 1, NULL), HEARTH_OK);
    assert_int_equal(file_make_folders(in_home("gone"), NULL), HEARTH_OK);
    assert_int_equal(symlink(in_home("kept"), in_home("gone/link")), 0);
    assert_int_equal(remove_tree(in_home("gone"), NULL), HEARTH_OK);
    assert_false(file_exists(in_home("gone")));
    assert_true(file_exists(in_home("kept/file")));
}

static void test_depth_is_bounded(void **state) {
    struct buf path;
    hearth_error err = {0};
    (void)state;
    buf_init(&path, 1 << 12);
    buf_append_text(&path, "deep");
    for (int i = 0; i < REMOVE_TREE_DEPTH + 2; i++)
        buf_append_text(&path, "/x");
    assert_int_equal(file_make_folders(in_home(buf_text(&path)), NULL), HEARTH_OK);
    buf_release(&path);
    assert_int_equal(remove_tree(in_home("deep"), &err), HEARTH_ERROR_LIMIT);
    assert_non_null(strstr(err.message, "deeper than"));
    assert_int_equal(remove_tree(in_home("deep/x/x/x/x"), NULL), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_below_goes),
        cmocka_unit_test(test_links_are_not_followed),
        cmocka_unit_test(test_depth_is_bounded),
    };
    return cmocka_run_group_tests_name("base/remove_tree", tests, set_up, tear_down);
}
