/* Packed products of floats: 24 of 32 registers hold sums. */
#include "kernels/vec_avx512.h"

#include "kernels/gemm_float_words.h"

enum { GEMM_ROWS = 12 };
#define GEMM_NAME avx512_gemm

#include "kernels/gemm_panels.h"
