/* schedule.h - the learning rate as a function of the step. */
#ifndef HEARTH_TRAIN_SCHEDULE_H
#define HEARTH_TRAIN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind {
    SCHEDULE_COSINE, /* half a cosine down to the least rate (Loshchilov & Hutter, arXiv 1608.03983)
                      */
    SCHEDULE_LINEAR, /* straight down to the least rate */
    SCHEDULE_CONSTANT /* stays */
};

struct schedule {
    enum schedule_kind kind;
    float rate;       /* the highest */
    float least;      /* fraction of `rate` that the last step has; ignored if constant */
    uint64_t warmup;  /* steps over which the rate grows from rate / warmup */
    uint64_t n_steps; /* of the whole run */
};

/* The rate of a step, counted from 0; beyond the last step that of the last. */
float schedule_rate(const struct schedule *schedule, uint64_t step);

#endif
