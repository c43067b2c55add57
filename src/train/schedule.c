#include "train/schedule.h"

#include <math.h>

/* How far the decay has gone, 0 to 1: 0 at the first step after the warm-up, 1 at the last. */
static double decay_progress(const struct schedule *s, uint64_t step) {
    if (s->n_steps <= s->warmup + 1) return 0;
    double done = (double)(step - s->warmup) / (double)(s->n_steps - 1 - s->warmup);
    return done < 1 ? done : 1;
}

float schedule_rate(const struct schedule *s, uint64_t step) {
    if (step < s->warmup) return s->rate * ((float)(step + 1) / (float)s->warmup);
    double left = 1 - decay_progress(s, step), least = (double)s->least;
    switch (s->kind) {
    case SCHEDULE_COSINE: left = 0.5 * (1 - cos(acos(-1.0) * left)); break;
    case SCHEDULE_LINEAR: break;
    case SCHEDULE_CONSTANT: return s->rate;
    }
    return (float)((double)s->rate * (least + (1 - least) * left));
}
