/* super_fit.h - scales of a whole super-block, themselves quantised to integers.
 *
 * x ~ d * scales[s] * q - dmin * mins[s] in sub-block s. First every sub-block is
 * fitted alone; then the integers are chosen by the error they cause given d and
 * dmin as halves, and d and dmin by least squares given everything else, in turn. */
#ifndef HEARTH_KERNELS_SUPER_FIT_H
#define HEARTH_KERNELS_SUPER_FIT_H

#include "kernels/blocks.h"
#include "kernels/scale_fit.h"

enum { SUBS_MAX = 16 };

struct super_shape {
    int n_subs;
    int scale_lo, scale_hi; /* lo < 0: signed scales */
    int min_hi;             /* 0: the format has no mins */
    struct coder coder;
};

struct super_fit {
    uint16_t d, dmin; /* half */
    int scales[SUBS_MAX], mins[SUBS_MAX];
    float q[SUPER]; /* levels of the coder */
};

/* `importance`: SUPER weights or NULL. */
void super_fit(const struct super_shape *shape, const float *x, const float *importance,
               struct super_fit *fit);

#endif
