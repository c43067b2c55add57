/* IQ1, IQ2 and IQ3: codebook points, signs and scales of a super-block.
 *
 * Every sub-block is fitted alone over a row of scales, exact nearest points each
 * time; then its integer scale is chosen by the error that it causes, and the scale
 * of the super-block by least squares. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/codebook.h"
#include "kernels/elem.h"
#include "kernels/iq_tables.h"
#include "kernels/quantize_blocks.h"
#include "kernels/scale_fit.h"

enum { SUBS_MAX = 16, GROUPS_MAX = 64, PASSES = 2, ROUNDS = 1, START_TRIES = 60 };

enum shift_kind { SHIFT_NONE, SHIFT_PER_SUB, SHIFT_PER_GROUP };

struct book_shape {
    enum book_name book;
    float levels[8], top; /* top: the largest level */
    int n_subs, scale_top;
    float scale_base, scale_step; /* factor of scale k: base + step k, k = 0 .. scale_top */
    bool signs, even_signs;       /* levels are magnitudes; signs of 8 values are even in number */
    enum shift_kind shift;        /* IQ1: + 1/8 or - 1/8 on every level */
    float start, ratio;           /* scan of scales, as in struct coder */
    int tries;
};

/* A super-block's choice; groups are numbered over the super-block. */
struct book_fit {
    uint16_t d; /* half */
    int scales[SUBS_MAX];
    uint16_t index[GROUPS_MAX];
    bool minus[GROUPS_MAX]; /* the shift is - 1/8 */
    uint8_t signs[SUPER / 8];
    float q[SUPER]; /* what the scales multiply, without signs */
};

struct book_search {
    const struct book_shape *shape;
    const struct codebook *book;
    int n;                      /* values of a sub-block */
    float shifted[2][8];        /* levels with + 1/8, - 1/8; the first is plain without shift */
    float x[SUPER], w[SUPER];   /* x: magnitudes when the format has signs */
    float scales[SUBS_MAX];     /* of the sub-blocks alone */
    float curvatures[SUBS_MAX]; /* how the error grows with the distance from there */
    uint16_t hints[GROUPS_MAX]; /* points found last */
};

/* ---- signs ------------------------------------------------------------------------ */

/* Turns eight values into magnitudes. Where the signs must be even, the value that
 * costs least gives way: it becomes a negative magnitude. */
static uint8_t take_signs(float x[8], const float w[8], bool even) {
    unsigned signs = 0, n_negative = 0;
    int least = 0;
    float least_cost = FLT_MAX;
    for (int i = 0; i < 8; i++) {
        if (x[i] < 0) {
            signs |= 1u << i;
            n_negative++;
            x[i] = -x[i];
        }
        float cost = w[i] * x[i];
        if (cost < least_cost) {
            least_cost = cost;
            least = i;
        }
    }
    if (even && n_negative % 2) {
        signs ^= 1u << least;
        x[least] = -x[least];
    }
    return (uint8_t)signs;
}

/* ---- points for a given scale -------------------------------------------------------- */

struct points {
    uint16_t index[GROUPS_MAX];
    bool minus[GROUPS_MAX];
    float q[SUPER], error;
};

static void spread(const struct book_search *s, int point, bool minus, float *q) {
    unsigned code = s->book->codes[point];
    for (int i = 0; i < s->book->dims; i++)
        q[i] = s->shifted[minus][code >> s->book->bits * i & ((1u << s->book->bits) - 1)];
}

static void nearest_points(struct book_search *s, int sub, float scale, bool minus,
                           struct points *p) {
    int dims = s->book->dims;
    p->error = 0;
    for (int g = 0; g < s->n / dims; g++) {
        int at = sub * s->n + g * dims;
        bool group_minus = minus;
        float error = 0;
        int point = codebook_nearest(s->book, s->shifted[minus], scale, s->x + at, s->w + at,
                                     s->hints[at / dims], &error);
        if (s->shape->shift == SHIFT_PER_GROUP) {
            float other_error = 0;
            int other = codebook_nearest(s->book, s->shifted[1], scale, s->x + at, s->w + at, point,
                                         &other_error);
            if (other_error < error) {
                error = other_error;
                point = other;
                group_minus = true;
            }
        }
        s->hints[at / dims] = (uint16_t)point;
        p->index[g] = (uint16_t)point;
        p->minus[g] = group_minus;
        p->error += error;
        spread(s, point, group_minus, p->q + g * dims);
    }
}

static void best_points(struct book_search *s, int sub, float scale, struct points *p) {
    nearest_points(s, sub, scale, false, p);
    if (s->shape->shift != SHIFT_PER_SUB) return;
    struct points other;
    nearest_points(s, sub, scale, true, &other);
    if (other.error < p->error) *p = other;
}

/* ---- scales ------------------------------------------------------------------------------ */

static bool try_scale(struct book_search *s, int sub, float scale, float *best_scale,
                      float *best_gain) {
    struct points p;
    float xq, qq;
    best_points(s, sub, scale, &p);
    fit_sums(s->x + sub * s->n, s->w + sub * s->n, p.q, s->n, &xq, &qq);
    if (!(xq > 0) || !(qq > 0) || !(xq * xq > *best_gain * qq)) return false;
    *best_scale = xq / qq;
    *best_gain = xq * xq / qq;
    return true;
}

static void fit_sub(struct book_search *s, int sub) {
    const struct book_shape *shape = s->shape;
    const float *x = s->x + sub * s->n;
    float largest = 0, best = 0, gain = 0, stretch = shape->start;
    for (int i = 0; i < s->n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    s->scales[sub] = s->curvatures[sub] = 0;
    if (!(largest > 1e-18f)) return;
    for (int k = 0; k < shape->tries; k++, stretch *= shape->ratio)
        try_scale(s, sub, largest / (shape->top * stretch), &best, &gain);
    /* Values of one magnitude: no codebook has a point with every level at the top, but
     * those of magnitudes have one with every level at the bottom. */
    if (shape->signs && largest * largest < 2 * mean_square(x, s->n))
        try_scale(s, sub, largest / shape->levels[0], &best, &gain);
    for (int k = 0; k < ROUNDS && best > 0; k++)
        if (!try_scale(s, sub, best, &best, &gain)) break;
    s->scales[sub] = best;
    s->curvatures[sub] = best > 0 ? gain / (best * best) : 0;
}

static float factor(const struct book_shape *shape, int scale) {
    return shape->scale_base + shape->scale_step * (float)scale;
}

static int nearest_factor(const struct book_shape *shape, float wanted) {
    float k = (wanted - shape->scale_base) / shape->scale_step;
    if (!(k > 0)) return 0;
    return k < (float)shape->scale_top ? (int)lrintf(k) : shape->scale_top;
}

static void keep(const struct book_search *s, int sub, int scale, const struct points *p,
                 struct book_fit *fit) {
    int n_groups = s->n / s->book->dims;
    fit->scales[sub] = scale;
    memcpy(fit->index + sub * n_groups, p->index, (size_t)n_groups * sizeof *p->index);
    memcpy(fit->minus + sub * n_groups, p->minus, (size_t)n_groups * sizeof *p->minus);
    memcpy(fit->q + sub * s->n, p->q, (size_t)s->n * sizeof *p->q);
}

/* The integer scale around the sub-block's own fit that causes the least error. */
static float choose(struct book_search *s, int sub, float d, int radius, struct book_fit *fit) {
    const struct book_shape *shape = s->shape;
    int near = d > 0 ? nearest_factor(shape, s->scales[sub] / d) : 0;
    float best = FLT_MAX;
    for (int scale = near - radius; scale <= near + radius; scale++) {
        if (scale < 0 || scale > shape->scale_top) continue;
        struct points p;
        best_points(s, sub, d * factor(shape, scale), &p);
        if (!(p.error < best)) continue;
        best = p.error;
        keep(s, sub, scale, &p, fit);
    }
    return best;
}

/* The d whose multiples meet the scales of the sub-blocks best. With its points kept
 * a sub-block's error grows by curvature times the squared miss of its scale. */
static float start(const struct book_search *s) {
    const struct book_shape *shape = s->shape;
    float largest = 0, best = 0, best_error = FLT_MAX;
    for (int sub = 0; sub < shape->n_subs; sub++)
        largest = fmaxf(largest, s->scales[sub]);
    for (int k = 0; largest > 0 && k < START_TRIES; k++) {
        float d = largest / factor(shape, shape->scale_top) * (1.05f - 0.01f * (float)k), error = 0;
        for (int sub = 0; sub < shape->n_subs; sub++) {
            float near = d * factor(shape, nearest_factor(shape, s->scales[sub] / d));
            error += s->curvatures[sub] * (near - s->scales[sub]) * (near - s->scales[sub]);
        }
        if (!(error < best_error)) continue;
        best_error = error;
        best = d;
    }
    return best;
}

static float choose_all(struct book_search *s, float d, int radius, struct book_fit *fit) {
    float error = 0;
    fit->d = scale_to_f16(d);
    for (int sub = 0; sub < s->shape->n_subs; sub++)
        error += choose(s, sub, f16_to_f32(fit->d), radius, fit);
    return error;
}

static float refit(const struct book_search *s, const struct book_fit *fit) {
    double xq = 0, qq = 0;
    for (int sub = 0; sub < s->shape->n_subs; sub++) {
        float sub_xq, sub_qq, f = factor(s->shape, fit->scales[sub]);
        int at = sub * s->n;
        fit_sums(s->x + at, s->w + at, fit->q + at, s->n, &sub_xq, &sub_qq);
        xq += (double)(f * sub_xq);
        qq += (double)(f * f * sub_qq);
    }
    return qq > 0 && xq > 0 ? (float)(xq / qq) : 0;
}

static void prepare(struct book_search *s, const struct book_shape *shape, const float *x,
                    const float *importance, struct book_fit *fit) {
    *s = (struct book_search){.shape = shape, .book = codebook_get(shape->book)};
    s->n = SUPER / shape->n_subs;
    float shift = shape->shift == SHIFT_NONE ? 0 : 0.125f;
    for (int i = 0; i < 8; i++) {
        s->shifted[0][i] = shape->levels[i] + shift;
        s->shifted[1][i] = shape->levels[i] - shift;
    }
    memcpy(s->x, x, sizeof s->x);
    fit_weights(x, importance, SUPER, mean_square(x, SUPER), s->w);
    for (int g = 0; shape->signs && g < SUPER / 8; g++)
        fit->signs[g] = take_signs(s->x + 8 * g, s->w + 8 * g, shape->even_signs);
}

static void book_fit(const struct book_shape *shape, const float *x, const float *importance,
                     struct book_fit *fit) {
    struct book_search s;
    memset(fit, 0, sizeof *fit);
    prepare(&s, shape, x, importance, fit);
    for (int sub = 0; sub < shape->n_subs; sub++)
        fit_sub(&s, sub);
    float d = start(&s);
    if (!(d > 0)) return;
    float error = choose_all(&s, d, 0, fit);
    for (int pass = 1; pass < PASSES; pass++) {
        struct book_fit next = *fit;
        float next_error = choose_all(&s, refit(&s, fit), 1, &next);
        if (!(next_error < error)) break;
        error = next_error;
        *fit = next;
    }
}

/* ---- packing ---------------------------------------------------------------------------- */

#define LEVELS_IQ2 {8, 25, 43, 43}, 43
#define LEVELS_IQ3_XXS {4, 12, 20, 28, 36, 44, 52, 62}, 62
#define LEVELS_IQ3_S {1, 3, 5, 7, 9, 11, 13, 15}, 15
#define LEVELS_IQ1 {-1, 0, 1, 1}, 1

static uint32_t signs_and_scale(const uint8_t signs[4], int scale) {
    uint32_t bits = (uint32_t)scale << 28;
    for (int k = 0; k < 4; k++)
        bits |= (uint32_t)(signs[k] & 127) << 7 * k;
    return bits;
}

static void pack_nibbles(const int *scales, int n, uint8_t *out) {
    for (int i = 0; i < n / 2; i++)
        out[i] = (uint8_t)(scales[2 * i] | scales[2 * i + 1] << 4);
}

void encode_iq2_xxs(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {
        BOOK_IQ2_XXS, LEVELS_IQ2, 8, 15, 0.125f, 0.25f, true, true, SHIFT_NONE, 0.8f, 1.12f, 6};
    struct block_iq2_xxs *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        b->d = fit.d;
        for (int s = 0; s < 8; s++) {
            for (int k = 0; k < 4; k++)
                b->sub[s].index[k] = (uint8_t)fit.index[4 * s + k];
            b->sub[s].signs_scale = signs_and_scale(fit.signs + 4 * s, fit.scales[s]);
        }
    }
}

void encode_iq2_xs(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {
        BOOK_IQ2_XS, LEVELS_IQ2, 16, 15, 0.125f, 0.25f, true, true, SHIFT_NONE, 0.8f, 1.12f, 6};
    struct block_iq2_xs *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        b->d = fit.d;
        for (int g = 0; g < 32; g++)
            b->q[g] = (uint16_t)(fit.index[g] | (fit.signs[g] & 127) << 9);
        pack_nibbles(fit.scales, 16, b->scales);
    }
}

void encode_iq2_s(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {BOOK_IQ2_S, LEVELS_IQ2, 16,         15,   0.125f, 0.25f,
                                            true,       false,      SHIFT_NONE, 0.8f, 1.12f,  6};
    struct block_iq2_s *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        memset(b, 0, sizeof *b);
        b->d = fit.d;
        for (int g = 0; g < 32; g++) {
            b->low[g] = (uint8_t)fit.index[g];
            b->high[g / 4] |= (uint8_t)(fit.index[g] >> 8 << g % 4 * 2);
        }
        memcpy(b->signs, fit.signs, sizeof b->signs);
        pack_nibbles(fit.scales, 16, b->scales);
    }
}

void encode_iq3_xxs(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {
        BOOK_IQ3_XXS, LEVELS_IQ3_XXS, 8, 15, 0.25f, 0.5f, true, true, SHIFT_NONE, 0.85f, 1.07f, 6};
    struct block_iq3_xxs *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        b->d = fit.d;
        for (int g = 0; g < 64; g++)
            b->index[g] = (uint8_t)fit.index[g];
        for (int s = 0; s < 8; s++)
            b->signs_scale[s] = signs_and_scale(fit.signs + 4 * s, fit.scales[s]);
    }
}

void encode_iq3_s(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {BOOK_IQ3_S, LEVELS_IQ3_S, 8,          15,    1,     2,
                                            true,       false,        SHIFT_NONE, 0.85f, 1.07f, 6};
    struct block_iq3_s *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        memset(b, 0, sizeof *b);
        b->d = fit.d;
        for (int g = 0; g < 64; g++) {
            b->low[g] = (uint8_t)fit.index[g];
            b->high[g / 8] |= (uint8_t)(fit.index[g] >> 8 << g % 8);
        }
        memcpy(b->signs, fit.signs, sizeof b->signs);
        pack_nibbles(fit.scales, 8, b->scales);
    }
}

void encode_iq1_s(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {BOOK_IQ1, LEVELS_IQ1,    8,     7,    1, 2, false,
                                            false,    SHIFT_PER_SUB, 0.95f, 1.2f, 6};
    struct block_iq1_s *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        b->d = fit.d;
        for (int s = 0; s < 8; s++) {
            unsigned high = (unsigned)fit.scales[s] << 12 | (fit.minus[4 * s] ? 0x8000u : 0);
            for (int k = 0; k < 4; k++) {
                b->low[4 * s + k] = (uint8_t)fit.index[4 * s + k];
                high |= (unsigned)(fit.index[4 * s + k] >> 8) << 3 * k;
            }
            b->high[s] = (uint16_t)high;
        }
    }
}

void encode_iq1_m(const float *x, void *out, size_t n, const float *importance) {
    static const struct book_shape shape = {BOOK_IQ1, LEVELS_IQ1,      16,    7,    1, 2, false,
                                            false,    SHIFT_PER_GROUP, 0.95f, 1.2f, 6};
    struct block_iq1_m *b = out;
    for (size_t at = 0; at < n; at += SUPER, b++) {
        struct book_fit fit;
        book_fit(&shape, x + at, at_or_null(importance, at), &fit);
        memset(b, 0, sizeof *b);
        for (int g = 0; g < 32; g++) {
            unsigned high = fit.index[g] >> 8 | (fit.minus[g] ? 8u : 0);
            b->low[g] = (uint8_t)fit.index[g];
            b->high[g / 2] |= (uint8_t)(high << g % 2 * 4);
        }
        for (int s = 0; s < 16; s++)
            b->scales[s / 4] |= (uint16_t)(fit.scales[s] << 3 * (s % 4));
        for (int j = 0; j < 4; j++)
            b->scales[j] |= (uint16_t)((fit.d >> 4 * j & 15) << 12);
    }
}
