/* bench_row.h - what was measured of one test of 'hearth bench', and what follows from it. */
#ifndef HEARTH_CLI_BENCH_ROW_H
#define HEARTH_CLI_BENCH_ROW_H

#include "cli/bench_tests.h"
#include "device/machine_speed.h"
#include "device/plan_cost.h"

enum { BENCH_MAX_REPETITIONS = 100 };

/* Seconds of repetitions, sorted once all are measured. */
struct bench_times {
    double seconds[BENCH_MAX_REPETITIONS], cpu_seconds[BENCH_MAX_REPETITIONS];
    unsigned count;
};
void bench_sort(double *values, unsigned count);
void bench_times_sort(struct bench_times *times);
double bench_median(const double *sorted, unsigned count);

struct bench_limits {
    double read; /* bytes a second */
    struct machine_rates multiply;
};
/* Operations a second that prompts are judged against: of 16-bit floats where the level
 * multiplies prompts in those, else the most it does with any numbers. */
double bench_multiply_limit(const struct bench_limits *limits);
struct bench_limits bench_mean_limits(const struct bench_limits *a, const struct bench_limits *b);
/* Seconds at the limits: the longer of reading and multiplying. */
double bench_least_seconds(const struct bench_limits *limits, const struct plan_cost *cost);

/* As many steps of one sequence that began empty, each right after one of the test, so that
 * both meet the same machine; where bench_test_has_single. */
struct bench_single {
    struct bench_times times;
    struct plan_cost cost;                /* of one repetition */
    double ratios[BENCH_MAX_REPETITIONS]; /* seconds of the test over these, sorted */
};

struct bench_row {
    const struct bench_test *test;
    struct bench_times times;
    struct plan_cost prompt, generate; /* of one repetition */
    struct bench_limits limits;        /* the best of its measurements */
    double reading;                    /* see bench_row_reading(); a sum */
    unsigned n_readings;
    double fractions[BENCH_MAX_REPETITIONS]; /* of the limit, sorted */
    struct bench_single single;
};
uint64_t bench_row_tokens(const struct bench_row *row); /* of one repetition */
double bench_row_bytes(const struct bench_row *row);
double bench_row_ops(const struct bench_row *row);
bool bench_row_reads(const struct bench_row *row); /* reading is what limits it */
/* What reading alone reaches of the limit, over all measurements of it. */
double bench_row_reading(const struct bench_row *row);
/* Tokens a second over those of the single sequence. */
double bench_row_ratio(const struct bench_row *row);
/* What the bytes of its depth explain: the seconds that it adds to the single sequence's, over
 * those that the added bytes take at that one's speed. False: the test is of several
 * sequences, or its depth adds no bytes. */
bool bench_row_added(const struct bench_row *row, double *added);

#endif
