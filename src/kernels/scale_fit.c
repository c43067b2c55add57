#include "kernels/scale_fit.h"

#include <float.h>
#include <math.h>

#include "kernels/blocks.h"
#include "kernels/elem.h"
#include "kernels/iq_tables.h"

enum {
    LANES = 8,  /* partial sums, so that the compiler may use vectors */
    ROUNDS = 4, /* of Lloyd's method */
    RATIOS_MAX = 64
};

/* Below this a block counts as zero: its squares would leave the range of floats. */
#define TINY 1e-18f

static float total(const float lanes[LANES]) {
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
           ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

void snap_integers(const struct coder *c, const float *x, float inverse, float offset, float *q,
                   int n) {
    const float magic = 0x1.8p23f; /* adding it rounds to an integer, ties to even */
    float lo = c->lo, hi = c->hi;
    for (int i = 0; i < n; i++) {
        float v = x[i] * inverse + offset;
        v = v > lo ? v : lo;
        v = v < hi ? v : hi;
        q[i] = (v + magic) - magic;
    }
}

void snap_iq4(const struct coder *c, const float *x, float inverse, float offset, float *q, int n) {
    (void)c;
    for (int i = 0; i < n; i++)
        q[i] = (float)iq4_levels[0];
    for (int k = 0; k < 15; k++) {
        float middle = 0.5f * (float)(iq4_levels[k] + iq4_levels[k + 1]);
        float step = (float)(iq4_levels[k + 1] - iq4_levels[k]);
        for (int i = 0; i < n; i++)
            q[i] += x[i] * inverse + offset > middle ? step : 0;
    }
}

void snap_fp4(const struct coder *c, const float *x, float inverse, float offset, float *q, int n) {
    (void)c;
    (void)offset; /* the levels are symmetric: no format pairs them with a min */
    for (int i = 0; i < n; i++)
        q[i] = 0;
    for (int k = 0; k < 7; k++) {
        float middle = 0.5f * (float)(fp4_levels[k] + fp4_levels[k + 1]);
        float step = (float)(fp4_levels[k + 1] - fp4_levels[k]);
        for (int i = 0; i < n; i++)
            q[i] += fabsf(x[i] * inverse) > middle ? step : 0;
    }
    for (int i = 0; i < n; i++)
        q[i] = copysignf(q[i], x[i] * inverse);
}

const struct coder coder_iq4 = {-127, 113, snap_iq4, 0.9f, 1.015f, 15};
const struct coder coder_fp4 = {-12, 12, snap_fp4, 0.75f, 1.05f, 12};

uint8_t iq4_code(float level) {
    uint8_t code = 0;
    while (code < 15 && (float)iq4_levels[code] < level)
        code++;
    return code;
}

uint8_t fp4_code(float level) {
    uint8_t code = 0;
    while (code < 7 && (float)fp4_levels[code] < fabsf(level))
        code++;
    return level < 0 ? code | 8 : code;
}

float mean_square(const float *x, int n) {
    float lanes[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += x[i + l] * x[i + l];
    return total(lanes) / (float)n;
}

void fit_weights(const float *x, const float *importance, int n, float square, float *w) {
    float largest = 0;
    for (int i = 0; importance && i < n; i++)
        largest = importance[i] > largest ? importance[i] : largest;
    float norm = largest > 0 ? 1 / largest : 0; /* keeps sums within the range of floats */
    for (int i = 0; i < n; i++)
        w[i] = sqrtf(square + x[i] * x[i]) + TINY;
    if (importance && norm > 0 && isfinite(norm))
        for (int i = 0; i < n; i++)
            w[i] *= importance[i] * norm;
}

void fit_sums(const float *x, const float *w, const float *q, int n, float *xq, float *qq) {
    float a[LANES] = {0}, b[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float wq = w[i + l] * q[i + l];
            a[l] += wq * x[i + l];
            b[l] += wq * q[i + l];
        }
    *xq = total(a);
    *qq = total(b);
}

float fit_error(const struct coder *c, const float *x, const float *w, int n, float scale,
                float min, float *q) {
    float inverse = fabsf(scale) > TINY ? 1 / scale : 0, lanes[LANES] = {0};
    c->snap(c, x, inverse, -min * inverse, q, n);
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float miss = scale * q[i + l] + min - x[i + l];
            lanes[l] += w[i + l] * miss * miss;
        }
    return total(lanes);
}

/* ---- x ~ scale * q ---------------------------------------------------------------- */

/* The error is sum w x x - (sum w x q)^2 / sum w q q, so the gain is maximised. */
struct scale_best {
    float scale, gain;
};

static bool try_inverse(const struct coder *c, const float *x, const float *w, int n, float inverse,
                        struct scale_best *best) {
    float q[SUPER], xq, qq;
    c->snap(c, x, inverse, 0, q, n);
    fit_sums(x, w, q, n, &xq, &qq);
    if (!(qq > 0) || !(xq * xq > best->gain * qq)) return false;
    *best = (struct scale_best){xq / qq, xq * xq / qq};
    return true;
}

static float largest_by_magnitude(const float *x, int n) {
    float largest = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    return largest;
}

float fit_scale(const struct coder *c, const float *x, const float *w, int n) {
    float largest = largest_by_magnitude(x, n);
    if (fabsf(largest) < TINY) return 0;
    struct scale_best best = {0, 0};
    float stretch = c->start;
    for (int k = 0; k < c->tries; k++, stretch *= c->ratio) {
        try_inverse(c, x, w, n, c->lo * stretch / largest, &best);
        if (c->lo != -c->hi) try_inverse(c, x, w, n, c->hi * stretch / largest, &best);
    }
    for (int k = 0; k < ROUNDS && fabsf(best.scale) > TINY; k++)
        if (!try_inverse(c, x, w, n, 1 / best.scale, &best)) break;
    return best.scale;
}

/* ---- x ~ scale * q + min -------------------------------------------------------------- */

struct pair_best {
    float scale, min, gain;
};

struct pair_sums {
    float w, x; /* sum w, sum w x */
    int min_sign;
};

static bool try_pair(const struct coder *c, const float *x, const float *w, int n, float inverse,
                     float offset, const struct pair_sums *sums, struct pair_best *best) {
    float q[SUPER], lanes[LANES] = {0}, xq, qq;
    c->snap(c, x, inverse, offset, q, n);
    fit_sums(x, w, q, n, &xq, &qq);
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += w[i + l] * q[i + l];
    float sum_q = total(lanes), determinant = sums->w * qq - sum_q * sum_q;
    if (!(determinant > 0) || !(qq > 0)) return false;
    float scale = (sums->w * xq - sums->x * sum_q) / determinant;
    float min = (qq * sums->x - sum_q * xq) / determinant;
    if (sums->min_sign < 0 && min > 0) {
        min = 0;
        scale = xq / qq;
    }
    /* sum w x x less the error of this pair */
    float gain =
        scale * (2 * xq - scale * qq - 2 * min * sum_q) + min * (2 * sums->x - min * sums->w);
    if (!(scale > 0) || !(gain > best->gain)) return false;
    *best = (struct pair_best){scale, min, gain};
    return true;
}

void fit_scale_min(const struct coder *c, const float *x, const float *w, int n, int min_sign,
                   float *scale, float *min) {
    float low = x[0], high = x[0];
    struct pair_sums sums = {.min_sign = min_sign};
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        sums.w += w[i];
        sums.x += w[i] * x[i];
    }
    if (min_sign < 0 && low > 0) low = 0;
    *scale = 0;
    *min = min_sign < 0 && low > 0 ? 0 : low;
    if (high - low < TINY) return;
    struct pair_best best = {(high - low) / c->hi, low, -FLT_MAX};
    float stretch = c->start;
    for (int k = 0; k < c->tries; k++, stretch *= c->ratio) {
        float inverse = c->hi * stretch / (high - low);
        try_pair(c, x, w, n, inverse, -low * inverse, &sums, &best);
        /* A wider scale may as well cut the low end as the high one. */
        if (stretch > 1) try_pair(c, x, w, n, inverse, c->hi - high * inverse, &sums, &best);
    }
    for (int k = 0; k < ROUNDS; k++)
        if (!try_pair(c, x, w, n, 1 / best.scale, -best.min / best.scale, &sums, &best)) break;
    *scale = best.scale;
    *min = best.min;
}

uint16_t scale_to_f16(float scale) {
    const float largest = 65504;
    return f32_to_f16(scale > largest ? largest : scale < -largest ? -largest : scale);
}
