/* hearth tune: what is wrong is said at once, by name or line, and nothing is lost. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "tune_model.h"

/* Nothing was begun: not even the folder is there. */
static void assert_refused(const char *data, const char *part) {
    tune_put("bad.jsonl", data);
    assert_int_equal(RUN(TUNE, "--data", "bad.jsonl", "--output-dir", "refused"), 1);
    assert_contains(program_err(), part);
    assert_false(file_exists("refused"));
}

static void bad_data_is_refused_by_line(void **state) {
    (void)state;
    assert_refused("", "bad.jsonl");
    assert_refused("{\"qestion\":\"1\",\"anser\":\"2\"}\n", "qestion");
    assert_refused("{\"question\":\"1\",\"answer\":\"2\"}\n{\"question\":\"1\",\"answer\"\n",
                   "bad.jsonl:2: not JSON");
    assert_refused("{\"question\":\"1\",\"answer\":\"2\"}\n{\"messages\":[]}\n", "bad.jsonl:2:");
    assert_int_equal(RUN(TUNE, "--data", "nowhere.jsonl", "--output-dir", "refused"), 1);
    assert_contains(program_err(), "nowhere.jsonl");
    assert_false(file_exists("refused"));
}

static void one_broken_line_can_be_passed_over(void **state) {
    (void)state;
    tune_put("bad.jsonl", "{\"question\":\"1\",\"answer\":\"2\"}\n{\"question\":\n");
    RUN_OK(TUNE, "--data", "bad.jsonl", "--output-dir", "passed", "--max-steps", "1", "--samples",
           "0", "--skip-broken");
    assert_whole_log("passed", 1);
}

static void long_answers_are_cut_or_dropped_and_said(void **state) {
    char line[512], words[400] = "";
    (void)state;
    for (int i = 0; i < 90; i++)
        memcpy(words + 4 * i, "sum ", 4);
    snprintf(line, sizeof line, "{\"question\":\"1\",\"answer\":\"%s\"}\n", words);
    tune_put("long.jsonl", line);
    RUN_OK(TUNE, "--data", "long.jsonl", "--dry-run");
    assert_contains(program_out(NULL), "1 cut at 64 tokens");
    assert_int_equal(
        RUN(TUNE, "--data", "long.jsonl", "--too-long", "drop", "--output-dir", "refused"), 1);
    assert_contains(program_err(), "'hearth data' shows why");
    assert_int_equal(
        RUN(TUNE, "--data", "data.jsonl", "--sequence-length", "65", "--output-dir", "refused"), 1);
    assert_contains(program_err(), "the model was made for 64");
    assert_false(file_exists("refused"));
}

static void recipes_are_checked(void **state) {
    (void)state;
    tune_put("recipe.yaml", "base_model: model.gguf\nlearning_rat: 1e-4\n");
    assert_int_equal(RUN("tune", "--recipe", "recipe.yaml", "--data", "data.jsonl"), 2);
    assert_contains(program_err(), "line 2");
    assert_contains(program_err(), "learning-rate");
    assert_int_equal(RUN(TUNE), 2);
    assert_contains(program_err(), "--data FILE");
    assert_int_equal(RUN(TUNE, "--data", "data.jsonl", "--outtype", "Q4_K_X"), 2);
    tune_put("recipe.yaml", "base_model: model.gguf\ndatasets:\n  - path: nowhere.jsonl\n"
                            "num_epochs: 2\nsample_packing: off\n");
    RUN_OK("tune", "--recipe", "recipe.yaml", "--data", "data.jsonl", "--dry-run");
}

static void a_folder_that_cannot_be_used(void **state) {
    struct file_lock lock;
    bool taken;
    (void)state;
    tune_put("file", "");
    assert_int_equal(RUN(TUNE, "--data", "data.jsonl", "--output-dir", "file"), 1);
    assert_contains(program_err(), "'file'");
    assert_int_equal(RUN(TUNE, "--data", "data.jsonl", "--output-dir", "/proc/run"), 1);
    assert_contains(program_err(), "/proc/run");
    assert_int_equal(file_make_folders("shared", NULL), HEARTH_OK);
    assert_int_equal(file_lock_open(&lock, "shared/run.lock", &taken, NULL), HEARTH_OK);
    assert_false(taken);
    assert_int_equal(RUN(TUNE, "--data", "data.jsonl", "--output-dir", "shared"), 1);
    assert_contains(program_err(), "another process is training in 'shared'");
    file_lock_close(&lock);
    assert_false(file_exists("shared/recipe.yaml"));
}

static void assert_failed(const char *folder) {
    json_t *run = tune_run_of(folder);
    assert_string_equal(json_string_value(json_object_get(run, "state")), "failed");
    assert_true(json_is_string(json_object_get(run, "problem")));
    json_decref(run);
}

/* The last four bytes of the file are a weight. */
static void a_loss_that_is_no_number_ends_the_run(void **state) {
    struct file_map map;
    const float nan = NAN;
    (void)state;
    assert_int_equal(file_map_open(&map, "model.gguf", NULL), HEARTH_OK);
    char *copy = mem_alloc(map.size);
    assert_non_null(copy);
    memcpy(copy, map.data, map.size);
    memcpy(copy + map.size - sizeof nan, &nan, sizeof nan);
    assert_int_equal(file_write("nan.gguf", copy, map.size, NULL), HEARTH_OK);
    mem_free(copy);
    file_map_close(&map);
    assert_int_equal(RUN("tune", "nan.gguf", "--data", "data.jsonl", "--output-dir", "nan"), 1);
    assert_contains(program_err(), "lower the learning rate");
    assert_failed("nan");
    assert_false(file_exists("nan/adapter.gguf"));
}

static void a_full_disk_costs_nothing(void **state) {
    (void)state;
#define ROOM TUNE, "--data", "data.jsonl", "--max-steps", "4", "--save-steps", "2", "--samples", "0"
    RUN_OK(ROOM, "--output-dir", "roomy");
    program_limit_files(30000);
    int code = RUN(ROOM, "--output-dir", "full");
    program_limit_files(0);
    assert_int_equal(code, 1);
    assert_contains(program_err(), "cannot write");
    assert_failed("full");
    RUN_OK("tune", "resume", "full");
    assert_same_bytes("full/" TRAINED, "roomy/" TRAINED);
    assert_whole_log("full", 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_data_is_refused_by_line),
        cmocka_unit_test(one_broken_line_can_be_passed_over),
        cmocka_unit_test(long_answers_are_cut_or_dropped_and_said),
        cmocka_unit_test(recipes_are_checked),
        cmocka_unit_test(a_folder_that_cannot_be_used),
        cmocka_unit_test(a_loss_that_is_no_number_ends_the_run),
        cmocka_unit_test(a_full_disk_costs_nothing),
    };
    return cmocka_run_group_tests_name("cli/tune_mistakes", tests, tune_model_set_up,
                                       program_tear_down);
}
