/* hearth tune: what is wrong is said at once, by name or line, and nothing is lost. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

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

#define PAIR "{\"prompt\":\"1\",\"chosen\":\"2\",\"rejected\":\"3\"}\n"

static void objectives_are_those_that_are_there(void **state) {
    (void)state;
    tune_put("pairs.jsonl", PAIR);
    tune_put("recipe.yaml", "base_model: model.gguf\nadapter: qlora\nrl: dpo\ndpo_beta: 0.2\n"
                            "optimizer: adamw_bnb_8bit\ndatasets:\n  - path: pairs.jsonl\n");
    RUN_OK("tune", "--recipe", "recipe.yaml", "--dry-run");
    assert_contains(program_out(NULL), "(DPO, beta 0.2)");
    assert_contains(program_out(NULL), "(LoRA)");
    tune_put("recipe.yaml", "base_model: model.gguf\nrl: orpo\n");
    assert_int_equal(RUN("tune", "--recipe", "recipe.yaml", "--data", "pairs.jsonl"), 2);
    assert_contains(program_err(), "line 2: 'rl' needs one of auto, dpo, found 'orpo'");
    assert_int_equal(
        RUN(TUNE, "--data", "data.jsonl", "--objective", "dpo", "--output-dir", "refused"), 1);
    assert_contains(program_err(), "data.jsonl:1:");
    assert_contains(program_err(), "preference");
    assert_int_equal(RUN(TUNE, "--data", "pairs.jsonl", "--objective", "dpo", "--format", "alpaca",
                         "--output-dir", "refused"),
                     1);
    assert_contains(program_err(), "--format is 'alpaca'");
    assert_false(file_exists("refused"));
}

/* One broken line among a million is found before anything is trained. */
static void one_line_in_a_million(void **state) {
    enum { LINES = 1000 * 1000, BROKEN = 765432 };
    struct file_writer out;
    (void)state;
    assert_int_equal(file_writer_open(&out, "million.jsonl", NULL), HEARTH_OK);
    for (int i = 1; i <= LINES; i++)
        fprintf(out.stream, "{\"question\":\"%d\",\"answer\":\"%d\"%s\n", i, i + 1,
                i == BROKEN ? "" : "}");
    assert_int_equal(file_writer_commit(&out, NULL), HEARTH_OK);
    assert_int_equal(RUN(TUNE, "--data", "million.jsonl", "--output-dir", "refused"), 1);
    assert_contains(program_err(), "million.jsonl:765432: not JSON");
    assert_false(file_exists("refused"));
    remove("million.jsonl");
}

static void formats_are_not_mixed(void **state) {
    (void)state;
    assert_refused("{\"question\":\"1\",\"answer\":\"2\"}\n" PAIR, "bad.jsonl:2:");
    assert_refused(PAIR "{\"question\":\"1\",\"answer\":\"2\"}\n", "bad.jsonl:2:");
    tune_put("pairs.jsonl", PAIR);
    assert_int_equal(
        RUN(TUNE, "--data", "data.jsonl", "--data", "pairs.jsonl", "--output-dir", "refused"), 1);
    assert_contains(program_err(), "pairs.jsonl");
    assert_int_equal(
        RUN(TUNE, "--data", "data.jsonl", "--eval-data", "pairs.jsonl", "--output-dir", "refused"),
        1);
    assert_contains(program_err(), "pairs.jsonl' cannot evaluate a run on ");
    assert_false(file_exists("refused"));
}

/* A vocabulary of a few letters, and data that has others. */
static void a_tokenizer_that_does_not_fit(void **state) {
    (void)state;
    tune_put(
        "letters.json",
        "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":"
        "{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\"},"
        "\"decoder\":null,\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":false,"
        "\"vocab\":[[\"<unk>\",0],[\"</s>\",0],[\"\u2581\",-2],[\"a\",-3],[\"b\",-3]]}}");
    RUN_OK("init", "--layers", "1", "--width", "32", "--heads", "2", "--ff", "64", "--context",
           "64", "--tokenizer", "letters.json", "-o", "letters.gguf");
    assert_int_equal(RUN("tune", "letters.gguf", "--data", "data.jsonl", "--output-dir", "refused"),
                     1);
    assert_contains(program_err(), "unknown");
    assert_false(file_exists("refused"));
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

/* A disk with so much room, as a file system of its own or, where this process may not mount one,
 * as a limit of files; 0: room enough. */
static void set_room(unsigned kib) {
    static bool tried, mounted;
    char size[32];
    snprintf(size, sizeof size, "size=%uk", kib ? kib : 64 * 1024);
    if (!tried) mounted = mount("tmpfs", "disk", "tmpfs", 0, size) == 0;
    if (tried && mounted) assert_int_equal(mount("tmpfs", "disk", "tmpfs", MS_REMOUNT, size), 0);
    if (!mounted) program_limit_files((size_t)kib << 10);
    if (!tried) print_message("%s\n", mounted ? "a disk of its own" : "a limit of files");
    tried = true;
}

static void a_full_disk_costs_nothing(void **state) {
    (void)state;
#define ROOM TUNE, "--data", "data.jsonl", "--max-steps", "4", "--save-steps", "2", "--samples", "0"
    RUN_OK(ROOM, "--output-dir", "roomy");
    assert_int_equal(file_make_folders("disk", NULL), HEARTH_OK);
    set_room(60);
    int code = RUN(ROOM, "--output-dir", "disk/full");
    set_room(0);
    assert_int_equal(code, 1);
    assert_contains(program_err(), "cannot write");
    assert_failed("disk/full");
    RUN_OK("tune", "resume", "disk/full");
    assert_same_bytes("disk/full/" TRAINED, "roomy/" TRAINED);
    assert_whole_log("disk/full", 4);
}

/* Also of a test that failed. */
static int tear_down(void **state) {
    umount2("disk", MNT_DETACH);
    return program_tear_down(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_data_is_refused_by_line),
        cmocka_unit_test(one_broken_line_can_be_passed_over),
        cmocka_unit_test(long_answers_are_cut_or_dropped_and_said),
        cmocka_unit_test(recipes_are_checked),
        cmocka_unit_test(objectives_are_those_that_are_there),
        cmocka_unit_test(one_line_in_a_million),
        cmocka_unit_test(formats_are_not_mixed),
        cmocka_unit_test(a_tokenizer_that_does_not_fit),
        cmocka_unit_test(a_folder_that_cannot_be_used),
        cmocka_unit_test(a_loss_that_is_no_number_ends_the_run),
        cmocka_unit_test(a_full_disk_costs_nothing),
    };
    return cmocka_run_group_tests_name("cli/tune_mistakes", tests, tune_model_set_up, tear_down);
}
