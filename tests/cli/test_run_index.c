/* The list of tuning runs: added to by many, read with care. */
#include "cli/run_index.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "testdata.h"

static char home[256];

static int set_up(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(home, sizeof home, "%s/hearth-index-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(home) || chdir(home) != 0) return -1;
    return setenv("HEARTH_HOME", home, 1);
}

static int tear_down(void **state) {
    static const char *const names[] = {
        "a/recipe.yaml", "a", "b/a/recipe.yaml", "b/a", "b", "state/runs.jsonl", "state", "."};
    (void)state;
    for (size_t i = 0; i + 1 < sizeof names / sizeof names[0]; i++)
        remove(names[i]);
    return rmdir(home);
}

static void make_run(const char *folder, const char *recipe) {
    assert_int_equal(file_make_folders(folder, NULL), HEARTH_OK);
    assert_int_equal(file_write(recipe, "", 0, NULL), HEARTH_OK);
    assert_int_equal(run_index_add(folder, "2026-01-01T00:00:00Z", NULL), HEARTH_OK);
}

static void assert_ends(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    if (path[0] != '/' || n < m || strcmp(path + n - m, end) != 0)
        fail_msg("'%s' is not an absolute path to '%s'", path, end);
}

static void runs_are_listed_once_and_last_first(void **state) {
    char **folders;
    size_t count;
    (void)state;
    assert_int_equal(run_index_read(&folders, &count, NULL), HEARTH_OK);
    assert_int_equal(count, 0);
    make_run("a", "a/recipe.yaml");
    make_run("b/a", "b/a/recipe.yaml");
    assert_int_equal(run_index_add("a", "2026-01-02T00:00:00Z", NULL), HEARTH_OK);
    assert_int_equal(run_index_add("gone", "2026-01-02T00:00:00Z", NULL), HEARTH_OK);
    assert_int_equal(run_index_read(&folders, &count, NULL), HEARTH_OK);
    assert_int_equal(count, 2);
    assert_ends(folders[0], "/a");
    assert_ends(folders[1], "/b/a");
    file_names_free(folders, count);
}

/* As a killed process or a hostile hand leaves them. */
static void damaged_lines_are_passed_over(void **state) {
    static const char damage[] = "\n{\"folder\": 3}\n[]\nnull\n\xff\xfe\n{\"folder\": \"/b";
    char **folders;
    size_t count;
    (void)state;
    assert_int_equal(file_append("state/runs.jsonl", damage, sizeof damage, NULL), HEARTH_OK);
    assert_int_equal(run_index_read(&folders, &count, NULL), HEARTH_OK);
    assert_int_equal(count, 2);
    file_names_free(folders, count);
}

static void a_run_is_found_by_folder_or_name(void **state) {
    char *folder;
    hearth_error err;
    (void)state;
    assert_int_equal(run_index_find("b/a", &folder, NULL), HEARTH_OK);
    assert_string_equal(folder, "b/a");
    mem_free(folder);
    assert_int_equal(chdir("b"), 0);
    remove("a/recipe.yaml");
    assert_int_equal(run_index_find("a", &folder, NULL), HEARTH_OK);
    assert_int_equal(chdir(".."), 0);
    assert_ends(folder, "/a");
    mem_free(folder);
    assert_int_equal(run_index_find("nothing-alike", &folder, &err), HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "hearth tune list"));
    assert_null(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_listed_once_and_last_first),
        cmocka_unit_test(damaged_lines_are_passed_over),
        cmocka_unit_test(a_run_is_found_by_folder_or_name),
    };
    return cmocka_run_group_tests_name("cli/run_index", tests, set_up, tear_down);
}
