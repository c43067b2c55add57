#include "device/cpu_gemm.h"

#include <string.h>

size_t cpu_gemm_thread_floats(const struct device *device, size_t m, size_t n, size_t k) {
    size_t stored = m > n ? m : n;
    (void)device;
    return k + (stored > k ? stored : k);
}

size_t cpu_gemm_shared_bytes(const struct device *device, size_t m, size_t n, size_t k) {
    (void)device, (void)m, (void)n, (void)k;
    return 0;
}

/* The first n values of a stored row, as floats. */
static const float *stored_row(const struct cpu_run *run, const struct gemm_operand *x, size_t row,
                               size_t n, float *scratch) {
    const char *at = (const char *)x->data + row * elem_row_bytes(x->type, x->stride);
    size_t block = elem_table[x->type].block_values;
    if (x->type == ELEM_F32) return (const float *)(const void *)at;
    run->k->dequantize[x->type](at, scratch, (n + block - 1) / block * block);
    return scratch;
}

/* Elements (row, 0 .. k - 1) of A. */
static void load_a(const struct cpu_run *run, const struct gemm_job *job, size_t row, float *out,
                   float *scratch) {
    if (!job->a.transposed)
        memcpy(out, stored_row(run, &job->a, row, job->k, scratch), job->k * sizeof *out);
    for (size_t i = 0; job->a.transposed && i < job->k; i++)
        out[i] = stored_row(run, &job->a, i, job->m, scratch)[row];
}

void cpu_gemm(const struct cpu_run *run, const struct gemm_job *job) {
    float *a = run->device->thread_scratch[run->thread], *scratch = a + job->k;
    size_t begin, end;
    pool_share(job->m, 1, run->thread, run->n_threads, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        float *c = job->c + r * job->c_stride;
        load_a(run, job, r, a, scratch);
        if (!job->accumulate) memset(c, 0, job->n * sizeof *c);
        for (size_t i = 0; job->b.transposed && i < job->k; i++)
            run->k->axpy(c, job->alpha * a[i], stored_row(run, &job->b, i, job->n, scratch),
                         job->n);
        for (size_t i = 0; !job->b.transposed && i < job->n; i++)
            c[i] +=
                job->alpha * run->k->dot(a, stored_row(run, &job->b, i, job->k, scratch), job->k);
        if (job->bias) run->k->add(c, c, job->bias, job->n);
    }
}
