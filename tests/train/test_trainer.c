/* The loop of a run on a small problem whose gradients are known: linear regression. Tokens
 * are seeds of examples; what is learned is the vector that made their targets. */
#include "format/scratch.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/trainer.h"

enum { WIDTH = 300, ROWS = 4, EPOCH_BATCHES = 7 };

struct problem {
    struct device *device;
    struct parameter parameter;
    struct optimizer *optimizer;
    int32_t tokens[ROWS], targets[ROWS];
    uint32_t starts[2];
    uint64_t position; /* of the source, in batches */
    uint64_t evaluation_position;
    uint64_t fail_at; /* batch whose loss is not finite; 0: none */
    struct trainer trainer;
    uint64_t n_steps, n_evaluations, n_saved;
    double last_loss, last_evaluation;
    double delay_s; /* of every step */
};

static void example(int32_t seed, float x[WIDTH], double *target) {
    struct rng rng;
    rng_seed(&rng, (uint64_t)seed);
    *target = 0;
    for (int i = 0; i < WIDTH; i++) {
        x[i] = rng_normal(&rng);
        *target += (double)x[i] * sin(i);
    }
}

/* loss = (w x - target)^2 / 2 for every row */
static hearth_status regress(struct problem *p, const struct train_batch *batch, bool backward,
                             struct train_loss *loss) {
    float w[WIDTH], g[WIDTH], x[WIDTH];
    device_read(p->device, p->parameter.value, 0, w, sizeof w, NULL);
    device_read(p->device, p->parameter.gradient, 0, g, sizeof g, NULL);
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        double target, y = 0;
        example(batch->tokens[r], x, &target);
        for (int i = 0; i < WIDTH; i++)
            y += (double)(w[i] * x[i]);
        for (int i = 0; i < WIDTH; i++)
            g[i] += (float)(y - target) * x[i];
        loss->sum += 0.5 * (y - target) * (y - target);
        loss->weight += 1;
    }
    if (backward) device_write(p->device, p->parameter.gradient, 0, g, sizeof g, NULL);
    return HEARTH_OK;
}

static hearth_status problem_step(void *context, const struct train_batch *batch,
                                  struct train_loss *loss, hearth_error *err) {
    struct problem *p = context;
    (void)err;
    if (p->fail_at && p->position == p->fail_at) loss->sum = NAN;
    if (p->delay_s > 0) {
        uint64_t start = clock_now_ns();
        while (clock_seconds_since(start) < p->delay_s)
            ;
    }
    return regress(p, batch, true, loss);
}

static hearth_status problem_evaluate(void *context, const struct train_batch *batch,
                                      struct train_loss *loss, hearth_error *err) {
    (void)err;
    return regress(context, batch, false, loss);
}

static hearth_status fill_batch(struct problem *p, uint64_t number, int32_t first_seed,
                                struct train_batch *batch) {
    for (int i = 0; i < ROWS; i++)
        p->tokens[i] = first_seed + (int32_t)(number % EPOCH_BATCHES) * ROWS + i;
    p->starts[1] = ROWS;
    *batch = (struct train_batch){ROWS, p->tokens, p->targets, NULL, p->starts, 1, NULL, number};
    return HEARTH_OK;
}

static hearth_status source_next(void *context, struct train_batch *batch, bool *ended,
                                 hearth_error *err) {
    struct problem *p = context;
    (void)err;
    uint64_t number = p->position++;
    *ended = p->position % EPOCH_BATCHES == 0;
    return fill_batch(p, number, 100, batch);
}

static void source_save(void *context, uint8_t state[SOURCE_STATE_BYTES]) {
    struct problem *p = context;
    memset(state, 0, SOURCE_STATE_BYTES);
    memcpy(state, &p->position, sizeof p->position);
}

static hearth_status source_restore(void *context, const uint8_t state[SOURCE_STATE_BYTES],
                                    hearth_error *err) {
    struct problem *p = context;
    (void)err;
    memcpy(&p->position, state, sizeof p->position);
    return HEARTH_OK;
}

static hearth_status evaluation_next(void *context, struct train_batch *batch, bool *ended,
                                     hearth_error *err) {
    struct problem *p = context;
    (void)err;
    uint64_t number = p->evaluation_position++;
    *ended = p->evaluation_position == 3;
    return fill_batch(p, number, 500, batch);
}

static hearth_status evaluation_restore(void *context, const uint8_t state[SOURCE_STATE_BYTES],
                                        hearth_error *err) {
    struct problem *p = context;
    (void)err;
    memcpy(&p->evaluation_position, state, sizeof p->evaluation_position);
    return HEARTH_OK;
}

static void watch(void *context, const struct train_event *event) {
    struct problem *p = context;
    switch (event->kind) {
    case TRAIN_STEP:
        p->n_steps++;
        p->last_loss = event->loss;
        break;
    case TRAIN_EVALUATION:
        p->n_evaluations++;
        p->last_evaluation = event->loss;
        break;
    case TRAIN_SAVED: p->n_saved++; break;
    }
}

/* `folder`: of its checkpoints; NULL: none. */
static void open_problem(struct problem *p, const char *folder) {
    struct device_options device = {.n_threads = 1, .max_tokens = 1};
    struct optimizer_options options = optimizer_defaults();
    *p = (struct problem){0};
    assert_int_equal(device_open_cpu(&p->device, &device, NULL), HEARTH_OK);
    p->parameter = (struct parameter){.name = "w", .rows = 1, .cols = WIDTH};
    uint64_t bytes = WIDTH * sizeof(float);
    assert_int_equal(device_alloc(p->device, bytes, &p->parameter.value, NULL), HEARTH_OK);
    assert_int_equal(device_alloc(p->device, bytes, &p->parameter.gradient, NULL), HEARTH_OK);
    options.max_norm = 100;
    assert_int_equal(optimizer_open(&p->optimizer, p->device, &p->parameter, 1, &options, NULL),
                     HEARTH_OK);
    p->trainer =
        (struct trainer){.optimizer = p->optimizer,
                         .objective = {p, problem_step, problem_evaluate, false},
                         .source = {p, source_next, source_save, source_restore},
                         .evaluation = {p, evaluation_next, source_save, evaluation_restore},
                         .options = {.schedule = {SCHEDULE_COSINE, 0.05f, 0.1f, 5, 60},
                                     .accumulation = 2,
                                     .evaluate_every = 10,
                                     .save_every = 7,
                                     .keep = 2,
                                     .folder = folder,
                                     .fingerprint = "regression"},
                         .report = watch,
                         .report_context = p};
}

static void close_problem(struct problem *p) {
    optimizer_close(p->optimizer);
    device_close(p->device);
}

static void read_weights(const struct problem *p, float w[WIDTH]) {
    device_read(p->device, p->parameter.value, 0, w, WIDTH * sizeof *w, NULL);
}

/* What a run without interruption ends with. */
static void whole_run(float w[WIDTH]) {
    struct problem p;
    enum train_end end;
    open_problem(&p, NULL);
    assert_int_equal(trainer_run(&p.trainer, &end, NULL), HEARTH_OK);
    assert_int_equal(end, TRAIN_FINISHED);
    read_weights(&p, w);
    close_problem(&p);
}

static void a_run_learns_evaluates_and_saves(void **state) {
    (void)state;
    struct problem p;
    enum train_end end;
    open_problem(&p, scratch_folder);
    assert_int_equal(trainer_run(&p.trainer, &end, NULL), HEARTH_OK);
    assert_int_equal(end, TRAIN_FINISHED);
    assert_int_equal(p.n_steps, 60);
    assert_int_equal(p.n_evaluations, 6);
    assert_true(p.last_loss < 5 && p.last_loss > 0);
    assert_true(p.trainer.state.best_loss <= p.last_evaluation);
    assert_int_equal(p.trainer.state.tokens, 60 * 2 * ROWS);
    char **names;
    size_t count;
    assert_int_equal(file_list(scratch_folder, &names, &count, NULL), HEARTH_OK);
    assert_true(count >= 2 && count <= 3); /* the two latest and the best */
    assert_string_equal(names[count - 1], "checkpoint-00000060.safetensors");
    file_names_free(names, count);
    close_problem(&p);
    scratch_clear();
}

/* Runs until `stop_at` steps were taken, then stops as a person would. */
static bool stop;
static uint64_t stop_at;

static bool is_stopped(void *context) {
    (void)context;
    return stop;
}

static void watch_and_stop(void *context, const struct train_event *event) {
    watch(context, event);
    if (event->kind == TRAIN_STEP && event->step == stop_at) stop = true;
}

static void a_stopped_run_goes_on_bit_for_bit(void **state) {
    (void)state;
    float expected[WIDTH], got[WIDTH];
    whole_run(expected);
    for (stop_at = 4; stop_at <= 64; stop_at += 20) {
        struct problem p;
        enum train_end end;
        bool resumed;
        open_problem(&p, scratch_folder);
        stop = false;
        p.trainer.options.stop = is_stopped;
        p.trainer.report = watch_and_stop;
        assert_int_equal(trainer_resume(&p.trainer, &resumed, NULL), HEARTH_OK);
        assert_int_equal(resumed, stop_at > 4);
        assert_int_equal(trainer_run(&p.trainer, &end, NULL), HEARTH_OK);
        assert_int_equal(end, stop_at < 60 ? TRAIN_STOPPED : TRAIN_FINISHED);
        assert_int_equal(p.trainer.state.step, stop_at < 60 ? stop_at : 60);
        read_weights(&p, got);
        close_problem(&p);
    }
    assert_memory_equal(expected, got, sizeof got);
    scratch_clear();
}

/* The body of a process that trains until it is killed or done. */
static void train_in_child(void) {
    struct problem p;
    enum train_end end;
    bool resumed;
    open_problem(&p, scratch_folder);
    p.trainer.options.save_every = 1;
    p.delay_s = 0.001;
    bool ok = trainer_resume(&p.trainer, &resumed, NULL) == HEARTH_OK &&
              trainer_run(&p.trainer, &end, NULL) == HEARTH_OK && end == TRAIN_FINISHED;
    _exit(ok ? 0 : 1);
}

/* Leaves what a run that was killed before its last pruning leaves. */
static void leave_old_checkpoint(void) {
    const char *last = scratch("checkpoint-00000060.safetensors");
    assert_int_equal(link(last, scratch("checkpoint-00000001.safetensors")), 0);
    assert_int_equal(link(last, scratch("checkpoint-00000002.safetensors")), 0);
}

static void a_killed_run_goes_on_bit_for_bit(void **state) {
    (void)state;
    float expected[WIDTH], got[WIDTH];
    whole_run(expected);
    struct rng rng;
    int killed = 0, status = -1;
    rng_seed(&rng, 7);
    for (int turn = 0; turn < 40 && status != 0; turn++) {
        pid_t child = fork();
        if (child == 0) train_in_child();
        struct timespec pause = {.tv_nsec = (long)(rng_uniform(&rng) * 60e6)};
        if (turn < 39) {
            nanosleep(&pause, NULL);
            kill(child, SIGKILL);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status);
        assert_true(WIFSIGNALED(status) || status == 0);
    }
    assert_int_equal(status, 0);
    assert_true(killed > 0);
    leave_old_checkpoint();
    struct problem p;
    bool resumed;
    open_problem(&p, scratch_folder);
    assert_int_equal(trainer_resume(&p.trainer, &resumed, NULL), HEARTH_OK);
    assert_true(resumed);
    char **names;
    size_t count;
    assert_int_equal(file_list(scratch_folder, &names, &count, NULL), HEARTH_OK);
    assert_true(count <= 3); /* nothing half written or not pruned is left */
    file_names_free(names, count);
    assert_int_equal(p.trainer.state.step, 60);
    read_weights(&p, got);
    assert_memory_equal(expected, got, sizeof got);
    close_problem(&p);
    scratch_clear();
}

static void a_loss_that_is_not_finite_changes_nothing(void **state) {
    (void)state;
    struct problem p;
    enum train_end end;
    hearth_error err;
    float before[WIDTH], after[WIDTH];
    open_problem(&p, NULL);
    p.trainer.options.schedule.n_steps = 3;
    assert_int_equal(trainer_run(&p.trainer, &end, NULL), HEARTH_OK);
    read_weights(&p, before);
    p.trainer.options.schedule.n_steps = 60;
    p.fail_at = 8;
    assert_int_equal(trainer_run(&p.trainer, &end, &err), HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "step 4 is not finite"));
    read_weights(&p, after);
    assert_memory_equal(before, after, sizeof after);
    close_problem(&p);
}

static void patience_ends_a_run(void **state) {
    (void)state;
    struct problem p;
    enum train_end end;
    open_problem(&p, NULL);
    p.trainer.options.schedule = (struct schedule){SCHEDULE_CONSTANT, 0, 0, 0, 60};
    p.trainer.options.evaluate_every = 2;
    p.trainer.options.patience = 3;
    assert_int_equal(trainer_run(&p.trainer, &end, NULL), HEARTH_OK);
    assert_int_equal(end, TRAIN_STALE);
    assert_int_equal(p.n_steps, 8); /* the first evaluation is the best */
    close_problem(&p);
}

static void checkpoints_of_other_runs_are_refused(void **state) {
    (void)state;
    struct problem p;
    enum train_end end;
    bool resumed;
    hearth_error err;
    open_problem(&p, scratch_folder);
    p.trainer.options.schedule.n_steps = 3;
    assert_int_equal(trainer_run(&p.trainer, &end, NULL), HEARTH_OK);
    p.trainer.options.fingerprint = "another";
    assert_int_equal(trainer_resume(&p.trainer, &resumed, &err), HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "another model, data or settings"));
    p.trainer.options.fingerprint = "regression";
    p.parameter.cols = WIDTH - 1;
    assert_int_equal(trainer_resume(&p.trainer, &resumed, &err), HEARTH_ERROR_FORMAT);
    assert_non_null(strstr(err.message, "value/w"));
    p.parameter.cols = WIDTH;
    char *path = checkpoint_path(scratch_folder, 4);
    assert_int_equal(file_write(path, "damaged", 7, NULL), HEARTH_OK);
    assert_int_equal(trainer_resume(&p.trainer, &resumed, &err), HEARTH_ERROR_FORMAT);
    mem_free(path);
    close_problem(&p);
    scratch_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_learns_evaluates_and_saves),
        cmocka_unit_test(a_stopped_run_goes_on_bit_for_bit),
        cmocka_unit_test(a_killed_run_goes_on_bit_for_bit),
        cmocka_unit_test(a_loss_that_is_not_finite_changes_nothing),
        cmocka_unit_test(patience_ends_a_run),
        cmocka_unit_test(checkpoints_of_other_runs_are_refused),
    };
    return cmocka_run_group_tests_name("train/trainer", tests, scratch_open, scratch_close);
}
