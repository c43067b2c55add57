/* Whole runs of two ranks as threads: what is divided among them changes nothing but memory, for
 * every objective, and the planner divides what it must. */
#include "format/scratch.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "thread_ranks.h"
#include "train/tuning.h"

enum { N_STEPS = 3, N_RANKS = 2, STAGES = ZERO_VALUES + 1 };

static const char pairs[] =
    "{\"prompt\":\"Once upon a time\",\"chosen\":\" there was a cat.\",\"rejected\":\" no.\"}\n"
    "{\"prompt\":\"One day\",\"chosen\":\" she ran home.\",\"rejected\":\" it was bad, bad.\"}\n"
    "{\"prompt\":\"Tom was\",\"chosen\":\" happy.\",\"rejected\":\" sad and he cried.\"}\n"
    "{\"prompt\":\"The dog\",\"chosen\":\" had a red ball.\",\"rejected\":\" fell.\"}\n";
static const char texts[] = "{\"prompt\":\"Once\",\"completion\":\" upon a time.\"}\n"
                            "{\"prompt\":\"One day\",\"completion\":\" she ran home.\"}\n"
                            "{\"prompt\":\"Tom\",\"completion\":\" was happy.\"}\n"
                            "{\"prompt\":\"Anna\",\"completion\":\" saw the sun.\"}\n"
                            "{\"prompt\":\"The cat\",\"completion\":\" sat down.\"}\n";

/* Of all ranks; the threads only read it. */
static struct {
    struct tuning_options options;
    const char *model;
} setting;

struct outcome {
    hearth_status status;
    hearth_error error;
    struct tuning_plan plan;
};

static struct outcome outcomes[MOST_RANKS];

static void tune(struct ranks *ranks, void *result) {
    struct outcome *o = result;
    struct tuning_options options = setting.options;
    struct tuning_run_options run = {0};
    struct model model = {0};
    struct tokenizer *tokenizer = NULL;
    struct tuning *tuning = NULL;
    enum train_end end;
    bool resumed;
    options.ranks = ranks;
    o->status = model_open(&model, setting.model, &o->error);
    if (o->status == HEARTH_OK)
        o->status = tokenizer_open(&tokenizer, &model.directory.metadata, &o->error);
    if (o->status == HEARTH_OK)
        o->status = tuning_open(&tuning, &model, tokenizer, NULL, &options, &o->error);
    if (o->status == HEARTH_OK) o->plan = *tuning_plan(tuning);
    if (o->status == HEARTH_OK && options.folder) {
        o->status = tuning_resume(tuning, &run, &resumed, &o->error);
        if (o->status == HEARTH_OK) o->status = tuning_run(tuning, &run, &end, &o->error);
    }
    tuning_close(tuning);
    tokenizer_close(tokenizer);
    model_close(&model);
}

static struct outcome run_tunings(int count) {
    memset(outcomes, 0, sizeof outcomes);
    if (count == 1)
        tune(NULL, outcomes);
    else
        run_ranks(count, tune, outcomes, sizeof *outcomes);
    for (int i = 0; i < count; i++)
        if (outcomes[i].status != HEARTH_OK) fail_msg("%s", outcomes[i].error.message);
    return outcomes[0];
}

static void choose(const char *text) {
    static char path[1024];
    static const char *const data[] = {path};
    scratch_put_text("data.jsonl", text);
    snprintf(path, sizeof path, "%s", scratch("data.jsonl"));
    setting.model = testdata("models/stories260K/stories260K.gguf");
    setting.options = tuning_defaults();
    setting.options.data = data;
    setting.options.n_data = 1;
    setting.options.max_steps = N_STEPS;
    setting.options.rate = 1e-3;
    setting.options.n_threads = 2;
    setting.options.one_sequence = true;
    setting.options.exact = true;
    setting.options.dataset.eval_fraction = 0;
    setting.options.dataset.eval_count = 1;
    setting.options.accumulation = N_RANKS;
    setting.options.optimizer.max_norm = 0; /* norms of parts differ from that of all in rounding */
    setting.options.evaluate_every = 1;
}

/* ---- what comes out --------------------------------------------------------------------- */

static const char *checkpoint_of(int stage) {
    char name[96];
    snprintf(name, sizeof name, "stage%d/checkpoint-%08d.safetensors", stage, N_STEPS);
    return scratch(name);
}

static void assert_same_checkpoints(const char *a, const char *b) {
    struct directory x = {0}, y = {0};
    hearth_error err = {0};
    assert_ok(safetensors_open(&x, a, &err), &err);
    assert_ok(safetensors_open(&y, b, &err), &err);
    assert_int_equal(x.n_tensors, y.n_tensors);
    for (size_t i = 0; i < x.n_tensors; i++) {
        assert_int_equal(x.tensors[i].size_bytes, y.tensors[i].size_bytes);
        assert_memory_equal(x.tensors[i].data, y.tensors[i].data, x.tensors[i].size_bytes);
    }
    directory_close(&x);
    directory_close(&y);
}

static void remove_stage(int stage) {
    char name[32];
    char **names;
    size_t count;
    snprintf(name, sizeof name, "stage%d", stage);
    assert_int_equal(file_list(scratch(name), &names, &count, NULL), HEARTH_OK);
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(scratch(name), names[i]);
        unlink(path);
        mem_free(path);
    }
    file_names_free(names, count);
    rmdir(scratch(name));
}

/* Sums that are sent to all (stage 0) lose digits where gradients are sent as bfloat16. */
static void assert_stages_agree(void) {
    int first = setting.options.narrow_gradients ? ZERO_MOMENTS : ZERO_NOTHING;
    for (int stage = first; stage < STAGES; stage++) {
        char name[32], folder[1024];
        snprintf(name, sizeof name, "stage%d", stage);
        snprintf(folder, sizeof folder, "%s", scratch(name));
        setting.options.folder = folder;
        setting.options.zero_stage = stage;
        run_tunings(N_RANKS);
        if (stage > first) assert_same_checkpoints(checkpoint_of(first), checkpoint_of(stage));
    }
    for (int stage = first; stage < STAGES; stage++)
        remove_stage(stage);
}

static void full_training_is_the_same_at_every_stage(void **state) {
    (void)state;
    choose(texts);
    setting.options.method = TRAIN_FULL;
    assert_stages_agree();
    setting.options.checkpointing = TUNING_ON;
    setting.options.moments_8bit = TUNING_ON;
    setting.options.narrow_gradients = true;
    setting.options.neftune_alpha = 5;
    assert_stages_agree();
}

static void adapters_are_the_same_at_every_stage(void **state) {
    (void)state;
    choose(texts);
    setting.options.lora.dropout = 0.1f;
    setting.options.train_embeddings = true;
    assert_stages_agree();
}

static void preferences_are_the_same_at_every_stage(void **state) {
    (void)state;
    choose(pairs);
    assert_stages_agree();
    setting.options.method = TRAIN_FULL;
    assert_stages_agree();
}

/* ---- what is divided ---------------------------------------------------------------------- */

static void full_run_without_folder(void) {
    choose(texts);
    setting.options.method = TRAIN_FULL;
    setting.options.checkpointing = TUNING_OFF;
    setting.options.moments_8bit = TUNING_OFF;
    setting.options.batch_rows = 64;
}

/* The least budget that a run which needs `bytes` fits into; a tenth of it, and a little, stay
 * free. */
static uint64_t budget_for(uint64_t bytes) {
    enum { SLACK = 1 << 15 };
    return (bytes + (UINT64_C(64) << 20) + SLACK) / 9 * 10;
}

static void the_planner_divides_what_it_must(void **state) {
    uint64_t needs[STAGES], kept[STAGES];
    (void)state;
    full_run_without_folder();
    uint64_t alone = run_tunings(1).plan.state_bytes;
    for (int stage = 0; stage < STAGES; stage++) {
        setting.options.zero_stage = stage;
        struct tuning_plan plan = run_tunings(N_RANKS).plan;
        needs[stage] = plan.graph_bytes + plan.optimizer_bytes;
        kept[stage] = plan.state_bytes;
        if (stage > 0)
            assert_true(needs[stage] < needs[stage - 1] && kept[stage] < kept[stage - 1]);
    }
    assert_int_equal(kept[ZERO_NOTHING], alone);
    assert_true((double)kept[ZERO_VALUES] <= 0.55 * (double)alone);
    setting.options.zero_stage = ZERO_AUTO;
    for (int stage = 0; stage < STAGES; stage++) {
        setting.options.max_bytes = budget_for(needs[stage]);
        struct tuning_plan plan = run_tunings(N_RANKS).plan;
        assert_int_equal(plan.zero_stage, stage);
        assert_int_equal(strstr(plan.note, "weights divided") != NULL, stage == ZERO_VALUES);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_training_is_the_same_at_every_stage),
        cmocka_unit_test(adapters_are_the_same_at_every_stage),
        cmocka_unit_test(preferences_are_the_same_at_every_stage),
        cmocka_unit_test(the_planner_divides_what_it_must),
    };
    return cmocka_run_group_tests_name("train/tuning_ranks", tests, scratch_open, scratch_close);
}
