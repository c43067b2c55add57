/* Who may read what is written. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/private_file.h"
#include "base/remove_tree.h"
#include "testdata.h"

static char home[64];
static bool mask_was_touched;

/* Takes the place of the library's: a mask that is changed for a moment is so for all threads. */
mode_t umask(mode_t mask) {
    mask_was_touched = true;
    return (mode_t)syscall(SYS_umask, mask);
}

static const char *in_home(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

static unsigned mode_of(const char *name) {
    struct stat info;
    assert_int_equal(stat(in_home(name), &info), 0);
    return (unsigned)info.st_mode & 07777u;
}

static int set_up(void **state) {
    (void)state;
    snprintf(home, sizeof home, "/tmp/hearth-modes-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    syscall(SYS_umask, 022);
    return remove_tree(home, NULL) == HEARTH_OK ? 0 : -1;
}

static void test_files_follow_the_mask(void **state) {
    (void)state;
    syscall(SYS_umask, 027);
    assert_int_equal(file_write(in_home("a"), "a", 1, NULL), HEARTH_OK);
    assert_int_equal(mode_of("a"), 0640);
    syscall(SYS_umask, 077);
    assert_int_equal(file_write(in_home("a"), "b", 1, NULL), HEARTH_OK);
    assert_int_equal(mode_of("a"), 0600);
    assert_false(mask_was_touched);
}

static void test_private_folders(void **state) {
    (void)state;
    syscall(SYS_umask, 022);
    assert_int_equal(private_folder_make(in_home("below/new"), NULL), HEARTH_OK);
    assert_int_equal(mode_of("below/new"), 0700);
    assert_int_equal(file_make_folders(in_home("old"), NULL), HEARTH_OK);
    assert_int_equal(mode_of("old"), 0755);
    assert_int_equal(private_folder_make(in_home("old"), NULL), HEARTH_OK);
    assert_int_equal(mode_of("old"), 0700);
    assert_int_equal(file_write(in_home("file"), "", 0, NULL), HEARTH_OK);
    assert_int_not_equal(private_folder_make(in_home("file"), NULL), HEARTH_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files_follow_the_mask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_private_folders, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
