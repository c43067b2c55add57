/* amx_widen.h - rows of weights as bfloat16, for the matrix unit.
 *
 * Every value is that of the scalar dequantisation, rounded to nearest even; denormal
 * floats become zero, as they are for the matrix unit. */
#ifndef HEARTH_KERNELS_AMX_WIDEN_H
#define HEARTH_KERNELS_AMX_WIDEN_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/elem.h"

enum {
    WIDEN_VALUES = 256, /* of a row at a time: the largest block */
    WIDEN_RUN = 32,     /* values that are written side by side */
    WIDEN_STRIDE = 512  /* from one run to the next, in values */
};

/* `n` values (1 to WIDEN_VALUES, whole blocks) of one row: value i to
 * out[i / WIDEN_RUN * WIDEN_STRIDE + i % WIDEN_RUN]; the rest of the last run is zeros.
 * `out` is aligned to 64 bytes. */
typedef void (*widen_row)(const void *blocks, size_t n, uint16_t *out);

/* One for every floating and quantised element type. */
extern const widen_row amx_widen[ELEM_TYPES];

/* The codebook formats, in a file of their own. */
void amx_widen_iq2_xxs(const void *blocks, size_t n, uint16_t *out);
void amx_widen_iq2_xs(const void *blocks, size_t n, uint16_t *out);
void amx_widen_iq2_s(const void *blocks, size_t n, uint16_t *out);
void amx_widen_iq3_xxs(const void *blocks, size_t n, uint16_t *out);
void amx_widen_iq3_s(const void *blocks, size_t n, uint16_t *out);
void amx_widen_iq1_s(const void *blocks, size_t n, uint16_t *out);
void amx_widen_iq1_m(const void *blocks, size_t n, uint16_t *out);

#endif
