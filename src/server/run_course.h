/* run_course.h - the course of a tuning run as events for a page, from the lines of its log.jsonl
 * ('hearth tune' writes them, cli/tune_log.h). Lines come from a file: whatever is in them that is
 * not as expected is passed over. */
#ifndef HEARTH_SERVER_RUN_COURSE_H
#define HEARTH_SERVER_RUN_COURSE_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"

enum { RUN_COURSE_LINE_BYTES = 1 << 20 }; /* longer lines are passed over */

/* Zeroed is the beginning. */
struct run_course {
    uint64_t steps;           /* of the whole run; 0: not known */
    uint64_t step;            /* the last */
    double loss, rate;        /* of the last step */
    double tokens_per_second; /* likewise */
    double seconds_per_step;  /* a running mean */
    uint64_t memory_bytes;
};

/* Appends the server-sent event of a line, or nothing:
 *   {"step", "steps", "loss", "rate", "tokens_per_second", "memory_bytes", "seconds_left"}
 *   the same with "eval_loss", after an evaluation
 *   {"sample": {"step", "prompt", "data", "text" or "before" and "after"}} */
void run_course_take(struct run_course *course, const char *line, size_t n, struct buf *out);
/* Appends any value as an event. Takes `event`; NULL: nothing. */
void run_course_put(json_t *event, struct buf *out);

#endif
