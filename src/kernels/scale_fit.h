/* scale_fit.h - the search for scales that all quantisers share.
 *
 * A block stores x ~ scale * q (+ min), q from a fixed set of levels. For given
 * levels the best scale (and min) is weighted least squares; for a given scale the
 * best levels are the nearest ones. The fits start from a row of scales around the
 * one that just covers the block, keep the best, and alternate the two steps from
 * there (Lloyd's method) while the error falls.
 *
 * Numbers of values are multiples of 8, at most SUPER. All inputs are finite. */
#ifndef HEARTH_KERNELS_SCALE_FIT_H
#define HEARTH_KERNELS_SCALE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of levels lo .. hi. `snap` writes to q the levels nearest to x[i] * inverse
 * + offset. The scan of scales starts with `lo` on start times the largest value
 * and grows by `ratio`, `tries` times. */
struct coder {
    float lo, hi;
    void (*snap)(const struct coder *c, const float *x, float inverse, float offset, float *q,
                 int n);
    float start, ratio;
    int tries;
};

void snap_integers(const struct coder *c, const float *x, float inverse, float offset, float *q,
                   int n);
void snap_iq4(const struct coder *c, const float *x, float inverse, float offset, float *q, int n);
void snap_fp4(const struct coder *c, const float *x, float inverse, float offset, float *q, int n);

extern const struct coder coder_iq4; /* levels iq4_levels */
extern const struct coder coder_fp4; /* levels fp4_levels */
uint8_t iq4_code(float level);
uint8_t fp4_code(float level);

/* The importance of the values from `at` on, where there is any. */
static inline const float *at_or_null(const float *importance, size_t at) {
    return importance ? importance + at : NULL;
}

/* Weights of the squared error. Large values count more than their share, as in
 * w = importance * sqrt(mean_square + x^2): they carry more of the output.
 * Without importance, or with none on these values, 1 stands for it. */
void fit_weights(const float *x, const float *importance, int n, float mean_square, float *w);
float mean_square(const float *x, int n);

/* The best scale for x ~ scale * q; 0 when x is (nearly) zero everywhere. */
float fit_scale(const struct coder *c, const float *x, const float *w, int n);

/* The best pair for x ~ scale * q + min, c->lo == 0; scale is 0 for a constant x.
 * `min_sign` -1 allows only min <= 0. */
void fit_scale_min(const struct coder *c, const float *x, const float *w, int n, int min_sign,
                   float *scale, float *min);

/* Weighted squared error of x ~ scale * q + min with the nearest q, written to q. */
float fit_error(const struct coder *c, const float *x, const float *w, int n, float scale,
                float min, float *q);

/* sum w x q and sum w q q. */
void fit_sums(const float *x, const float *w, const float *q, int n, float *xq, float *qq);

/* To half; beyond its range the largest half. */
uint16_t scale_to_f16(float scale);

#endif
