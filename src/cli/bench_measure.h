/* bench_measure.h - carries out the tests of 'hearth bench' and measures the machine's
 * limits in between.
 *
 * A test is run once unmeasured, then `repetitions` times; before each, after its prompt
 * and after every few steps of its generation the limits are measured for a moment, with
 * the same number of threads. What lies between two measurements is judged by their mean,
 * because what a machine gives may change from one moment to the next; the median of the
 * repetitions' judgements counts. */
#ifndef HEARTH_CLI_BENCH_MEASURE_H
#define HEARTH_CLI_BENCH_MEASURE_H

#include "base/cpu.h"
#include "cli/bench_tests.h"
#include "cli/engine_options.h"
#include "device/machine_speed.h"

enum { BENCH_MAX_REPETITIONS = 100 };

/* Seconds of repetitions, sorted. */
struct bench_times {
    double seconds[BENCH_MAX_REPETITIONS], cpu_seconds[BENCH_MAX_REPETITIONS];
    unsigned count;
};
double bench_median(const double *sorted, unsigned count);

struct bench_limits {
    double read; /* bytes a second */
    struct machine_rates multiply;
};
/* Operations a second that prompts are judged against: of 16-bit floats where the level
 * multiplies prompts in those, else the most it does with any numbers. */
double bench_multiply_limit(const struct bench_limits *limits);

struct bench_row {
    const struct bench_test *test;
    struct bench_times times;
    struct plan_cost prompt, generate;       /* of one repetition */
    struct bench_limits limits;              /* the best of its measurements */
    double fractions[BENCH_MAX_REPETITIONS]; /* of the limit, sorted */
};
uint64_t bench_row_tokens(const struct bench_row *row); /* of one repetition */
double bench_row_bytes(const struct bench_row *row);
double bench_row_ops(const struct bench_row *row);
bool bench_row_reads(const struct bench_row *row); /* reading is what limits it */

/* From opening the file to the end of the first pass of one token, the tokenizer included;
 * memory after the first time. */
struct bench_load {
    struct bench_times times;
    uint64_t cache_bytes;
    struct cpu_process_memory memory;
};

struct bench_settings {
    const struct engine_settings *engine;
    const struct bench_tests *tests; /* rows borrow them */
    unsigned repetitions;
};

struct bench_result {
    struct engine engine; /* open */
    struct bench_load load;
    struct bench_row *rows; /* [tests->count] */
    size_t n_rows;
    struct bench_limits slowest, fastest; /* of all measurements of the limits */
    unsigned n_limits;
};

hearth_status bench_measure(struct bench_result *result, const struct bench_settings *settings,
                            hearth_error *err);
void bench_result_release(struct bench_result *result); /* zeroed is fine */

#endif
