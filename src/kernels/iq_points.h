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

/* Fills iq_points; for the fills of kernels.h, which run once. */
void iq_points_fill(void);

#endif
