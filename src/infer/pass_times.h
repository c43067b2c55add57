/* pass_times.h - how long passes take by the number of their rows, as measured lately.
 *
 * Weights are read once a pass, so the first rows more cost little; further ones cost arithmetic,
 * in steps as wide as the kernels' tiles. How much is a matter of model, machine and what else
 * runs on it, and changes as answers grow: what was measured long ago does not count. */
#ifndef HEARTH_INFER_PASS_TIMES_H
#define HEARTH_INFER_PASS_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "infer/drafter.h"

enum { PASS_TIMES_ROWS = DRAFT_MAX + 1 }; /* of longer passes nothing is known */

struct pass_time {
    float seconds;
    uint64_t pass; /* number of the pass that measured it; 0: none did */
};

/* Zeroed: nothing was measured. */
struct pass_times {
    struct pass_time by_rows[PASS_TIMES_ROWS + 1];
    uint64_t n_passes;
};

/* A pass of so many rows, 1 or more, took so long. */
void pass_times_measure(struct pass_times *times, uint32_t rows, double seconds);
/* Whether it was measured lately; false for more than PASS_TIMES_ROWS. */
bool pass_times_know(const struct pass_times *times, uint32_t rows);
/* Of a pass of so many rows, 1 to PASS_TIMES_ROWS, of which some number was measured lately: as
 * measured, or between the nearest that were. */
float pass_times_estimate(const struct pass_times *times, uint32_t rows);

#endif
