#include "infer/pass_times.h"

enum { FRESH_PASSES = 128 /* a time measured longer ago is measured again before it counts */ };

/* How far an estimate follows a measurement: other programs only ever make passes slower, so a
 * shorter time says more. */
static const float shorter_share = 0.5f, longer_share = 0.1f;
/* What a row adds to a pass before it was measured: little, as reading weights dominates. */
static const float row_guess = 0.05f;

bool pass_times_know(const struct pass_times *times, uint32_t rows) {
    if (rows > PASS_TIMES_ROWS) return false;
    const struct pass_time *t = &times->by_rows[rows];
    return t->pass > 0 && times->n_passes - t->pass < FRESH_PASSES;
}

void pass_times_measure(struct pass_times *times, uint32_t rows, double seconds) {
    if (rows > PASS_TIMES_ROWS) return;
    struct pass_time *t = &times->by_rows[rows];
    float now = (float)seconds, share = now < t->seconds ? shorter_share : longer_share;
    t->seconds = pass_times_know(times, rows) ? t->seconds + share * (now - t->seconds) : now;
    t->pass = ++times->n_passes;
}

float pass_times_estimate(const struct pass_times *times, uint32_t rows) {
    uint32_t below = rows, above = rows;
    while (below > 0 && !pass_times_know(times, below))
        below--;
    while (above <= PASS_TIMES_ROWS && !pass_times_know(times, above))
        above++;
    if (below == rows) return times->by_rows[rows].seconds;
    float low = times->by_rows[below].seconds;
    if (above > PASS_TIMES_ROWS) return low * (1 + row_guess * (float)(rows - below));
    float high = times->by_rows[above].seconds;
    if (below == 0) return high / (1 + row_guess * (float)(above - rows));
    return low + (high - low) * (float)(rows - below) / (float)(above - below);
}
