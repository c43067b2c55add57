/* quantize_blocks.h - one row of one type: what quantize_rows() is made of.
 *
 * Each function writes n values (a multiple of the type's block) of finite floats of
 * at most QUANTIZE_LARGEST in magnitude. `importance` is n finite non-negative
 * weights or NULL. They cannot fail and keep no state. */
#ifndef HEARTH_KERNELS_QUANTIZE_BLOCKS_H
#define HEARTH_KERNELS_QUANTIZE_BLOCKS_H

#include <stddef.h>

typedef void encode_row(const float *x, void *out, size_t n, const float *importance);

encode_row encode_q4_0, encode_q4_1, encode_q5_0, encode_q5_1, encode_q8_0;
encode_row encode_q1_0, encode_q2_0, encode_mxfp4, encode_nvfp4;
encode_row encode_tq1_0, encode_tq2_0;
encode_row encode_q2_k, encode_q3_k, encode_q4_k, encode_q5_k, encode_q6_k;
encode_row encode_iq4_nl, encode_iq4_xs;
encode_row encode_iq3_xxs, encode_iq3_s;
encode_row encode_iq2_xxs, encode_iq2_xs, encode_iq2_s, encode_iq1_s, encode_iq1_m;

#endif
