/* The recurrences of every level this processor has: against scalar.c, and the same bits
 * wherever they are cut. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/kernels.h"

/* Buffers hold STRIDE floats a row; what a scan reads and writes lies anywhere in them. */
enum { ROWS = 23, STRIDE = 220, MOST_STATE = 40, GUARD = 9 };

static struct rng rng;

struct arrays {
    float in[ROWS][STRIDE], out[ROWS][STRIDE], state[MOST_STATE][STRIDE], w[9 * STRIDE];
    float decay[ROWS], bias[STRIDE];
};

static struct arrays first, expected, got;

static void fill_normal(float *x, size_t n, float size) {
    for (size_t i = 0; i < n; i++)
        x[i] = size * rng_normal(&rng);
}

static void fill_arrays(struct arrays *a) {
    fill_normal(a->in[0], sizeof a->in / sizeof(float), 0.3f);
    fill_normal(a->out[0], sizeof a->out / sizeof(float), 1);
    fill_normal(a->state[0], sizeof a->state / sizeof(float), 1);
    fill_normal(a->w, sizeof a->w / sizeof(float), 0.5f);
    fill_normal(a->bias, STRIDE, 1);
    for (int t = 0; t < ROWS; t++)
        a->decay[t] = (float)rng_uniform(&rng);
}

/* Which rows and columns of a case to compute. */
struct part {
    size_t row, n_rows, column, n_columns;
};

struct scan_case {
    const char *name;
    size_t n_columns, depth; /* depth: taps, d_k, d_state */
    bool flag;               /* convolution: SiLU and bias */
    void (*run)(const struct kernels *k, const struct scan_case *c, struct arrays *a,
                struct part p);
};

static struct scan_in in_at(struct arrays *a, struct part p, size_t column) {
    return (struct scan_in){&a->in[p.row][column], STRIDE};
}

static struct scan_out out_at(struct arrays *a, struct part p) {
    return (struct scan_out){&a->out[p.row][GUARD + p.column], STRIDE};
}

static void run_conv(const struct kernels *k, const struct scan_case *c, struct arrays *a,
                     struct part p) {
    float w[9 * STRIDE];
    for (size_t j = 0; j < c->depth; j++)
        memcpy(w + j * p.n_columns, a->w + j * c->n_columns + p.column, p.n_columns * sizeof *w);
    k->conv(&(struct conv_scan){.n_rows = p.n_rows,
                                .n_columns = p.n_columns,
                                .taps = c->depth,
                                .x = in_at(a, p, p.column),
                                .y = out_at(a, p),
                                .w = w,
                                .bias = c->flag ? a->bias + p.column : NULL,
                                .kept = &a->state[0][GUARD + p.column],
                                .kept_stride = STRIDE,
                                .silu = c->flag});
}

static void run_delta_net(const struct kernels *k, const struct scan_case *c, struct arrays *a,
                          struct part p) {
    k->delta_net(&(struct delta_scan){.n_rows = p.n_rows,
                                      .n_columns = p.n_columns,
                                      .d_k = c->depth,
                                      .q = in_at(a, p, 1),
                                      .k = in_at(a, p, 1 + c->depth),
                                      .v = in_at(a, p, 100 + p.column),
                                      .beta = in_at(a, p, 0),
                                      .decay = a->decay + p.row,
                                      .scale = 0.7f,
                                      .state = &a->state[0][GUARD + p.column],
                                      .state_stride = STRIDE,
                                      .o = out_at(a, p)});
}

static void run_mamba2(const struct kernels *k, const struct scan_case *c, struct arrays *a,
                       struct part p) {
    k->mamba2(&(struct mamba2_scan){.n_rows = p.n_rows,
                                    .n_columns = p.n_columns,
                                    .d_state = c->depth,
                                    .x = in_at(a, p, 100 + p.column),
                                    .b = in_at(a, p, 1),
                                    .c = in_at(a, p, 1 + c->depth),
                                    .dt = in_at(a, p, 0),
                                    .decay = a->decay + p.row,
                                    .skip = 0.4f,
                                    .state = &a->state[0][GUARD + p.column],
                                    .state_stride = STRIDE,
                                    .y = out_at(a, p)});
}

/* Calls check(kernels, case) for every level that runs here and all widths and depths. */
static void each_case(void (*check)(const struct kernels *k, const struct scan_case *c),
                      enum cpu_level lowest) {
    static const size_t depths[] = {1, 2, 3, 4, 5, 9};
    static const struct scan_case kinds[] = {
        {.name = "conv", .run = run_conv},
        {.name = "conv with SiLU", .run = run_conv, .flag = true},
        {.name = "delta_net", .run = run_delta_net},
        {.name = "mamba2", .run = run_mamba2},
    };
    for (int level = (int)lowest; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        rng_seed(&rng, 7);
        fill_arrays(&first);
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            for (size_t d = 0; d < sizeof depths / sizeof depths[0]; d++)
                for (size_t n = 0; n < 3 * SCAN_COLUMNS; n += n < 2 * SCAN_COLUMNS + 4 ? 1 : 7) {
                    struct scan_case c = kinds[i];
                    c.n_columns = n;
                    c.depth = c.run == run_conv ? depths[d] : 4 * depths[d] + d % 2;
                    check(kernels_for((enum cpu_level)level), &c);
                }
    }
}

static void compare(const struct kernels *k, const struct scan_case *c, const char *what,
                    const float *x, const float *y, size_t n, float tolerance) {
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i] - y[i]) > tolerance * (1 + fabsf(y[i])) || isnan(x[i]) != isnan(y[i]))
            fail_msg("%s of %zu columns, depth %zu, at level %s: %s [%zu] is %.9g, expected %.9g",
                     c->name, c->n_columns, c->depth, cpu_level_name(k->level), what, i,
                     (double)x[i], (double)y[i]);
}

/* The whole buffers: what lies beside the columns must not change either. */
static void compare_all(const struct kernels *k, const struct scan_case *c, float tolerance) {
    compare(k, c, "output", got.out[0], expected.out[0], sizeof got.out / sizeof(float), tolerance);
    compare(k, c, "state", got.state[0], expected.state[0], sizeof got.state / sizeof(float),
            tolerance);
}

static void check_scalar(const struct kernels *k, const struct scan_case *c) {
    struct part all = {0, ROWS, 0, c->n_columns};
    got = expected = first;
    c->run(k, c, &got, all);
    c->run(kernels_for(CPU_SCALAR), c, &expected, all);
    compare_all(k, c, 1e-5f);
}

static void every_level_matches_scalar(void **state) {
    (void)state;
    each_case(check_scalar, (enum cpu_level)(CPU_SCALAR + 1));
}

static void check_cuts(const struct kernels *k, const struct scan_case *c) {
    static const size_t rows[] = {0, 1, 2, 5, 9, 16, ROWS};
    size_t columns[] = {0, c->n_columns / 3, c->n_columns / 2, c->n_columns};
    got = expected = first;
    c->run(k, c, &expected, (struct part){0, ROWS, 0, c->n_columns});
    for (size_t i = 0; i + 1 < sizeof rows / sizeof rows[0]; i++)
        for (size_t j = 0; j + 1 < sizeof columns / sizeof columns[0]; j++)
            c->run(k, c, &got,
                   (struct part){rows[i], rows[i + 1] - rows[i], columns[j],
                                 columns[j + 1] - columns[j]});
    compare_all(k, c, 0);
}

static void cuts_change_no_bit(void **state) {
    (void)state;
    each_case(check_cuts, CPU_SCALAR);
}

/* By the definition: y[t] = sum_j w[j] x[t - taps + 1 + j], where the kept inputs stand
 * before the first row; and y may be x. */
static void check_conv(const struct kernels *k, const struct scan_case *c) {
    if (c->run != run_conv || c->flag) return;
    size_t kept = c->depth - 1;
    got = first;
    k->conv(&(struct conv_scan){.n_rows = ROWS,
                                .n_columns = c->n_columns,
                                .taps = c->depth,
                                .x = {got.in[0], STRIDE},
                                .y = {got.in[0], STRIDE},
                                .w = got.w,
                                .kept = got.state[0],
                                .kept_stride = STRIDE});
    expected = first;
    for (size_t t = 0; t < ROWS; t++)
        for (size_t i = 0; i < c->n_columns; i++) {
            double sum = 0;
            for (size_t j = 0; j < c->depth; j++) {
                float x = t + j < kept ? first.state[t + j][i] : first.in[t + j - kept][i];
                sum += (double)x * (double)first.w[j * c->n_columns + i];
            }
            expected.in[t][i] = (float)sum;
        }
    compare(k, c, "output in place", got.in[0], expected.in[0], sizeof got.in / sizeof(float),
            1e-6f);
}

static void convolution_is_its_definition(void **state) {
    (void)state;
    each_case(check_conv, CPU_SCALAR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_matches_scalar),
        cmocka_unit_test(cuts_change_no_bit),
        cmocka_unit_test(convolution_is_its_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
