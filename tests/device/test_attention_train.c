/* Attention of training, forward and backward, against its formulas in double precision, over
 * sequences of many tiles; and against itself with other threads and other neighbours. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "device/attention_train.h"

enum { MOST_ROWS = 300, MOST_WIDTH = 192, MOST_HEADS = 6 };

struct setting {
    const char *name;
    uint32_t n_head, n_head_kv, d_k, d_v, window;
    float softcap;
    bool sinks, bidirectional;
};

static const struct setting settings[] = {
    {"grouped heads", 6, 2, 32, 32, 0, 0, false, false},
    {"one kv head", 4, 1, 48, 40, 0, 0, false, false},
    {"window and sinks", 3, 3, 20, 20, 100, 0, true, false},
    {"short window and cap", 4, 2, 16, 16, 9, 2.0f, false, false},
    {"both ways in a window", 2, 2, 24, 24, 70, 0, false, true},
};

/* Rows of one view; what backward writes is compared too. */
enum { Q, K, V, Y, LSE, DY, DQ, DK, DV, VIEWS };

struct rows {
    float of[VIEWS][MOST_ROWS * MOST_WIDTH];
};
static struct rows input, first, other;
static float sinks[MOST_HEADS];

static uint32_t width(const struct setting *s, int view) {
    switch (view) {
    case Q:
    case DQ: return s->n_head * s->d_k;
    case K:
    case DK: return s->n_head_kv * s->d_k;
    case V:
    case DV: return s->n_head_kv * s->d_v;
    case LSE: return s->n_head;
    default: return s->n_head * s->d_v;
    }
}

static void expect_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("%s", err->message);
}

static void make_plan(const struct setting *s, const struct view *v, device_buffer sink_buffer,
                      bool exact, struct op ops[2]) {
    struct op op = {
        .kind = OP_ATTENTION_TRAIN,
        .in = v[Q],
        .in2 = v[K],
        .in3 = v[V],
        .out = v[Y],
        .out2 = v[LSE],
        .scale = 1.0f / sqrtf((float)s->d_k),
        .attention = {.n_head = s->n_head,
                      .window = s->window,
                      .softcap = s->softcap,
                      .causal = !s->bidirectional,
                      .exact = exact,
                      .layout = {.n_head_kv = s->n_head_kv, .d_k = s->d_k, .d_v = s->d_v}}};
    if (s->sinks) op.w = (struct weight){.buffer = sink_buffer, .cols = s->n_head, .rows = 1};
    ops[0] = op;
    op.kind = OP_ATTENTION_BACK;
    op.in4 = v[Y], op.in5 = v[LSE], op.in6 = v[DY];
    op.out = v[DQ], op.out2 = v[DK], op.out3 = v[DV];
    ops[1] = op;
}

/* The rows [from, from + n) of the input, as sequences that end at `ends`. */
static void attend(const struct setting *s, uint32_t from, uint32_t n, const uint32_t *ends,
                   unsigned n_threads, bool exact, struct rows *result) {
    struct device_options options = {.n_threads = n_threads, .max_tokens = MOST_ROWS};
    struct device *device;
    hearth_error err = {0};
    struct view views[VIEWS];
    device_buffer sink_buffer;
    struct op ops[2];
    struct batch_run runs[4] = {0};
    struct batch batch = {.n_rows = n, .runs = runs};
    expect_ok(device_open_cpu(&device, &options, &err), &err);
    for (int v = 0; v < VIEWS; v++) {
        uint32_t w = width(s, v);
        views[v] = (struct view){0, 0, w};
        expect_ok(device_alloc(device, sizeof input.of[v], &views[v].buffer, &err), &err);
        expect_ok(device_write(device, views[v].buffer, 0, input.of[v] + from * w,
                               (uint64_t)n * w * sizeof(float), &err),
                  &err);
    }
    expect_ok(device_import(device, sinks, sizeof sinks, &sink_buffer, &err), &err);
    for (uint32_t begin = 0; begin < n; begin = ends[batch.n_runs++])
        runs[batch.n_runs] =
            (struct batch_run){.first_row = begin, .n_rows = ends[batch.n_runs] - begin};
    make_plan(s, views, sink_buffer, exact, ops);
    struct plan plan = {ops, 2, 2};
    expect_ok(device_prepare(device, &plan, &err), &err);
    expect_ok(device_run(device, &plan, &batch, &err), &err);
    for (int v = 0; v < VIEWS; v++)
        expect_ok(device_read(device, views[v].buffer, 0, result->of[v],
                              (uint64_t)n * width(s, v) * sizeof(float), &err),
                  &err);
    device_close(device);
}

static bool sees(const struct setting *s, uint32_t i, uint32_t j) {
    uint32_t half = s->window / 2;
    if (s->bidirectional) return !s->window || (j + half >= i && i + half >= j);
    return j <= i && (!s->window || i - j < s->window);
}

static double dot(const float *a, const float *b, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

struct reference {
    double of[VIEWS][MOST_ROWS * MOST_WIDTH];
};
static struct reference expected;

static void add(double *to, double factor, const float *row, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        to[i] += factor * (double)row[i];
}

/* One query of a head; its sequence begins at row `begin` and ends at `end`. */
static void reference_query(const struct setting *s, uint32_t head, uint32_t row, uint32_t begin,
                            uint32_t end) {
    uint32_t kv = head / (s->n_head / s->n_head_kv);
    double p[MOST_ROWS], slope[MOST_ROWS], sum = s->sinks ? exp((double)sinks[head]) : 0, along = 0;
    double scale = 1 / sqrt((double)s->d_k), cap = (double)s->softcap;
    size_t at_q = (size_t)row * width(s, Q) + head * s->d_k;
    size_t at_y = (size_t)row * width(s, Y) + head * s->d_v;
    for (uint32_t j = begin; j < end; j++) {
        const float *key = input.of[K] + (size_t)j * width(s, K) + kv * s->d_k;
        double z = scale * dot(input.of[Q] + at_q, key, s->d_k);
        if (cap > 0) z = cap * tanh(z / cap);
        slope[j] = cap > 0 ? 1 - z / cap * (z / cap) : 1;
        p[j] = sees(s, row - begin, j - begin) ? exp(z) : 0;
        sum += p[j];
    }
    for (uint32_t j = begin; j < end; j++) {
        const float *value = input.of[V] + (size_t)j * width(s, V) + kv * s->d_v;
        p[j] /= sum;
        along += p[j] * dot(input.of[DY] + at_y, value, s->d_v);
        add(expected.of[Y] + at_y, p[j], value, s->d_v);
    }
    for (uint32_t j = begin; j < end; j++) {
        size_t at_k = (size_t)j * width(s, K) + kv * s->d_k;
        size_t at_v = (size_t)j * width(s, V) + kv * s->d_v;
        double dp = dot(input.of[DY] + at_y, input.of[V] + at_v, s->d_v);
        double ds = scale * p[j] * (dp - along) * slope[j];
        add(expected.of[DQ] + at_q, ds, input.of[K] + at_k, s->d_k);
        add(expected.of[DK] + at_k, ds, input.of[Q] + at_q, s->d_k);
        add(expected.of[DV] + at_v, p[j], input.of[DY] + at_y, s->d_v);
    }
}

static double relative_error(const float *x, const double *y, size_t n) {
    double difference = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        square += y[i] * y[i];
    }
    return sqrt(difference / square);
}

static const uint32_t ends[] = {150, 151, MOST_ROWS};

static void fill_input(const struct setting *s) {
    struct rng rng;
    rng_seed(&rng, 3);
    for (int v = 0; v < VIEWS; v++)
        for (uint32_t i = 0; i < MOST_ROWS * width(s, v); i++)
            input.of[v][i] = rng_normal(&rng);
    for (int i = 0; i < MOST_HEADS; i++)
        sinks[i] = rng_normal(&rng);
}

static void formulas_hold(void **state) {
    static const int views[] = {Y, DQ, DK, DV};
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct setting *s = &settings[i];
        fill_input(s);
        memset(&expected, 0, sizeof expected);
        for (uint32_t row = 0, run = 0; row < MOST_ROWS; row++) {
            run += row == ends[run];
            for (uint32_t head = 0; head < s->n_head; head++)
                reference_query(s, head, row, run ? ends[run - 1] : 0, ends[run]);
        }
        for (int exact = 0; exact < 2; exact++) {
            attend(s, 0, MOST_ROWS, ends, 2, exact, &first);
            for (int v = 0; v < 4; v++) {
                double error = relative_error(first.of[views[v]], expected.of[views[v]],
                                              (size_t)MOST_ROWS * width(s, views[v]));
                if (!(error < (exact ? 1e-5 : 1e-2)))
                    fail_msg("%s, %s: view %d is %.2g off", s->name, exact ? "exact" : "bf16",
                             views[v], error);
            }
        }
    }
}

/* The last sequence alone, on other numbers of threads. */
static void neighbours_and_threads_do_not_matter(void **state) {
    const uint32_t from = ends[1], n = MOST_ROWS - from, end[] = {n};
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (int exact = 0; exact < 2; exact++) {
            const struct setting *s = &settings[i];
            fill_input(s);
            attend(s, 0, MOST_ROWS, ends, 3, exact, &first);
            attend(s, from, n, end, 1, exact, &other);
            for (int v = 0; v < VIEWS; v++)
                assert_memory_equal(first.of[v] + (size_t)from * width(s, v), other.of[v],
                                    (size_t)n * width(s, v) * sizeof(float));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas_hold),
        cmocka_unit_test(neighbours_and_threads_do_not_matter),
    };
    return cmocka_run_group_tests_name("device/attention_train", tests, NULL, NULL);
}
