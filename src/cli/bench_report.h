/* bench_report.h - what 'hearth bench' measured, as a Markdown table, JSON or CSV. */
#ifndef HEARTH_CLI_BENCH_REPORT_H
#define HEARTH_CLI_BENCH_REPORT_H

#include "cli/bench_measure.h"

void bench_print_table(const struct bench_result *result);
void bench_print_json(const struct bench_result *result);
void bench_print_csv(const struct bench_result *result);

#endif
