/* Packed products of floats: 16 of 32 registers hold sums; with 24 gcc 12 keeps
 * some of them in memory. */
#include "kernels/vec_neon.h"

#include "kernels/gemm_float_words.h"

enum { GEMM_ROWS = 8 };
#define GEMM_NAME neon_gemm
/* A lane of a vector of rows, which multiplications take as it is. */
#define GEMM_ONE(a, r) vdupq_n_f32(vld1q_f32((a) + (r) / 4 * 4)[(r) % 4])

#include "kernels/gemm_panels.h"
