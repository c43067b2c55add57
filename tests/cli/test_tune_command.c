/* hearth tune: from data to a result, and what looks after runs. */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "tune_model.h"

static int64_t integer_of(const json_t *run, const char *key) {
    return json_integer_value(json_object_get(run, key));
}

static void assert_text(const json_t *run, const char *key, const char *expected) {
    const char *found = json_string_value(json_object_get(run, key));
    if (!found || strcmp(found, expected) != 0)
        fail_msg("'%s' is '%s', not '%s'", key, found ? found : "(nothing)", expected);
}

static void an_adapter_and_its_exports(void **state) {
    (void)state;
    RUN_OK(TUNE, "--data", "data.jsonl", "--max-steps", "6", "--output-dir", "adapter-run");
    assert_contains(program_out(NULL), "sample 1");
    assert_contains(program_out(NULL), "finished after step 6");
    json_t *run = tune_run_of("adapter-run");
    assert_text(run, "state", "finished");
    assert_int_equal(integer_of(run, "step"), 6);
    assert_int_equal(integer_of(run, "result_step"), integer_of(run, "best_step"));
    assert_int_equal(json_array_size(json_object_get(run, "samples")), 2);
    json_decref(run);
    assert_whole_log("adapter-run", 6);
    assert_true(file_exists("adapter-run/adapter/adapter_config.json"));
    char *card = tune_read("adapter-run/README.md");
    assert_contains(card, "| data | data.jsonl |");
    mem_free(card);

    RUN_OK("tune", "export", "adapter-run", "-o", "again.gguf");
    assert_same_bytes("again.gguf", "adapter-run/adapter.gguf");
    RUN_OK("tune", "export", "adapter-run", "-o", "peft", "--format", "peft");
    assert_same_bytes("peft/adapter_model.safetensors",
                      "adapter-run/adapter/adapter_model.safetensors");
    RUN_OK("tune", "export", "adapter-run", "-o", "merged.gguf", "--format", "merged", "-t", "1");
    RUN_OK("quantize", "--lora", "again.gguf", "model.gguf", "reference.gguf", "F32", "-t", "1");
    tune_put("ids", "1 2 3 4 5");
    RUN_OK("logits", "-m", "merged.gguf", "--tokens", "ids", "-o", "merged.f32");
    RUN_OK("logits", "-m", "reference.gguf", "--tokens", "ids", "-o", "reference.f32");
    assert_same_bytes("merged.f32", "reference.f32");
    RUN_OK("show", "merged.gguf");
    assert_contains(program_out(NULL), "### Response:");
    assert_int_equal(RUN("tune", "export", "adapter-run", "-o", "x", "--checkpoint", "77"), 1);
    assert_contains(program_err(), "no checkpoint of step 77");
    assert_int_equal(RUN("tune", "export", "adapter-run"), 2);
    assert_int_equal(RUN("tune", "export", "adapter-run", "-o", "x", "--checkpoint", "soon"), 2);
    assert_int_equal(RUN("tune", "export", "adapter-run", "-o", "x", "--type", "Q4_K_X"), 2);
}

/* Logits of a few tokens; the file's floats are given (mem_free). */
static float *logits_of(const char *model, const char *adapter, size_t *n) {
    char *bytes;
    size_t size;
    tune_put("ids", "1 2 3 4 5");
    if (adapter)
        RUN_OK("logits", "-m", model, "--tokens", "ids", "-o", "x.f32", "--activations", "f32",
               "--lora", adapter);
    else
        RUN_OK("logits", "-m", model, "--tokens", "ids", "-o", "x.f32", "--activations", "f32");
    assert_int_equal(file_read("x.f32", 1 << 24, &bytes, &size, NULL), HEARTH_OK);
    *n = size / sizeof(float);
    return (float *)(void *)bytes;
}

static double distance(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / (double)n);
}

static void a_decomposed_adapter_and_its_exports(void **state) {
    size_t n, m;
    (void)state;
    RUN_OK(TUNE, "--data", "data.jsonl", "--max-steps", "6", "--output-dir", "dora-run", "--dora",
           "--learning-rate", "0.02");
    assert_contains(program_out(NULL), "(DoRA)");
    assert_contains(program_out(NULL), "--lora dora-run/adapter --template");
    assert_contains(program_out(NULL), "sample 1");
    json_t *run = tune_run_of("dora-run");
    assert_text(run, "method", "dora");
    json_decref(run);
    assert_false(file_exists("dora-run/adapter.gguf"));
    char *config = tune_read("dora-run/adapter/adapter_config.json");
    assert_contains(config, "\"use_dora\": true");
    mem_free(config);
    assert_int_equal(RUN("tune", "export", "dora-run", "-o", "x.gguf"), 1);
    assert_contains(program_err(), "--format merged");
    assert_false(file_exists("x.gguf"));
    RUN_OK("tune", "export", "dora-run", "-o", "dora.gguf", "--format", "merged", "--type", "F32");
    RUN_OK("quantize", "--lora", "dora-run/adapter", "model.gguf", "dora2.gguf", "F32");
    float *merged = logits_of("dora.gguf", NULL, &n), *merged2 = logits_of("dora2.gguf", NULL, &m);
    float *running = logits_of("model.gguf", "dora-run/adapter", &m);
    float *base = logits_of("model.gguf", NULL, &m);
    assert_int_equal(n, m);
    assert_true(distance(merged, base, n) > 1e-2);
    assert_true(distance(merged, running, n) < 1e-4);
    assert_true(distance(merged, merged2, n) < 1e-6);
    mem_free(merged);
    mem_free(merged2);
    mem_free(running);
    mem_free(base);
    assert_int_equal(RUN(TUNE, "--data", "data.jsonl", "--method", "full", "--dora", "--dry-run"),
                     1);
    assert_contains(program_err(), "only adapters");
}

/* What is held out contradicts what is trained, so that the first evaluation is the best. */
static void the_best_evaluation_is_the_result(void **state) {
    (void)state;
    tune_put("other.jsonl", "{\"question\":\"1 and 2\",\"answer\":\"QQQQ\"}\n");
    RUN_OK(TUNE, "--data", "data.jsonl", "--eval-data", "other.jsonl", "--max-steps", "20",
           "--output-dir", "best-run", "--method", "full", "--learning-rate", "0.01", "--schedule",
           "constant", "--samples", "0", "--outtype", "F16");
    json_t *run = tune_run_of("best-run");
    int64_t best = integer_of(run, "best_step");
    json_decref(run);
    assert_in_range(best, 1, 19);
    RUN_OK("tune", "export", "best-run", "-o", "best.gguf", "--type", "F16", "--json");
    assert_same_bytes("best.gguf", "best-run/model.gguf");
    json_t *report = json_loads(program_out(NULL), 0, NULL);
    assert_int_equal(integer_of(report, "step"), best);
    json_decref(report);
    RUN_OK("tune", "export", "best-run", "-o", "last.gguf", "--checkpoint", "last", "--json");
    assert_contains(program_out(NULL), "\"step\": 20");
    RUN_OK("run", "best-run/model.gguf", "1 and 2", "-n", "4", "-t", "1");
    assert_int_equal(RUN("tune", "export", "best-run", "-o", "x", "--format", "peft"), 1);
    assert_contains(program_err(), "--format merged");
}

static void runs_are_found_again(void **state) {
    (void)state;
    RUN_OK(TUNE, "--data", "data.jsonl", "--max-steps", "2", "--output-dir", "first", "--rank", "4",
           "--samples", "0", "--json");
    json_t *result = json_loads(program_out(NULL), 0, NULL);
    assert_text(result, "state", "finished");
    json_decref(result);
    RUN_OK("tune", "--recipe", "first/recipe.yaml", "--output-dir", "second", "--rank", "8");
    RUN_OK("tune", "list", "--json");
    json_t *runs = json_loads(program_out(NULL), 0, NULL);
    assert_contains(json_string_value(json_object_get(json_array_get(runs, 0), "folder")),
                    "/second");
    assert_contains(json_string_value(json_object_get(json_array_get(runs, 1), "folder")),
                    "/first");
    json_decref(runs);
    RUN_OK("tune", "list");
    assert_contains(program_out(NULL), "finished");
    RUN_OK("tune", "show", "first", "--json");
    result = json_loads(program_out(NULL), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(result, "checkpoints")), 2);
    assert_contains(json_string_value(json_object_get(result, "ended")), "T");
    json_decref(result);
    RUN_OK("tune", "compare", "first", "second", "--json");
    result = json_loads(program_out(NULL), 0, NULL);
    const json_t *settings = json_object_get(result, "settings");
    assert_int_equal(json_object_size(settings), 1);
    const json_t *ranks = json_object_get(settings, "rank");
    assert_string_equal(json_string_value(json_array_get(ranks, 0)), "4");
    assert_string_equal(json_string_value(json_array_get(ranks, 1)), "8");
    json_decref(result);
}

static void a_run_without_its_folder_is_still_known(void **state) {
    (void)state;
    RUN_OK(TUNE, "--data", "data.jsonl", "--max-steps", "2", "--output-dir", "moving", "--samples",
           "0");
    assert_int_equal(rename("moving", "moved"), 0);
    RUN_OK("tune", "list");
    assert_contains(program_out(NULL), "/moving (moved or removed)");
    RUN_OK("tune", "show", "moving");
    assert_contains(program_out(NULL), "finished");
    assert_contains(program_out(NULL), "this is what was known");
    assert_int_equal(RUN("tune", "export", "moving", "-o", "x.gguf"), 1);
    assert_contains(program_err(), "give its path");
    RUN_OK("tune", "export", "moved", "-o", "x.gguf");
}

/* The database is a convenience: training goes on without it, and what it missed it gets. */
static void a_broken_history_stops_nothing(void **state) {
    (void)state;
    assert_int_equal(rename("data/hearth.db", "kept.db"), 0);
    remove("data/hearth.db-wal");
    remove("data/hearth.db-shm");
    tune_put("data/hearth.db", "no database at all, and longer than the hundred bytes that the "
                               "header of one takes up in its file");
    RUN_OK(TUNE, "--data", "data.jsonl", "--max-steps", "2", "--output-dir", "unseen", "--samples",
           "0");
    assert_contains(program_err(), "hearth.db' is damaged");
    assert_true(file_exists("unseen/adapter.gguf"));
    assert_int_equal(RUN("tune", "list"), 1);
    assert_contains(program_err(), "move it away");
    RUN_OK("tune", "show", "./unseen");
    assert_int_equal(rename("kept.db", "data/hearth.db"), 0);
    RUN_OK("tune", "list");
    assert_contains(program_out(NULL), "unseen ");
    RUN_OK("tune", "show", "unseen");
}

/* ---- interruptions -------------------------------------------------------------------- */

enum { INTERRUPTED_STEPS = 300 };
#define INTERRUPTED                                                                                \
    TUNE, "--data", "data.jsonl", "--max-steps", "300", "--save-steps", "2", "--samples", "0"

static void wait_for_checkpoint(const char *folder) {
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    char *path = path_join(folder, "checkpoints");
    size_t count = 0;
    for (int i = 0; i < 60 * 1000 && count == 0; i++) {
        char **names;
        nanosleep(&moment, NULL);
        if (!file_is_folder(path) || file_list(path, &names, &count, NULL) != HEARTH_OK) continue;
        size_t whole = 0;
        for (size_t n = 0; n < count; n++)
            whole += strstr(names[n], ".safetensors") && !strstr(names[n], ".safetensors.");
        file_names_free(names, count);
        count = whole;
    }
    mem_free(path);
    assert_true(count > 0);
}

static int interrupt_run(const char *folder, int signal_number) {
    const char *const args[] = {INTERRUPTED, "--output-dir", folder, NULL};
    pid_t program = program_start(NULL, args);
    wait_for_checkpoint(folder);
    kill(program, signal_number);
    return program_wait(program);
}

static void ctrl_c_saves_and_resuming_changes_nothing(void **state) {
    (void)state;
    RUN_OK(INTERRUPTED, "--output-dir", "whole");
    assert_int_equal(interrupt_run("stopped", SIGINT), 0);
    assert_contains(program_out(NULL), "hearth tune resume stopped");
    json_t *run = tune_run_of("stopped");
    assert_text(run, "state", "stopped");
    json_decref(run);
    assert_false(file_exists("stopped/adapter.gguf"));
    RUN_OK("tune", "resume", "stopped");
    assert_same_bytes("stopped/" TRAINED, "whole/" TRAINED);
    assert_whole_log("stopped", INTERRUPTED_STEPS);
}

static void a_killed_run_goes_on_from_its_checkpoint(void **state) {
    (void)state;
    assert_int_equal(interrupt_run("killed", SIGKILL), 128 + SIGKILL);
    RUN_OK("tune", "show", "killed");
    assert_contains(program_out(NULL), "interrupted");
    assert_int_equal(RUN(INTERRUPTED, "--output-dir", "killed"), 1);
    assert_contains(program_err(), "--resume");
    RUN_OK("tune", "resume", "killed");
    assert_same_bytes("killed/" TRAINED, "whole/" TRAINED);
    assert_whole_log("killed", INTERRUPTED_STEPS);
    RUN_OK("tune", "resume", "killed");
    assert_contains(program_out(NULL), "finished already");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_and_its_exports),
        cmocka_unit_test(a_decomposed_adapter_and_its_exports),
        cmocka_unit_test(the_best_evaluation_is_the_result),
        cmocka_unit_test(runs_are_found_again),
        cmocka_unit_test(a_run_without_its_folder_is_still_known),
        cmocka_unit_test(a_broken_history_stops_nothing),
        cmocka_unit_test(ctrl_c_saves_and_resuming_changes_nothing),
        cmocka_unit_test(a_killed_run_goes_on_from_its_checkpoint),
    };
    return cmocka_run_group_tests_name("cli/tune_command", tests, tune_model_set_up,
                                       program_tear_down);
}
