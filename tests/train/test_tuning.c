/* Whole runs: that one which was interrupted ends with the weights of one that was not, for
 * every objective and kind of noise, and that settings are part of what a run is. */
#include "format/scratch.h"

#include <string.h>

#include "base/mem.h"
#include "format/gguf_write.h"
#include "model/adapter_write.h"
#include "train/tuned.h"
#include "train/tuning.h"

enum { N_STEPS = 6, STOP_AFTER = 2 };

struct scene {
    struct model model;
    struct tokenizer *tokenizer;
    struct tuning_options options;
    char data_path[1024];
    const char *data[1];
    unsigned n_asked; /* whether to stop */
    double margin;    /* of the last step */
};

static const char pairs[] =
    "{\"prompt\":\"Once upon a time\",\"chosen\":\" there was a cat.\",\"rejected\":\" no.\"}\n"
    "{\"prompt\":\"One day\",\"chosen\":\" she ran home.\",\"rejected\":\" it was bad, bad.\"}\n"
    "{\"prompt\":\"Tom was\",\"chosen\":\" happy.\",\"rejected\":\" sad and he cried.\"}\n"
    "{\"prompt\":\"The dog\",\"chosen\":\" had a red ball.\",\"rejected\":\" fell.\"}\n";
static const char texts[] = "{\"prompt\":\"Once\",\"completion\":\" upon a time.\"}\n"
                            "{\"prompt\":\"One day\",\"completion\":\" she ran home.\"}\n"
                            "{\"prompt\":\"Tom\",\"completion\":\" was happy.\"}\n";

static void open_scene(struct scene *s, const char *text) {
    hearth_error err = {0};
    *s = (struct scene){.options = tuning_defaults()};
    scratch_put_text("data.jsonl", text);
    snprintf(s->data_path, sizeof s->data_path, "%s", scratch("data.jsonl"));
    s->data[0] = s->data_path;
    assert_ok(model_open(&s->model, testdata("models/stories260K/stories260K.gguf"), &err), &err);
    assert_ok(tokenizer_open(&s->tokenizer, &s->model.directory.metadata, &err), &err);
    s->options.data = s->data;
    s->options.n_data = 1;
    s->options.max_steps = N_STEPS;
    s->options.rate = 1e-3;
    s->options.n_threads = 2;
    s->options.one_sequence = true;
    s->options.accumulation = 2;
}

static void close_scene(struct scene *s) {
    tokenizer_close(s->tokenizer);
    model_close(&s->model);
}

static bool stop_early(void *context) {
    return ++((struct scene *)context)->n_asked >= STOP_AFTER;
}

static void note(void *context, const struct train_event *event) {
    if (event->kind == TRAIN_STEP) ((struct scene *)context)->margin = event->margin;
}

/* What the last checkpoint of the run has trained. */
static void write_trained(const struct scene *s, const char *path) {
    hearth_error err = {0};
    struct adapter_facts facts = {0};
    struct tuned tuned;
    char *last;
    assert_ok(tuned_find(s->options.folder, TUNED_LAST, &last, &err), &err);
    assert_ok(tuned_open(&tuned, last, &s->model, &s->options.lora, &err), &err);
    const struct directory *dir = &tuned.model.directory;
    if (s->options.method == TRAIN_LORA)
        assert_ok(adapter_write_gguf(path, &tuned.adapter, &s->model.config, &facts, &err), &err);
    else
        assert_ok(gguf_write(path, &s->model.directory.metadata, dir->tensors, dir->n_tensors, 0,
                             NULL, NULL, &err),
                  &err);
    tuned_close(&tuned);
    mem_free(last);
}

/* The run in `folder` to its end or to where it is told to stop; what it made, in `path`. */
static void run_part(struct scene *s, const char *folder, bool stops, const char *path) {
    hearth_error err = {0};
    struct tuning *tuning = NULL;
    struct tuning_run_options run = {
        .may_resume = true, .stop = stops ? stop_early : NULL, .report = note, .context = s};
    enum train_end end;
    bool resumed;
    s->n_asked = 0;
    s->options.folder = folder;
    assert_ok(tuning_open(&tuning, &s->model, s->tokenizer, NULL, &s->options, &err), &err);
    assert_ok(tuning_resume(tuning, &run, &resumed, &err), &err);
    assert_ok(tuning_run(tuning, &run, &end, &err), &err);
    assert_int_equal(end, stops ? TRAIN_STOPPED : TRAIN_FINISHED);
    tuning_close(tuning);
    write_trained(s, path);
}

static void assert_same_files(const char *a, const char *b, bool same) {
    hearth_error err = {0};
    char *texts_of[2];
    size_t sizes[2];
    assert_ok(file_read(a, SIZE_MAX / 2, &texts_of[0], &sizes[0], &err), &err);
    assert_ok(file_read(b, SIZE_MAX / 2, &texts_of[1], &sizes[1], &err), &err);
    assert_int_equal(sizes[0], sizes[1]);
    assert_int_equal(memcmp(texts_of[0], texts_of[1], sizes[0]) == 0, same);
    mem_free(texts_of[0]);
    mem_free(texts_of[1]);
}

static void clear_folder(const char *folder) {
    char **names, path[2048];
    size_t n;
    assert_int_equal(file_list(folder, &names, &n, NULL), HEARTH_OK);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(remove(path), 0);
    }
    file_names_free(names, n);
}

static void check_resuming(struct scene *s) {
    run_part(s, scratch("whole"), false, scratch("whole.gguf"));
    run_part(s, scratch("parts"), true, scratch("parts.gguf"));
    assert_same_files(scratch("whole.gguf"), scratch("parts.gguf"), false);
    s->options.n_threads = 1;
    s->options.checkpointing = TUNING_ON;
    run_part(s, scratch("parts"), false, scratch("parts.gguf"));
    assert_same_files(scratch("whole.gguf"), scratch("parts.gguf"), true);
    clear_folder(scratch("whole"));
    clear_folder(scratch("parts"));
    scratch_clear();
}

static void noisy_adapters_resume(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, texts);
    s.options.lora.dropout = 0.3f;
    s.options.neftune_alpha = 5;
    check_resuming(&s);
    close_scene(&s);
}

static void preferences_resume(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, pairs);
    s.options.lora.dropout = 0.1f;
    check_resuming(&s);
    assert_true(s.margin > 0);
    close_scene(&s);
}

/* The reference is the model in the file, not the weights in the checkpoint. */
static void preferences_of_whole_models_resume(void **state) {
    struct scene s;
    (void)state;
    open_scene(&s, pairs);
    s.options.method = TRAIN_FULL;
    check_resuming(&s);
    assert_true(s.margin > 0);
    close_scene(&s);
}

/* The model is its own teacher: what it says changes with its weights, the teacher does not. */
static void taught_runs_resume(void **state) {
    struct scene s;
    struct model teacher;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, texts);
    assert_ok(model_open(&teacher, testdata("models/stories260K/stories260K.gguf"), &err), &err);
    s.options.distil.teacher = &teacher;
    s.options.distil.tokenizer = s.tokenizer;
    s.options.distil.top_k = 8;
    check_resuming(&s);
    model_close(&teacher);
    close_scene(&s);
}

static void fingerprint_of(struct scene *s, char out[RUN_FINGERPRINT_BYTES]) {
    hearth_error err = {0};
    struct tuning *tuning = NULL;
    s->options.folder = NULL;
    assert_ok(tuning_open(&tuning, &s->model, s->tokenizer, NULL, &s->options, &err), &err);
    memcpy(out, tuning_plan(tuning)->fingerprint, RUN_FINGERPRINT_BYTES);
    tuning_close(tuning);
}

static void settings_are_part_of_a_run(void **state) {
    struct scene s;
    char first[RUN_FINGERPRINT_BYTES], other[RUN_FINGERPRINT_BYTES];
    (void)state;
    open_scene(&s, pairs);
    const struct tuning_options options = s.options;
    fingerprint_of(&s, first);
    fingerprint_of(&s, other);
    assert_string_equal(first, other);
    for (int changed = 0; changed < 6; changed++) {
        s.options = options;
        switch (changed) {
        case 0: s.options.dpo.beta = 0.2f; break;
        case 1: s.options.dpo.label_smoothing = 0.1f; break;
        case 2: s.options.dpo.length_normalised = true; break;
        case 3: s.options.dpo.sft_weight = 1; break;
        case 4: s.options.lora.dropout = 0.1f; break;
        default: s.options.neftune_alpha = 5; break;
        }
        fingerprint_of(&s, other);
        assert_string_not_equal(first, other);
    }
    close_scene(&s);
}

static void teachers_are_part_of_a_run(void **state) {
    struct scene s;
    char first[RUN_FINGERPRINT_BYTES], other[RUN_FINGERPRINT_BYTES];
    struct tuning *tuning = NULL;
    hearth_error err = {0};
    (void)state;
    open_scene(&s, texts);
    fingerprint_of(&s, first);
    s.options.distil.teacher = &s.model;
    s.options.distil.tokenizer = s.tokenizer;
    for (int changed = 0; changed < 4; changed++) {
        if (changed == 1) s.options.distil.top_k = 5;
        if (changed == 2) s.options.distil.temperature = 2;
        if (changed == 3) s.options.distil.share = 1;
        fingerprint_of(&s, other);
        assert_string_not_equal(first, other);
        memcpy(first, other, sizeof first);
    }
    scratch_put_text("data.jsonl", pairs);
    assert_int_equal(tuning_open(&tuning, &s.model, s.tokenizer, NULL, &s.options, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "teacher"));
    close_scene(&s);
}

static void other_data_cannot_evaluate_pairs(void **state) {
    struct scene s;
    hearth_error err = {0};
    struct tuning *tuning = NULL;
    (void)state;
    open_scene(&s, pairs);
    scratch_put_text("eval.jsonl", texts);
    const char *eval[] = {scratch("eval.jsonl")};
    s.options.eval_data = eval;
    s.options.n_eval_data = 1;
    assert_int_equal(tuning_open(&tuning, &s.model, s.tokenizer, NULL, &s.options, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "preference pairs"));
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noisy_adapters_resume),
        cmocka_unit_test(preferences_resume),
        cmocka_unit_test(preferences_of_whole_models_resume),
        cmocka_unit_test(taught_runs_resume),
        cmocka_unit_test(teachers_are_part_of_a_run),
        cmocka_unit_test(settings_are_part_of_a_run),
        cmocka_unit_test(other_data_cannot_evaluate_pairs),
    };
    return cmocka_run_group_tests_name("train/tuning", tests, scratch_open, scratch_close);
}
