/* quantize_blocks.h - one row of one type: what quantize_rows() is made of.
 *
 * Each function writes n values (a multiple of the type's block) of finite floats of
 * at most QUANTIZE_LARGEST in magnitude. `importance` is n finite non-negative
 * weights or NULL. They cannot fail and keep no state. */
#ifndef HEARTH_KERNELS_QUANTIZE_BLOCKS_H
#define HEARTH_KERNELS_QUANTIZE_BLOCKS_H

#include <stddef.h>

typedef void quantize_row(const float *x, void *out, size_t n, const float *importance);

quantize_row quantize_q4_0, quantize_q4_1, quantize_q5_0, quantize_q5_1, quantize_q8_0;
quantize_row quantize_q1_0, quantize_q2_0, quantize_mxfp4, quantize_nvfp4;
quantize_row quantize_tq1_0, quantize_tq2_0;
quantize_row quantize_q2_k, quantize_q3_k, quantize_q4_k, quantize_q5_k, quantize_q6_k;
quantize_row quantize_iq4_nl, quantize_iq4_xs;

#endif
