/* A whole run of tuning against the same run in PyTorch: stories260K learns Shakespeare, and its
 * perplexity on lines it has not seen falls alike. How the expected values were made is told in
 * reference/README.md; "--batches" prints what both train on. */
#include "format/scratch.h"

#include <inttypes.h>
#include <math.h>

#include "train/tuning.h"

#define TOLERANCE 0.005      /* of the held-out perplexity */
#define FIRST_TOLERANCE 2e-3 /* of the loss before anything is learned */

enum {
    TRAIN_BYTES = 256 << 10,   /* from the beginning of the text */
    HELD_OUT_BYTES = 16 << 10, /* from its end */
    STEPS = 200,
    EVALUATE_EVERY = 50,
    N_POINTS = STEPS / EVALUATE_EVERY + 1 /* step 0 as well */
};

struct curve {
    double first_loss; /* of the first step's batches */
    double held_out[N_POINTS];
};

struct opened {
    struct model model;
    struct tokenizer *tokenizer;
    struct tuning_options options;
    const char *train, *held_out; /* paths */
};

static void cut_text(void) {
    hearth_error err = {0};
    char *text;
    size_t size;
    assert_ok(file_read(testdata("text/tinyshakespeare/input.txt"), 16 << 20, &text, &size, &err),
              &err);
    assert_true(size >= TRAIN_BYTES + HELD_OUT_BYTES);
    scratch_put("train.txt", text, TRAIN_BYTES);
    scratch_put("held-out.txt", text + size - HELD_OUT_BYTES, HELD_OUT_BYTES);
    mem_free(text);
}

/* The recipe, as in reference/make_curve.py. */
static void open_scene(struct opened *o) {
    hearth_error err = {0};
    cut_text();
    *o = (struct opened){.train = scratch("train.txt"), .held_out = scratch("held-out.txt")};
    assert_ok(model_open(&o->model, testdata("models/stories260K/stories260K.gguf"), &err), &err);
    assert_ok(tokenizer_open(&o->tokenizer, &o->model.directory.metadata, &err), &err);
    struct tuning_options *options = &o->options;
    *options = tuning_defaults();
    options->data = &o->train;
    options->eval_data = &o->held_out;
    options->n_data = options->n_eval_data = 1;
    options->method = TRAIN_FULL;
    options->sequence_length = 129; /* 128 rows */
    options->batch_rows = 256;
    options->accumulation = 2;
    options->max_steps = STEPS;
    options->schedule = SCHEDULE_COSINE;
    options->rate = 1e-3;
    options->least_rate = 0.1;
    options->warmup_steps = 10;
    options->optimizer.weight_decay = 0.1f;
    options->evaluate_every = EVALUATE_EVERY;
    options->save_every = UINT64_MAX;
    options->n_threads = 2;
}

static void close_scene(struct opened *o) {
    tokenizer_close(o->tokenizer);
    model_close(&o->model);
}

static void record(void *context, const struct train_event *event) {
    struct curve *curve = context;
    if (event->kind == TRAIN_STEP && event->step == 1) curve->first_loss = event->loss;
    if (event->kind == TRAIN_EVALUATION)
        curve->held_out[event->step / EVALUATE_EVERY] = event->loss;
}

static void tune(struct opened *o, const struct tuning_options *options, struct curve *curve) {
    struct tuning *tuning;
    struct tuning_run_options run = {.report = record, .context = curve};
    enum train_end end;
    hearth_error err = {0};
    assert_ok(tuning_open(&tuning, &o->model, o->tokenizer, NULL, options, &err), &err);
    assert_ok(tuning_run(tuning, &run, &end, &err), &err);
    assert_int_equal(end, TRAIN_FINISHED);
    tuning_close(tuning);
}

/* Step 0 is what a step leaves that is too small to change anything. */
static void run_recipe(struct opened *o, struct curve *curve) {
    struct tuning_options still = o->options;
    still.max_steps = 1;
    still.rate = 1e-30;
    tune(o, &still, curve);
    tune(o, &o->options, curve);
}

static void read_curve(struct curve *curve) {
    const char *source = getenv("HEARTH_SOURCE_ROOT");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/train/reference/curve.txt", source ? source : ".");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int i = 0; i < N_POINTS; i++) {
        int step;
        assert_int_equal(fscanf(file, " held-out %d %lf", &step, &curve->held_out[i]), 2);
        assert_int_equal(step, i * EVALUATE_EVERY);
        if (i == 0) assert_int_equal(fscanf(file, " train 1 %lf", &curve->first_loss), 1);
    }
    fclose(file);
}

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found / expected - 1) <= tolerance)) fail_msg("%.6g, not %.6g", found, expected);
}

static void perplexity_falls_alike(void **state) {
    struct opened o;
    struct curve expected, found = {0};
    (void)state;
    read_curve(&expected);
    open_scene(&o);
    run_recipe(&o, &found);
    assert_near(found.first_loss, expected.first_loss, FIRST_TOLERANCE);
    assert_near(found.held_out[0], expected.held_out[0], FIRST_TOLERANCE);
    for (int i = 0; i < N_POINTS; i++) {
        double perplexity = exp(found.held_out[i]), reference = exp(expected.held_out[i]);
        print_message("after %3d steps: perplexity %.3f, PyTorch %.3f (%+.2f %%)\n",
                      i * EVALUATE_EVERY, perplexity, reference,
                      100 * (perplexity / reference - 1));
        assert_near(perplexity, reference, TOLERANCE);
    }
    close_scene(&o);
}

/* ---- what is trained on, for PyTorch ---- */

/* A line for each sequence: its part, its batch, its tokens. */
static void print_batch(const char *part, uint64_t number, const struct train_batch *batch) {
    for (uint32_t s = 0; s < batch->n_sequences; s++) {
        printf("%s %" PRIu64 " %" PRId32, part, number, batch->tokens[batch->starts[s]]);
        for (uint32_t i = batch->starts[s]; i < batch->starts[s + 1]; i++)
            printf(" %" PRId32, batch->targets[i]);
        printf("\n");
    }
}

/* `n_batches` 0: an epoch. */
static void print_part(const struct opened *o, const char *part, const char *path,
                       uint64_t n_batches) {
    const struct tuning_options *t = &o->options;
    struct example_options example = {.tokenizer = o->tokenizer, .max_length = t->sequence_length};
    struct packing_options packing = {
        .max_rows = t->batch_rows, .seed = t->seed, .keep_order = n_batches == 0};
    struct example_maker *maker;
    struct dataset *dataset;
    struct packer *packer;
    struct train_batch batch;
    hearth_error err = {0};
    bool ended = false;
    assert_ok(dataset_open(&dataset, &path, 1, NULL, &err), &err);
    assert_ok(example_maker_open(&maker, &example, &err), &err);
    packing.dataset = dataset;
    packing.maker = maker;
    assert_ok(packer_open(&packer, &packing, &err), &err);
    for (uint64_t i = 0; n_batches ? i < n_batches : !ended; i++) {
        assert_ok(packer_next(packer, &batch, &ended, &err), &err);
        print_batch(part, i, &batch);
    }
    packer_close(packer);
    example_maker_close(maker);
    dataset_close(dataset);
}

static void print_batches(void) {
    struct opened o;
    open_scene(&o);
    print_part(&o, "train", o.train, STEPS * o.options.accumulation);
    print_part(&o, "held-out", o.held_out, 0);
    close_scene(&o);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(perplexity_falls_alike)};
    if (argc == 1)
        return cmocka_run_group_tests_name("train/pytorch_curve", tests, scratch_open,
                                           scratch_close);
    if (strcmp(argv[1], "--batches") != 0 || scratch_open(NULL) != 0) return 2;
    print_batches();
    return scratch_close(NULL);
}
