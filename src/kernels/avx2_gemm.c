/* Packed products of floats: 12 of 16 registers hold sums. */
#include "kernels/vec_avx2.h"

#include "kernels/gemm_float_words.h"

enum { GEMM_ROWS = 6 };
#define GEMM_NAME avx2_gemm

#include "kernels/gemm_panels.h"
