/* bench_measure.h - carries out the tests of 'hearth bench' and measures the machine's
 * limits in between.
 *
 * A test is run once unmeasured, then `repetitions` times; before each, after its prompt
 * and after every few steps of its generation the limits are measured for a moment, with
 * the same number of threads. What lies between two measurements is judged by their mean,
 * because what a machine gives may change from one moment to the next; the median of the
 * repetitions' judgements counts. For the same reason a single sequence takes its steps in turn
 * with a test that is compared with one (bench_row.h). */
#ifndef HEARTH_CLI_BENCH_MEASURE_H
#define HEARTH_CLI_BENCH_MEASURE_H

#include "base/cpu.h"
#include "cli/bench_row.h"
#include "cli/engine_options.h"

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
