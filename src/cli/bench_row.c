#include "cli/bench_row.h"

#include <stdlib.h>

/* ---- seconds -------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *values, unsigned count) {
    qsort(values, count, sizeof *values, compare_doubles);
}

void bench_times_sort(struct bench_times *times) {
    bench_sort(times->seconds, times->count);
    bench_sort(times->cpu_seconds, times->count);
}

double bench_median(const double *sorted, unsigned count) {
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* ---- limits --------------------------------------------------------------------------------- */

double bench_multiply_limit(const struct bench_limits *limits) {
    const double *of = limits->multiply.of;
    if (of[PEAK_BF16] > 0) return of[PEAK_BF16];
    return of[PEAK_INT8] > of[PEAK_F32] ? of[PEAK_INT8] : of[PEAK_F32];
}

struct bench_limits bench_mean_limits(const struct bench_limits *a, const struct bench_limits *b) {
    struct bench_limits mean = {.read = (a->read + b->read) / 2};
    for (int kind = 0; kind < PEAK_KINDS; kind++)
        mean.multiply.of[kind] = (a->multiply.of[kind] + b->multiply.of[kind]) / 2;
    return mean;
}

static double cost_bytes(const struct plan_cost *cost) {
    return cost->weight_bytes + cost->cache_bytes;
}

static double cost_ops(const struct plan_cost *cost) {
    return cost->linear_ops + cost->mixing_ops;
}

double bench_least_seconds(const struct bench_limits *limits, const struct plan_cost *cost) {
    double reading = cost_bytes(cost) / limits->read;
    double multiplying = cost_ops(cost) / bench_multiply_limit(limits);
    return reading > multiplying ? reading : multiplying;
}

/* ---- rows ----------------------------------------------------------------------------------- */

uint64_t bench_row_tokens(const struct bench_row *row) {
    const struct bench_test *t = row->test;
    return (uint64_t)(t->n_prompt + t->n_generate) * t->n_sequences;
}

double bench_row_bytes(const struct bench_row *row) {
    return cost_bytes(&row->prompt) + cost_bytes(&row->generate);
}

double bench_row_ops(const struct bench_row *row) {
    return cost_ops(&row->prompt) + cost_ops(&row->generate);
}

bool bench_row_reads(const struct bench_row *row) {
    return bench_row_bytes(row) / row->limits.read >
           bench_row_ops(row) / bench_multiply_limit(&row->limits);
}

double bench_row_reading(const struct bench_row *row) {
    return row->n_readings ? row->reading / row->n_readings : 0;
}

static double seconds_over_single(const struct bench_row *row) {
    return bench_median(row->single.ratios, row->single.times.count);
}

double bench_row_ratio(const struct bench_row *row) {
    return row->test->n_sequences / seconds_over_single(row);
}

bool bench_row_added(const struct bench_row *row, double *added) {
    double bytes = bench_row_bytes(row), single = cost_bytes(&row->single.cost);
    if (row->test->n_sequences > 1 || bytes <= single) return false;
    *added = (seconds_over_single(row) - 1) / (bytes / single - 1);
    return true;
}
