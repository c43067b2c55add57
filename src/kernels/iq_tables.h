/* iq_tables.h - codebooks and levels of the IQ and 4-bit float formats.
 *
 * A codebook lists points of a lattice as one number each: coordinate i is level
 * `code >> 2 i & 3` (IQ2, IQ1: eight coordinates) or `code >> 3 i & 7` (IQ3: four).
 * The levels differ by format: 2-bit codes mean 8, 25, 43 in IQ2 and -1, 0, 1 in
 * IQ1. The lists are part of the formats and follow no formula. */
#ifndef HEARTH_KERNELS_IQ_TABLES_H
#define HEARTH_KERNELS_IQ_TABLES_H

#include <stdint.h>

extern const uint16_t iq2_xxs_codes[256];
extern const uint16_t iq2_xs_codes[512];
extern const uint16_t iq2_s_codes[1024];
extern const uint16_t iq3_xxs_codes[256];
extern const uint16_t iq3_s_codes[512];
extern const uint16_t iq1_codes[2048];

/* Lists, so that vector code can have them as constants too. */
#define IQ4_LEVELS -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
#define FP4_LEVELS 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12

extern const int8_t iq2_levels[4]; /* the last is not used by any point */
extern const int8_t iq3_xxs_levels[8];
extern const int8_t iq3_s_levels[8];
extern const int8_t iq4_levels[16]; /* IQ4_NL, IQ4_XS; ascending */
extern const int8_t fp4_levels[16]; /* twice the E2M1 values */

#endif
