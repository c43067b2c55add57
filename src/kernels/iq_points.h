/* iq_points.h - the codebooks of iq_tables.h as bytes, one per coordinate, for vector
 * code: magnitudes of IQ2 and IQ3, of IQ1 the coordinates plus 1. First coordinate in
 * the lowest byte. */
#ifndef HEARTH_KERNELS_IQ_POINTS_H
#define HEARTH_KERNELS_IQ_POINTS_H

#include <stdint.h>

struct iq_points {
    uint64_t iq2_xxs[256], iq2_xs[512], iq2_s[1024], iq1[2048];
    uint32_t iq3_xxs[256], iq3_s[512];
};

extern struct iq_points iq_points;

/* The same codebooks cut in two, for look-ups in registers: plane 0 has the levels of the
 * first four coordinates of a point of eight, two bits each, or of the first two of a point
 * of four, three bits each; plane 1 has the others. First coordinate in the lowest bits. */
struct iq_planes {
    _Alignas(64) uint8_t iq2_xxs[2][256];
    uint8_t iq2_xs[2][512], iq2_s[2][1024], iq1[2][2048];
    uint8_t iq3_xxs[2][256], iq3_s[2][512];
    uint8_t signs[128]; /* iq_signs() */
};

extern struct iq_planes iq_planes;

/* Fills iq_planes; as iq_points_fill(). */
void iq_planes_fill(void);

/* Fills iq_points; for the fills of kernels.h, which run once. */
void iq_points_fill(void);

#endif
