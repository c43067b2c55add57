/* Operations with a recurrent state, each alone in a plan: where the state of a row goes
 * must change no bit of what follows. */
#include "testdata.h"

#include <string.h>

#include "base/rng.h"
#include "device/device.h"

enum { N_ROWS = 24, N_SLOTS = N_ROWS + 2, HEADS = 4, D_K = 24, D_V = 40, WIDTH = 3 * HEADS * D_V };

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

/* One operation over random inputs of N_ROWS rows. */
struct scene {
    const char *name;
    struct device *device;
    struct plan plan;
    device_buffer out, state, inputs;
    uint32_t width, slot_floats;
    float *initial; /* the states of all slots */
};

static device_buffer random_buffer(struct scene *s, struct rng *rng, size_t n, float scale,
                                   float offset) {
    hearth_error err = {0};
    device_buffer buffer;
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * rng_normal(rng) + offset;
    expect_ok(device_alloc(s->device, n * sizeof *x, &buffer, &err), &err);
    expect_ok(device_write(s->device, buffer, 0, x, n * sizeof *x, &err), &err);
    free(x);
    return buffer;
}

static struct view view_of(device_buffer buffer, uint32_t offset, uint32_t stride) {
    return (struct view){.buffer = buffer, .offset = offset, .stride = stride};
}

static struct op conv_op(struct scene *s, struct rng *rng, uint32_t kernel) {
    s->width = WIDTH;
    s->slot_floats = (kernel - 1) * WIDTH;
    struct op op = {.kind = OP_CONV, .width = WIDTH, .activation = ACTIVATION_SILU};
    op.in = view_of(s->inputs, 0, WIDTH);
    op.w =
        (struct weight){random_buffer(s, rng, WIDTH * kernel, 0.5f, 0), ELEM_F32, kernel, WIDTH, 1};
    op.bias = (struct weight){random_buffer(s, rng, WIDTH, 0.5f, 0), ELEM_F32, WIDTH, 1, 1};
    op.conv.kernel = kernel;
    return op;
}

static struct op delta_op(struct scene *s, struct rng *rng, uint32_t d_k, uint32_t d_v) {
    s->width = HEADS * d_v;
    s->slot_floats = HEADS * d_k * d_v;
    struct op op = {.kind = OP_DELTA_NET, .scale = 0.2f};
    op.in = view_of(s->inputs, 0, WIDTH);
    op.in2 = view_of(s->inputs, HEADS / 2 * d_k, WIDTH);
    op.in3 = view_of(s->inputs, HEADS * d_k, WIDTH);
    op.in4 = view_of(random_buffer(s, rng, N_ROWS * HEADS, 0.05f, -0.2f), 0, HEADS);
    op.in5 = view_of(random_buffer(s, rng, N_ROWS * HEADS, 0.01f, 0.05f), 0, HEADS);
    op.delta.n_head_k = HEADS / 2;
    op.delta.n_head_v = HEADS;
    op.delta.d_k = d_k;
    op.delta.d_v = d_v;
    return op;
}

static struct op mamba2_op(struct scene *s, struct rng *rng, uint32_t d_head, uint32_t d_state) {
    s->width = HEADS * d_head;
    s->slot_floats = HEADS * d_head * d_state;
    struct op op = {.kind = OP_MAMBA2};
    op.in = view_of(s->inputs, 0, WIDTH);
    op.in2 = view_of(s->inputs, HEADS * d_head, WIDTH);
    op.in3 = view_of(s->inputs, HEADS * d_head + 2 * d_state, WIDTH);
    op.in4 = view_of(random_buffer(s, rng, N_ROWS * HEADS, 0.01f, 0.1f), 0, HEADS);
    op.w = (struct weight){random_buffer(s, rng, HEADS, 0.2f, -1.5f), ELEM_F32, HEADS, 1, 1};
    op.bias = (struct weight){random_buffer(s, rng, HEADS, 1.0f, 0), ELEM_F32, HEADS, 1, 1};
    op.mamba2.n_head = HEADS;
    op.mamba2.d_head = d_head;
    op.mamba2.n_group = 2;
    op.mamba2.d_state = d_state;
    return op;
}

static struct op op_of(struct scene *s, struct rng *rng, enum op_kind kind) {
    if (kind == OP_CONV) return conv_op(s, rng, 4);
    return kind == OP_DELTA_NET ? delta_op(s, rng, D_K, D_V) : mamba2_op(s, rng, D_V, D_K);
}

static void keep_initial_states(struct scene *s) {
    hearth_error err = {0};
    size_t bytes = (size_t)N_SLOTS * s->slot_floats * sizeof *s->initial;
    s->initial = malloc(bytes);
    assert_non_null(s->initial);
    expect_ok(device_read(s->device, s->state, 0, s->initial, bytes, &err), &err);
}

static void open_scene(struct scene *s, enum op_kind kind, unsigned n_threads) {
    hearth_error err = {0};
    struct rng rng;
    rng_seed(&rng, 7);
    struct device_options options = {.n_threads = n_threads, .max_tokens = N_ROWS};
    *s = (struct scene){.name = op_name(kind)};
    expect_ok(device_open_cpu(&s->device, &options, &err), &err);
    s->inputs = random_buffer(s, &rng, (size_t)N_ROWS * WIDTH, 1, 0);
    struct op op = op_of(s, &rng, kind);
    s->state = random_buffer(s, &rng, (size_t)N_SLOTS * s->slot_floats, 1, 0);
    s->out = random_buffer(s, &rng, (size_t)N_ROWS * s->width, 1, 0);
    op.out = view_of(s->out, 0, s->width);
    if (kind == OP_CONV) op.conv.state = s->state;
    if (kind == OP_DELTA_NET) op.delta.state = s->state;
    if (kind == OP_MAMBA2) op.mamba2.state = s->state;
    keep_initial_states(s);
    plan_init(&s->plan);
    expect_ok(plan_append(&s->plan, &op, &err), &err);
    expect_ok(device_prepare(s->device, &s->plan, &err), &err);
}

static void close_scene(struct scene *s) {
    plan_release(&s->plan);
    device_close(s->device);
    free(s->initial);
}

/* Every slot as it was at first. */
static void restore(struct scene *s) {
    hearth_error err = {0};
    size_t bytes = (size_t)N_SLOTS * s->slot_floats * sizeof(float);
    expect_ok(device_write(s->device, s->state, 0, s->initial, bytes, &err), &err);
}

static void compute(struct scene *s, struct batch_run part) {
    hearth_error err = {0};
    struct batch batch = {.n_rows = part.first_row + part.n_rows, .runs = &part, .n_runs = 1};
    expect_ok(device_run(s->device, &s->plan, &batch, &err), &err);
}

static float *read_floats(struct scene *s, device_buffer buffer, size_t first, size_t n) {
    hearth_error err = {0};
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    expect_ok(device_read(s->device, buffer, first * sizeof *x, x, n * sizeof *x, &err), &err);
    return x;
}

static float *read_slot(struct scene *s, uint32_t slot) {
    return read_floats(s, s->state, (size_t)slot * s->slot_floats, s->slot_floats);
}

static float *read_rows(struct scene *s, uint32_t first, uint32_t n) {
    return read_floats(s, s->out, (size_t)first * s->width, (size_t)n * s->width);
}

/* Takes both. */
static void expect_same(const struct scene *s, const char *what, size_t row, float *a, float *b,
                        size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: %s, row %zu: value %zu is %.9g, should be %.9g", s->name, what, row, i,
                     (double)a[i], (double)b[i]);
    free(a);
    free(b);
}

static void expect_untouched(struct scene *s, uint32_t slot) {
    float *want = malloc(s->slot_floats * sizeof *want);
    assert_non_null(want);
    memcpy(want, s->initial + (size_t)slot * s->slot_floats, s->slot_floats * sizeof *want);
    expect_same(s, "a slot that nobody named", slot, read_slot(s, slot), want, s->slot_floats);
}

static const enum op_kind kinds[] = {OP_CONV, OP_DELTA_NET, OP_MAMBA2};
enum { N_KINDS = sizeof kinds / sizeof kinds[0], FIRST = 5, LAST = 12, HOME = 1 };

/* Rows [FIRST, LAST] snapshot into slots 2.., then from each of them to the end. */
static void snapshots_continue_as_if_stopped_there(struct scene *s, bool fresh) {
    uint32_t slots[LAST - FIRST + 1];
    for (uint32_t i = 0; i <= LAST - FIRST; i++)
        slots[i] = 2 + i;
    struct batch_run whole = {
        .first_row = FIRST, .n_rows = N_ROWS - FIRST, .state_slot = HOME, .fresh = fresh};
    for (uint32_t row = FIRST; row <= LAST; row++) {
        restore(s);
        compute(s, whole);
        float *rest = read_rows(s, row + 1, N_ROWS - row - 1), *end = read_slot(s, HOME);
        float *head = read_rows(s, FIRST, LAST - FIRST + 1);
        restore(s);
        struct batch_run upto = whole;
        upto.n_rows = row - FIRST + 1;
        compute(s, upto);
        float *stopped = read_slot(s, HOME);
        restore(s);
        struct batch_run marked = whole;
        marked.n_rows = LAST - FIRST + 1;
        marked.row_slots = slots;
        compute(s, marked);
        expect_untouched(s, HOME);
        expect_untouched(s, 0);
        expect_same(s, "outputs with snapshots", row, read_rows(s, FIRST, LAST - FIRST + 1), head,
                    (size_t)(LAST - FIRST + 1) * s->width);
        expect_same(s, "snapshot", row, read_slot(s, slots[row - FIRST]), stopped, s->slot_floats);
        compute(s, (struct batch_run){.first_row = row + 1,
                                      .n_rows = N_ROWS - row - 1,
                                      .state_slot = slots[row - FIRST]});
        expect_same(s, "rows after a snapshot", row, read_rows(s, row + 1, N_ROWS - row - 1), rest,
                    (size_t)(N_ROWS - row - 1) * s->width);
        expect_same(s, "state after a snapshot", row, read_slot(s, slots[row - FIRST]), end,
                    s->slot_floats);
    }
}

static void every_row_may_keep_its_state(void **state) {
    (void)state;
    for (size_t i = 0; i < N_KINDS; i++)
        for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
            struct scene s;
            open_scene(&s, kinds[i], n_threads);
            snapshots_continue_as_if_stopped_there(&s, false);
            snapshots_continue_as_if_stopped_there(&s, true);
            close_scene(&s);
        }
}

/* The slot a run starts from may be among those that receive, and a slot may be named twice:
 * then the later row's state stays. */
static void slots_may_repeat(void **state) {
    static const uint32_t slots[] = {HOME, 3, 3, HOME, 4};
    enum { N = sizeof slots / sizeof slots[0] };
    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        struct scene s;
        open_scene(&s, kinds[i], 1);
        float *after[N];
        for (uint32_t n = 1; n <= N; n++) {
            restore(&s);
            compute(&s, (struct batch_run){.n_rows = n, .state_slot = HOME});
            after[n - 1] = read_slot(&s, HOME);
        }
        restore(&s);
        compute(&s, (struct batch_run){.n_rows = N, .state_slot = HOME, .row_slots = slots});
        expect_same(&s, "named twice", 2, read_slot(&s, 3), after[2], s.slot_floats);
        expect_same(&s, "the first slot again", 3, read_slot(&s, HOME), after[3], s.slot_floats);
        expect_same(&s, "the last row", 4, read_slot(&s, 4), after[4], s.slot_floats);
        free(after[0]);
        free(after[1]);
        close_scene(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_may_keep_its_state),
        cmocka_unit_test(slots_may_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
