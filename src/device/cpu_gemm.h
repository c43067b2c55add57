/* cpu_gemm.h - matrix products of training, divided over the threads of the pool.
 *
 * Called by every thread that walks a plan, inside an operation, with the same job; has
 * barriers of its own, and returns when all of C is there. A linear layer y = x w^T with
 * x [T, in] and w [out, in] takes three of them:
 *
 *   forward           y [T, out]   m = T, n = out, k = in     a = x, b = w
 *   input gradient    dx [T, in]   m = T, n = in, k = out     a = dy, b = w transposed
 *   weight gradient   dw [out, in] m = out, n = in, k = T     a = dy transposed,
 *                                                             b = x transposed
 *
 * Invariant: each value of C is added up in an order that depends on k alone, not on the
 * number of threads or on m and n. */
#ifndef HEARTH_DEVICE_CPU_GEMM_H
#define HEARTH_DEVICE_CPU_GEMM_H

#include "device/cpu_device.h"

/* One operand: element (r, i) is value i of row r of a stored matrix or, `transposed`, value
 * r of its row i. Rows follow each other `stride` values apart; those of a quantised type are
 * whole blocks (elem_row_bytes(type, stride)). */
struct gemm_operand {
    const void *data;
    size_t stride;
    bool transposed;
    enum elem type; /* ELEM_F32 except for weights */
};

/* C[r, c] = alpha sum over i of A(r, i) B(c, i) + bias[c], added to what is there where
 * `accumulate`. */
struct gemm_job {
    struct gemm_operand a, b;
    size_t m, n, k; /* 1 at least */
    float *c;       /* m rows of n floats, c_stride floats apart; overlaps no operand */
    size_t c_stride;
    float alpha;
    bool accumulate;
    const float *bias; /* [n]; NULL: none */
    bool exact;        /* float32 products; otherwise bfloat16 where the level has them */
};

void cpu_gemm(const struct cpu_run *run, const struct gemm_job *job);

/* What device_prepare provides: floats of each thread's scratch (thread_scratch) for any
 * product, and bytes of the memory that all threads share (act_rows) for one of this size; no
 * product of smaller m, n and k needs more. Both are aligned to 64 bytes. */
size_t cpu_gemm_thread_floats(const struct device *device);
size_t cpu_gemm_shared_bytes(const struct device *device, size_t m, size_t n, size_t k);

#endif
