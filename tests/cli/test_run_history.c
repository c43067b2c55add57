/* The history of tuning runs: what it knows, and what folders say of themselves. */
#include "cli/run_history.h"

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
    snprintf(home, sizeof home, "%s/hearth-history-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(home) || chdir(home) != 0) return -1;
    return setenv("HEARTH_HOME", home, 1);
}

static int tear_down(void **state) {
    static const char *const names[] = {"a/recipe.yaml",
                                        "a/run.json",
                                        "a",
                                        "b/a/recipe.yaml",
                                        "b/a/run.json",
                                        "b/a",
                                        "b",
                                        "data/hearth.db",
                                        "data",
                                        "state/runs.jsonl",
                                        "state/runs.lock",
                                        "state/runs.taken",
                                        "state"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        remove(names[i]);
    return rmdir(home);
}

static void put_run(const char *folder, const char *began) {
    char path[64], facts[256];
    assert_int_equal(file_make_folders(folder, NULL), HEARTH_OK);
    snprintf(path, sizeof path, "%s/recipe.yaml", folder);
    assert_int_equal(file_write(path, "", 0, NULL), HEARTH_OK);
    snprintf(path, sizeof path, "%s/run.json", folder);
    snprintf(facts, sizeof facts,
             "{\"started\": \"%s\", \"state\": \"finished\", \"step\": 7, \"steps\": 9, "
             "\"data\": [\"x.jsonl\"], \"loss\": 0.5}",
             began);
    assert_int_equal(file_write(path, facts, strlen(facts), NULL), HEARTH_OK);
}

static void note(const char *folder) {
    struct store *store;
    hearth_error err = {0};
    if (run_history_open(&store, &err) != HEARTH_OK ||
        run_history_note(store, folder, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    store_close(store);
}

static void assert_ends(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    if (path[0] != '/' || n < m || strcmp(path + n - m, end) != 0)
        fail_msg("'%s' is not an absolute path to '%s'", path, end);
}

static const char *text_in(const json_t *facts, const char *key) {
    const char *text = json_string_value(json_object_get(facts, key));
    return text ? text : "";
}

static bool is_missing(const json_t *facts) {
    return json_is_true(json_object_get(facts, "missing"));
}

static json_t *list(size_t expected) {
    json_t *runs;
    hearth_error err = {0};
    if (run_history_list(&runs, &err) != HEARTH_OK) fail_msg("%s", err.message);
    assert_int_equal(json_array_size(runs), expected);
    return runs;
}

static void runs_are_listed_the_last_one_first(void **state) {
    (void)state;
    json_decref(list(0));
    put_run("a", "2026-01-01T00:00:00Z");
    note("a");
    put_run("b/a", "2026-01-02T00:00:00Z");
    note("b/a");
    note("a");
    json_t *runs = list(2);
    assert_ends(text_in(json_array_get(runs, 0), "folder"), "/b/a");
    assert_ends(text_in(json_array_get(runs, 1), "folder"), "/a");
    assert_string_equal(text_in(json_array_get(runs, 1), "name"), "a");
    assert_false(is_missing(json_array_get(runs, 1)));
    json_decref(runs);
}

/* As versions before the database, or a process that could not open it, left them; as a killed
 * process or a hostile hand did. */
static void lines_that_waited_are_taken_over(void **state) {
    static const char damage[] = "\n{\"folder\": 3}\n[]\nnull\n\xff\xfe\n{\"folder\": \"/b";
    (void)state;
    assert_int_equal(run_history_postpone("a", "2026-01-01T00:00:00Z", NULL), HEARTH_OK);
    assert_int_equal(run_history_postpone("gone", "2025-12-31T00:00:00Z", NULL), HEARTH_OK);
    assert_int_equal(file_append("state/runs.jsonl", damage, sizeof damage, NULL), HEARTH_OK);
    json_t *runs = list(3);
    const json_t *gone = json_array_get(runs, 2);
    assert_ends(text_in(gone, "folder"), "/gone");
    assert_string_equal(text_in(gone, "started"), "2025-12-31T00:00:00Z");
    assert_true(is_missing(gone));
    json_decref(runs);
    assert_false(file_exists("state/runs.jsonl"));
    assert_int_equal(rename("state/runs.lock", "state/runs.taken"), 0);
    json_decref(list(3));
}

static void a_run_is_found_by_folder_name_or_id(void **state) {
    char *folder, id[24];
    json_t *facts;
    hearth_error err;
    (void)state;
    assert_int_equal(run_history_folder("b/a", &folder, NULL), HEARTH_OK);
    assert_string_equal(folder, "b/a");
    mem_free(folder);
    assert_int_equal(chdir("b/a"), 0);
    assert_int_equal(run_history_find("a", &facts, NULL), HEARTH_OK);
    assert_ends(text_in(facts, "folder"), "/b/a");
    snprintf(id, sizeof id, "%d", (int)json_integer_value(json_object_get(facts, "id")));
    json_decref(facts);
    assert_int_equal(run_history_folder(id, &folder, NULL), HEARTH_OK);
    assert_ends(folder, "/b/a");
    mem_free(folder);
    assert_int_equal(chdir("../.."), 0);
    assert_int_equal(run_history_folder("nothing-alike", &folder, &err), HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "hearth tune list"));
    assert_int_equal(run_history_folder("gine", &folder, &err), HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean 'gone'"));
}

/* What was known of them stays known. */
static void folders_that_are_gone_are_said_to_be(void **state) {
    char *folder;
    json_t *facts;
    hearth_error err;
    (void)state;
    put_run("a", "2026-01-05T00:00:00Z"); /* another run */
    json_t *runs = list(3);
    assert_true(is_missing(json_array_get(runs, 1)));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(runs, 1), "step")), 7);
    json_decref(runs);
    remove("b/a/recipe.yaml");
    remove("a/recipe.yaml");
    assert_int_equal(run_history_find("a", &facts, NULL), HEARTH_OK);
    assert_ends(text_in(facts, "folder"), "/b/a");
    assert_string_equal(text_in(facts, "state"), "finished");
    assert_string_equal(json_string_value(json_array_get(json_object_get(facts, "data"), 0)),
                        "x.jsonl");
    assert_true(json_real_value(json_object_get(facts, "loss")) == 0.5);
    json_decref(facts);
    assert_int_equal(run_history_folder("a", &folder, &err), HEARTH_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.message, "give its path"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_listed_the_last_one_first),
        cmocka_unit_test(lines_that_waited_are_taken_over),
        cmocka_unit_test(a_run_is_found_by_folder_name_or_id),
        cmocka_unit_test(folders_that_are_gone_are_said_to_be),
    };
    return cmocka_run_group_tests_name("cli/run_history", tests, set_up, tear_down);
}
