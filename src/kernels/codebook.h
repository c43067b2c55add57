/* codebook.h - exact nearest-point search in the codebooks of the IQ formats.
 *
 * When the point of the nearest levels is in the book it is the nearest one. Else:
 * the weighted distance of a group of values to a point is a sum over coordinates,
 * so it splits into a low and a high half of the coordinates. There are at most 81
 * different halves: their distances are tabulated once per group, and a point costs
 * one addition. Points are kept in the order of their low halves, and all points of
 * a low half are skipped when it cannot beat the best point so far.
 *
 * A half is numbered with its levels as digits, first coordinate least significant. */
#ifndef HEARTH_KERNELS_CODEBOOK_H
#define HEARTH_KERNELS_CODEBOOK_H

#include <stdint.h>

enum { BOOK_POINTS_MAX = 2048, BOOK_HALVES_MAX = 81, BOOK_DIMS_MAX = 8, BOOK_LEVELS_MAX = 8 };

struct codebook {
    int n_points, dims, bits, n_levels; /* bits per coordinate of a code */
    const uint16_t *codes;
    int n_halves;
    uint16_t starts[BOOK_HALVES_MAX + 1];               /* of the points of a low half */
    uint16_t points[BOOK_POINTS_MAX];                   /* indices into codes */
    uint8_t highs[BOOK_POINTS_MAX];                     /* high half of points[i] */
    uint8_t halves[BOOK_POINTS_MAX][2];                 /* low and high half of a point */
    int16_t point_at[BOOK_HALVES_MAX][BOOK_HALVES_MAX]; /* of these halves, or -1 */
};

enum book_name { BOOK_IQ1, BOOK_IQ2_XXS, BOOK_IQ2_XS, BOOK_IQ2_S, BOOK_IQ3_XXS, BOOK_IQ3_S, BOOKS };

/* Built at the first call; any thread may ask. */
const struct codebook *codebook_get(enum book_name name);

/* The point p with the least sum w[i] (scale * levels[p_i] - x[i])^2 over dims
 * values; adds that sum to *error. `levels` has n_levels entries. `hint` is any
 * point, the search is faster the nearer it is. */
int codebook_nearest(const struct codebook *book, const float *levels, float scale, const float *x,
                     const float *w, int hint, float *error);

#endif
