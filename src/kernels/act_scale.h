/* act_scale.h - the scale of a block of quantised activations, the same at every
 * level so that all give the same bits. */
#ifndef HEARTH_KERNELS_ACT_SCALE_H
#define HEARTH_KERNELS_ACT_SCALE_H

#include <math.h>

/* Scale and its inverse of an activation block whose largest magnitude is `most`,
 * so that |q| <= 127. False: the block quantises to zeros, its scale being zero
 * (nothing of it matters) or NaN (it holds an infinity or NaN, and so must every
 * output it takes part in). */
static inline int act_scale(float most, float *scale, float *inverse) {
    *inverse = 0;
    *scale = most < INFINITY ? 0 : NAN;
    if (!(most < INFINITY) || most < 0x1.0p-100f) return 0;
    *scale = most / 127.0f;
    *inverse = 127.0f / most;
    return 1;
}

#endif
