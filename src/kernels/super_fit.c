#include "kernels/super_fit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/elem.h"

enum { PASSES = 3 };

struct search {
    const struct super_shape *shape;
    const float *x;
    int n; /* values of a sub-block */
    float w[SUPER];
    float scales[SUBS_MAX], mins[SUBS_MAX]; /* of the sub-blocks alone; x ~ scale q - min */
};

static int clamp_round(float v, int lo, int hi) {
    if (!(v > (float)lo)) return lo;
    return v < (float)hi ? (int)lrintf(v) : hi;
}

/* Starting values: the largest sub-block gets the largest integer. */
static void start(const struct search *s, float *d, float *dmin) {
    float scale = 0, min = 0;
    for (int i = 0; i < s->shape->n_subs; i++) {
        if (fabsf(s->scales[i]) > fabsf(scale)) scale = s->scales[i];
        if (s->mins[i] > min) min = s->mins[i];
    }
    const struct super_shape *shape = s->shape;
    *d = scale / (float)(shape->scale_lo < 0 ? shape->scale_lo : shape->scale_hi);
    *dmin = shape->min_hi ? min / (float)shape->min_hi : 0;
}

struct choice {
    int scale, min;
    float error;
};

/* The min that suits given levels best, as a multiple of dmin. */
static int best_min(const struct search *s, int sub, float scale, float dmin, const float *q) {
    const float *x = s->x + sub * s->n, *w = s->w + sub * s->n;
    float sum_w = 0, sum = 0;
    for (int i = 0; i < s->n; i++) {
        sum_w += w[i];
        sum += w[i] * (scale * q[i] - x[i]);
    }
    return sum_w > 0 && dmin > 0 ? clamp_round(sum / (sum_w * dmin), 0, s->shape->min_hi) : 0;
}

static bool try_choice(const struct search *s, int sub, float d, float dmin, int scale, int min,
                       struct choice *best, float *q) {
    float trial[SUPER];
    const struct super_shape *shape = s->shape;
    if (scale < shape->scale_lo || scale > shape->scale_hi || min < 0 || min > shape->min_hi)
        return false;
    float error = fit_error(&shape->coder, s->x + sub * s->n, s->w + sub * s->n, s->n,
                            d * (float)scale, -dmin * (float)min, trial);
    if (!(error < best->error)) return false;
    *best = (struct choice){scale, min, error};
    memcpy(q, trial, (size_t)s->n * sizeof *q);
    return true;
}

/* The integers around the sub-block's own fit that cause the least error. */
static struct choice choose(const struct search *s, int sub, float d, float dmin, float *q) {
    const struct super_shape *shape = s->shape;
    struct choice best = {0, 0, FLT_MAX};
    int scale = d != 0 ? clamp_round(s->scales[sub] / d, shape->scale_lo, shape->scale_hi) : 0;
    int min = dmin > 0 ? clamp_round(s->mins[sub] / dmin, 0, shape->min_hi) : 0;
    for (int step = -1; step <= 1; step++) {
        if (!try_choice(s, sub, d, dmin, scale + step, min, &best, q) || !shape->min_hi) continue;
        int better = best_min(s, sub, d * (float)best.scale, dmin, q);
        if (better != min) try_choice(s, sub, d, dmin, scale + step, better, &best, q);
    }
    if (shape->min_hi) {
        int centre = best.min;
        try_choice(s, sub, d, dmin, best.scale, centre - 1, &best, q);
        try_choice(s, sub, d, dmin, best.scale, centre + 1, &best, q);
    }
    return best;
}

/* Least squares for d and dmin with integers and levels as they are:
 * x ~ d a - dmin b, a = scale q, b = min. */
static void refit(const struct search *s, const struct super_fit *fit, float *d, float *dmin) {
    double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
    for (int sub = 0; sub < s->shape->n_subs; sub++) {
        const float *x = s->x + sub * s->n, *w = s->w + sub * s->n, *q = fit->q + sub * s->n;
        float qq = 0, q1 = 0, one = 0, qx = 0, sum_x = 0;
        for (int i = 0; i < s->n; i++) {
            qq += w[i] * q[i] * q[i];
            q1 += w[i] * q[i];
            one += w[i];
            qx += w[i] * q[i] * x[i];
            sum_x += w[i] * x[i];
        }
        double scale = fit->scales[sub], min = fit->mins[sub];
        aa += scale * scale * (double)qq;
        ab += scale * min * (double)q1;
        bb += min * min * (double)one;
        ax += scale * (double)qx;
        bx += min * (double)sum_x;
    }
    double determinant = aa * bb - ab * ab;
    if (determinant > 1e-6 * aa * bb) {
        *d = (float)((ax * bb - bx * ab) / determinant);
        *dmin = (float)((ax * ab - bx * aa) / determinant);
    } else if (aa > 0) {
        *d = (float)((ax + (double)*dmin * ab) / aa);
    }
    if (!(*dmin > 0)) *dmin = 0;
}

static float choose_all(const struct search *s, float d, float dmin, struct super_fit *fit) {
    float error = 0;
    fit->d = scale_to_f16(d);
    fit->dmin = scale_to_f16(dmin);
    d = f16_to_f32(fit->d);
    dmin = f16_to_f32(fit->dmin);
    for (int sub = 0; sub < s->shape->n_subs; sub++) {
        struct choice c = choose(s, sub, d, dmin, fit->q + sub * s->n);
        fit->scales[sub] = c.scale;
        fit->mins[sub] = c.min;
        error += c.error;
    }
    return error;
}

static void fit_subs(struct search *s, const float *importance) {
    const struct super_shape *shape = s->shape;
    float square = mean_square(s->x, SUPER);
    /* Over the whole super-block, so that weights of sub-blocks compare. */
    fit_weights(s->x, importance, SUPER, square, s->w);
    for (int sub = 0; sub < shape->n_subs; sub++) {
        const float *x = s->x + sub * s->n, *w = s->w + sub * s->n;
        s->mins[sub] = 0;
        if (shape->min_hi) {
            fit_scale_min(&shape->coder, x, w, s->n, -1, &s->scales[sub], &s->mins[sub]);
            s->mins[sub] = -s->mins[sub];
        } else {
            s->scales[sub] = fit_scale(&shape->coder, x, w, s->n);
        }
    }
}

void super_fit(const struct super_shape *shape, const float *x, const float *importance,
               struct super_fit *fit) {
    struct search s = {.shape = shape, .x = x, .n = SUPER / shape->n_subs};
    fit_subs(&s, importance);
    float d, dmin;
    start(&s, &d, &dmin);
    float error = choose_all(&s, d, dmin, fit);
    for (int pass = 1; pass < PASSES; pass++) {
        struct super_fit next;
        refit(&s, fit, &d, &dmin);
        float next_error = choose_all(&s, d, dmin, &next);
        if (!(next_error < error)) break;
        error = next_error;
        *fit = next;
    }
}
