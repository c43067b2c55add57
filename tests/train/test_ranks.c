/* Several ranks as threads of one process: what they add up, agree on and write. The problem
 * is least squares with known gradients, so that a run of one rank is the reference. */
#include "testdata.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "device/cpu_device.h"
#include "thread_ranks.h"
#include "train/trainer.h"

/* Shares are whole blocks of 8-bit moments. */
enum { ROUNDING_BYTES = MOMENT8_VALUES * sizeof(float) };
enum { BIG = 600011, SMALL = 300, BATCHES = 4, STEPS = 8 };

/* ---- decisions ---------------------------------------------------------------------- */

struct decision {
    hearth_status status, compared;
    hearth_error error, difference;
    bool any, none, speaks;
    uint64_t least;
    double sums[2];
};

static void decide(struct ranks *ranks, void *result) {
    struct decision *d = result;
    int rank = ranks_rank(ranks);
    d->any = rank == 2;
    ranks_any(ranks, &d->any, NULL);
    ranks_any(ranks, &d->none, NULL);
    d->least = 10 - (uint64_t)rank;
    ranks_least(ranks, &d->least, NULL);
    d->sums[0] = 1e16 * (rank == 0) - 1e16 * (rank == 1) + (rank == 2);
    d->sums[1] = rank;
    ranks_add(ranks, d->sums, 2, NULL);
    d->compared = ranks_same(ranks, "the colour", rank == 3 ? "red" : "blue", &d->difference);
    d->status = HEARTH_OK;
    if (rank == 2) d->status = error_set(&d->error, HEARTH_ERROR_FORMAT, "no bread");
    d->status = ranks_agree(ranks, d->status, &d->error);
    d->speaks = ranks_speaks(ranks);
}

static void ranks_decide_together(void **state) {
    static struct decision d[MOST_RANKS];
    (void)state;
    run_ranks(MOST_RANKS, decide, d, sizeof *d);
    for (int i = 0; i < MOST_RANKS; i++) {
        assert_true(d[i].any);
        assert_false(d[i].none);
        assert_int_equal(d[i].least, 7);
        assert_true(fabs(d[i].sums[0] - 1) < 1e-9 && fabs(d[i].sums[1] - 6) < 1e-9);
        assert_int_equal(d[i].status, HEARTH_ERROR_FORMAT);
        assert_string_equal(d[i].error.message, "rank 2 on here: no bread");
        assert_int_equal(d[i].compared, HEARTH_ERROR_ARGUMENT);
        assert_string_equal(d[i].difference.message,
                            "rank 3 on here: the colour is 'red' here, 'blue' on rank 0");
        assert_int_equal(d[i].speaks, i == 0);
    }
}

/* ---- a run ---------------------------------------------------------------------------- */

/* Two tensors, one longer than a message; row i of a batch pulls values towards targets. A pass
 * has a forward part that does nothing, and a backward part for each tensor, the second first. */
static const uint32_t both[] = {0, 1};
static struct pass_part part_items[] = {
    {.reads = {both, 2}},
    {.backward = true, .reads = {both, 2}, .completes = {both + 1, 1}},
    {.backward = true, .reads = {both, 1}, .completes = {both, 1}},
    {.reads = {both, 2}}};
static const struct pass_parts parts = {.items = part_items, .n_forward = 1, .n = 3};

struct problem {
    struct device *device;
    struct parameter parameters[2];
    struct optimizer *optimizer;
    struct pass_observer observer;
    struct trainer trainer;
    float *scratch; /* [BIG] */
    uint64_t position;
    uint64_t fail_step; /* 1 and up: this rank fails in it */
    uint64_t n_mine;
    double margin, accuracy; /* of the last step */
};

static const uint32_t lengths[2] = {BIG, SMALL};

static float target_of(int32_t token, uint32_t i) {
    return (float)sin((double)i * 0.37 + (double)token);
}

static hearth_status pull_tensor(struct problem *p, int k, int32_t token, struct train_loss *loss,
                                 hearth_error *err) {
    float value[SMALL];
    uint64_t bytes = SMALL * sizeof *value, last = (uint64_t)(lengths[k] - SMALL) * sizeof *value;
    RETURN_IF_ERROR(device_read(p->device, p->parameters[k].value, last, value, bytes, err));
    RETURN_IF_ERROR(
        device_read(p->device, p->parameters[k].gradient, last, p->scratch, bytes, err));
    for (uint32_t i = 0; i < SMALL; i++) {
        float error = value[i] - target_of(token, i);
        p->scratch[i] += error;
        loss->sum += 0.5 * (double)(error * error);
    }
    return device_write(p->device, p->parameters[k].gradient, last, p->scratch, bytes, err);
}

/* `batch` NULL: as one of several that have one. */
static hearth_status walk_parts(struct problem *p, const struct train_batch *batch,
                                struct train_loss *loss, hearth_error *err) {
    const struct pass_observer *o = &p->observer;
    for (size_t part = 0; part < parts.n; part++) {
        size_t next = part + 1 < parts.n ? part + 1 : NO_PART;
        if (o->enter) RETURN_IF_ERROR(o->enter(o->context, part, next, err));
        if (batch && part > 0)
            RETURN_IF_ERROR(pull_tensor(p, part == 1, batch->tokens[0], loss, err));
        if (o->leave) RETURN_IF_ERROR(o->leave(o->context, part, next, err));
    }
    return HEARTH_OK;
}

static hearth_status pull(void *context, const struct train_batch *batch, struct train_loss *loss,
                          hearth_error *err) {
    struct problem *p = context;
    if (p->fail_step && p->trainer.state.step + 1 == p->fail_step)
        return error_set(err, HEARTH_ERROR_IO, "the disk is gone");
    p->n_mine++;
    loss->weight += 2 * SMALL;
    loss->margin += batch->tokens[0];
    loss->correct += batch->tokens[0] > 3;
    return walk_parts(p, batch, loss, err);
}

static hearth_status look_on(void *context, bool step, hearth_error *err) {
    assert_true(step);
    return walk_parts(context, NULL, NULL, err);
}

static hearth_status next_batch(void *context, struct train_batch *batch, bool *ended,
                                hearth_error *err) {
    static const uint32_t starts[2] = {0, 1};
    static const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2}, none = -1;
    struct problem *p = context;
    (void)err;
    *batch = (struct train_batch){.n_rows = 1,
                                  .tokens = &tokens[p->position % 7],
                                  .targets = &none,
                                  .starts = starts,
                                  .n_sequences = 1};
    *ended = ++p->position % 7 == 0;
    return HEARTH_OK;
}

static void save_position(void *context, uint8_t state[SOURCE_STATE_BYTES]) {
    const struct problem *p = context;
    memset(state, 0, SOURCE_STATE_BYTES);
    memcpy(state, &p->position, sizeof p->position);
}

static hearth_status restore_position(void *context, const uint8_t state[SOURCE_STATE_BYTES],
                                      hearth_error *err) {
    struct problem *p = context;
    (void)err;
    memcpy(&p->position, state, sizeof p->position);
    return HEARTH_OK;
}

struct setting { /* of all ranks; the threads only read it */
    enum zero_stage stage;
    bool in_parts; /* exchanged during passes */
    enum ranks_wire wire;
    enum moment_format moments;
    uint64_t n_steps, stop_at, fail_step;
    int fail_rank;
    const char *folder;
};
static struct setting setting;

static bool reached_stop(void *context) {
    const struct problem *p = context;
    return setting.stop_at && p->trainer.state.step == setting.stop_at;
}

static void take_means(void *context, const struct train_event *event) {
    struct problem *p = context;
    if (event->kind != TRAIN_STEP) return;
    p->margin = event->margin;
    p->accuracy = event->accuracy;
}

static void open_problem(struct problem *p, struct ranks *ranks) {
    struct device_options device = {.n_threads = 1, .max_tokens = 1};
    struct optimizer_options options = optimizer_defaults();
    *p = (struct problem){.scratch = mem_alloc_array(BIG, sizeof(float))};
    options.moments = setting.moments;
    options.ranks = ranks;
    options.stage = setting.stage;
    if (setting.in_parts) options.parts = &parts;
    options.wire = setting.wire;
    if (ranks_rank(ranks) == setting.fail_rank) p->fail_step = setting.fail_step;
    assert_int_equal(device_open_cpu(&p->device, &device, NULL), HEARTH_OK);
    static const char *const names[2] = {"big", "small"};
    for (int k = 0; k < 2; k++) {
        struct parameter *parameter = &p->parameters[k];
        uint64_t bytes = lengths[k] * sizeof(float);
        *parameter = (struct parameter){.name = names[k], .rows = 1, .cols = lengths[k]};
        assert_int_equal(device_alloc(p->device, bytes, &parameter->value, NULL), HEARTH_OK);
        assert_int_equal(device_alloc(p->device, bytes, &parameter->gradient, NULL), HEARTH_OK);
    }
    assert_int_equal(optimizer_open(&p->optimizer, p->device, p->parameters, 2, &options, NULL),
                     HEARTH_OK);
    if (setting.in_parts) p->observer = optimizer_observer(p->optimizer);
    p->trainer =
        (struct trainer){.optimizer = p->optimizer,
                         .objective = {p, pull, pull, true},
                         .source = {p, next_batch, save_position, restore_position},
                         .options = {.schedule = {SCHEDULE_COSINE, 0.05f, 0.1f, 2, setting.n_steps},
                                     .accumulation = BATCHES,
                                     .keep = 2,
                                     .folder = setting.folder,
                                     .fingerprint = "pull",
                                     .stop = reached_stop,
                                     .stop_context = p},
                         .take_part = setting.in_parts ? look_on : NULL,
                         .take_part_context = p,
                         .report = take_means,
                         .report_context = p};
}

static void close_problem(struct problem *p) {
    optimizer_close(p->optimizer);
    device_close(p->device);
    mem_free(p->scratch);
}

struct outcome {
    hearth_status status;
    hearth_error error;
    enum train_end end;
    bool resumed;
    uint64_t step, tokens, n_mine, moment_bytes, state_bytes, resident_bytes;
    double margin, accuracy;
    float values[2][SMALL]; /* the last ones of both tensors */
};

static uint64_t resident(const struct device *device, device_buffer buffer) {
    static _Thread_local unsigned char pages[BIG * sizeof(float) / 4096 + 1];
    uint64_t n = 0, size = buffer ? device->buffers[buffer - 1].size_bytes : 0;
    if (size == 0) return 0;
    assert_int_equal(mincore(buffer_data(device, buffer), (size_t)size, pages), 0);
    for (uint64_t i = 0; i < (size + 4095) / 4096; i++)
        n += pages[i] & 1;
    return n * 4096;
}

/* What the system says that is there of all that is trained. */
static uint64_t resident_state(const struct problem *p) {
    uint64_t bytes = 0;
    for (int k = 0; k < 2; k++) {
        const struct trained_tensor *t = &optimizer_tensors(p->optimizer)[k];
        bytes += resident(p->device, t->value) + resident(p->device, t->gradient);
        bytes += resident(p->device, t->m) + resident(p->device, t->v);
    }
    return bytes;
}

/* The last values of both tensors, also of those that are not here. */
static void read_values(const struct problem *p, float values[2][SMALL]) {
    const struct pass_observer *o = &p->observer;
    if (o->enter) assert_int_equal(o->enter(o->context, 0, NO_PART, NULL), HEARTH_OK);
    for (int k = 0; k < 2; k++)
        device_read(p->device, p->parameters[k].value, (lengths[k] - SMALL) * sizeof(float),
                    values[k], SMALL * sizeof(float), NULL);
    if (o->leave) assert_int_equal(o->leave(o->context, 0, NO_PART, NULL), HEARTH_OK);
}

static void train(struct ranks *ranks, void *result) {
    struct outcome *o = result;
    struct problem p;
    open_problem(&p, ranks);
    o->status = trainer_resume(&p.trainer, &o->resumed, &o->error);
    if (o->status == HEARTH_OK) o->status = trainer_run(&p.trainer, &o->end, &o->error);
    o->step = p.trainer.state.step;
    o->tokens = p.trainer.state.tokens;
    o->n_mine = p.n_mine;
    o->margin = p.margin;
    o->accuracy = p.accuracy;
    o->moment_bytes = optimizer_bytes(p.parameters, 2, optimizer_settings(p.optimizer));
    o->state_bytes = optimizer_state_bytes(p.parameters, 2, optimizer_settings(p.optimizer));
    o->resident_bytes = resident_state(&p);
    read_values(&p, o->values);
    close_problem(&p);
}

static struct outcome outcomes[MOST_RANKS];

static struct outcome run_trainers(int count) {
    memset(outcomes, 0, sizeof outcomes);
    run_ranks(count, train, outcomes, sizeof *outcomes);
    for (int i = 1; i < count; i++) {
        assert_int_equal(outcomes[i].status, outcomes[0].status);
        assert_int_equal(outcomes[i].step, outcomes[0].step);
        assert_memory_equal(outcomes[i].values, outcomes[0].values, sizeof outcomes[0].values);
    }
    return outcomes[0];
}

static struct outcome run_one(void) {
    struct outcome one = {0};
    train(NULL, &one);
    assert_int_equal(one.status, HEARTH_OK);
    return one;
}

static void assert_close(const struct outcome *a, const struct outcome *b, double tolerance) {
    double difference = 0, size = 0;
    for (int i = 0; i < 2 * SMALL; i++) {
        double x = (double)a->values[i / SMALL][i % SMALL];
        double y = (double)b->values[i / SMALL][i % SMALL];
        difference += (x - y) * (x - y);
        size += x * x;
    }
    assert_true(size > 1);
    assert_true(sqrt(difference / size) <= tolerance);
}

/* A way of dividing what is trained, and of exchanging the rest; the number of all ways. */
enum { WAYS = 7 };

static void choose_way(int way) {
    setting.stage = (enum zero_stage)(way / 2);
    setting.in_parts = way % 2 || setting.stage == ZERO_VALUES;
}

static void ranks_end_where_one_does(void **state) {
    (void)state;
    static const enum moment_format formats[] = {MOMENTS_F32, MOMENTS_8BIT};
    for (int f = 0; f < 2; f++) {
        setting = (struct setting){.n_steps = STEPS, .moments = formats[f]};
        struct outcome one = run_one();
        int fewest = formats[f] == MOMENTS_F32 ? 2 : MOST_RANKS;
        for (int count = fewest; count <= MOST_RANKS; count++)
            for (int way = 0; way < WAYS; way++) {
                choose_way(way);
                struct outcome many = run_trainers(count), again = run_trainers(count);
                uint64_t share = one.moment_bytes / (setting.stage ? (uint64_t)count : 1);
                assert_int_equal(many.end, TRAIN_FINISHED);
                assert_int_equal(many.tokens, one.tokens);
                assert_true(many.n_mine < one.n_mine);
                assert_true(one.margin > 0 && fabs(many.margin - one.margin) < 1e-12);
                assert_true(one.accuracy > 0 && fabs(many.accuracy - one.accuracy) < 1e-12);
                assert_true(many.moment_bytes <= share + 4 * ROUNDING_BYTES);
                assert_close(&many, &one, formats[f] == MOMENTS_F32 ? 1e-5 : 1e-3);
                assert_memory_equal(many.values, again.values, sizeof many.values);
            }
    }
}

/* With a batch for each rank, the same sums in the same order. */
static void every_way_gives_the_same_bits(void **state) {
    (void)state;
    for (int wire = WIRE_F32; wire <= WIRE_BF16; wire++) {
        setting = (struct setting){
            .n_steps = STEPS, .stage = ZERO_MOMENTS, .wire = (enum ranks_wire)wire};
        struct outcome first = run_trainers(BATCHES);
        for (int way = wire == WIRE_F32 ? 0 : 2; way < WAYS; way++) {
            choose_way(way);
            struct outcome other = run_trainers(BATCHES);
            assert_memory_equal(first.values, other.values, sizeof first.values);
        }
    }
}

static void assert_fraction(uint64_t part, uint64_t whole, double least, double most) {
    double fraction = (double)part / (double)whole;
    if (fraction < least || fraction > most)
        fail_msg("%.3f is not between %.3f and %.3f", fraction, least, most);
}

/* As was said, and as the system counts it. */
static void dividing_divides_memory(void **state) {
    static const double rest[] = {
        [ZERO_NOTHING] = 1, [ZERO_MOMENTS] = 0.75, [ZERO_GRADIENTS] = 0.625, [ZERO_VALUES] = 0.5};
    (void)state;
    setting = (struct setting){.n_steps = 2};
    struct outcome one = run_one();
    assert_fraction(one.resident_bytes, one.state_bytes, 0.99, 1.01);
    for (int way = 0; way < WAYS; way++) {
        choose_way(way);
        run_trainers(2);
        for (int rank = 0; rank < 2; rank++) {
            const struct outcome *o = &outcomes[rank];
            double expected = rest[setting.stage];
            assert_fraction(o->state_bytes, one.state_bytes, expected - 0.01, expected + 0.01);
            assert_fraction(o->resident_bytes, one.state_bytes, expected - 0.02, expected + 0.02);
        }
    }
}

static void narrow_gradients_end_nearby(void **state) {
    (void)state;
    setting = (struct setting){.n_steps = STEPS};
    struct outcome one = run_one();
    setting.wire = WIRE_BF16;
    for (int way = 0; way < WAYS; way++) {
        choose_way(way);
        struct outcome many = run_trainers(3);
        assert_close(&many, &one, 1e-2);
    }
}

static void make_folder(char folder[64]) {
    snprintf(folder, 64, "/tmp/hearth-ranks-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(const char *folder) {
    char **names;
    size_t count;
    assert_int_equal(file_list(folder, &names, &count, NULL), HEARTH_OK);
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(folder, names[i]);
        unlink(path);
        mem_free(path);
    }
    file_names_free(names, count);
    rmdir(folder);
}

static void another_number_of_ranks_goes_on(void **state) {
    (void)state;
    char folder[64];
    setting = (struct setting){.n_steps = STEPS};
    struct outcome one = run_one();
    for (int way = 0; way < WAYS; way++) {
        make_folder(folder);
        setting = (struct setting){.n_steps = STEPS, .stop_at = 3, .folder = folder};
        choose_way(way);
        assert_int_equal(run_trainers(4).end, TRAIN_STOPPED);
        setting.stop_at = 6;
        assert_int_equal(run_one().step, 6);
        setting.stop_at = 0;
        struct outcome end = run_trainers(3);
        assert_true(end.resumed);
        assert_int_equal(end.end, TRAIN_FINISHED);
        assert_int_equal(end.step, STEPS);
        assert_int_equal(end.tokens, one.tokens);
        assert_close(&end, &one, 1e-5);
        remove_folder(folder);
    }
}

static void a_failure_of_one_is_told_by_all(void **state) {
    (void)state;
    char folder[64];
    make_folder(folder);
    for (int way = 0; way < WAYS; way++) {
        setting =
            (struct setting){.n_steps = STEPS, .fail_step = 4, .fail_rank = 1, .folder = folder};
        choose_way(way);
        for (int count = 2; count <= 3; count++) {
            struct outcome end = run_trainers(count);
            assert_int_equal(end.status, HEARTH_ERROR_IO);
            assert_string_equal(end.error.message, "rank 1 on here: the disk is gone");
            assert_int_equal(end.step, 3);
        }
    }
    remove_folder(folder);
}

/* A folder that cannot be made, and a checkpoint that cannot be read. */
static void what_rank_0_cannot_write_fails_everywhere(void **state) {
    (void)state;
    char folder[64], inside[128];
    make_folder(folder);
    snprintf(inside, sizeof inside, "%s/checkpoint-00000001.safetensors", folder);
    assert_int_equal(file_write(inside, "damaged", 7, NULL), HEARTH_OK);
    setting = (struct setting){.n_steps = STEPS, .stage = ZERO_MOMENTS, .folder = folder};
    assert_int_equal(run_trainers(3).status, HEARTH_ERROR_FORMAT);
    setting.folder = inside;
    assert_int_equal(run_trainers(3).status, HEARTH_ERROR_IO);
    remove_folder(folder);
}

/* The others, which have parts of what is written, do not wait for ever. */
static void a_full_disk_fails_everywhere(void **state) {
    (void)state;
    char folder[64];
    struct rlimit before, low;
    make_folder(folder);
    setting = (struct setting){.n_steps = 1, .stage = ZERO_MOMENTS, .folder = folder};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)BIG * sizeof(float) * 3 / 2; /* in the middle of the moments */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    struct outcome end = run_trainers(3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(end.status, HEARTH_ERROR_IO);
    char **names;
    size_t count;
    assert_int_equal(file_list(folder, &names, &count, NULL), HEARTH_OK);
    file_names_free(names, count);
    assert_int_equal(count, 0);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_decide_together),
        cmocka_unit_test(ranks_end_where_one_does),
        cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(dividing_divides_memory),
        cmocka_unit_test(narrow_gradients_end_nearby),
        cmocka_unit_test(another_number_of_ranks_goes_on),
        cmocka_unit_test(a_failure_of_one_is_told_by_all),
        cmocka_unit_test(what_rank_0_cannot_write_fails_everywhere),
        cmocka_unit_test(a_full_disk_fails_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
