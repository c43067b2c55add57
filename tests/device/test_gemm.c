/* Products divided over threads: against sums in double precision, for every element type and
 * orientation, and the same bits whatever the number of threads. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "device/cpu_gemm.h"
#include "kernels/prompt_model.h"
#include "kernels/random_rows.h"

static struct rng rng;

static void *need(size_t size) {
    void *p = mem_alloc_aligned(64, (size + 63) / 64 * 64 + 64);
    assert_non_null(p);
    return p;
}

/* ---- running one product on a device of its own ---- */

static void gemm_share(void *context, unsigned thread, unsigned n_threads) {
    void **parts = context;
    struct device *device = parts[0];
    struct cpu_run run = {
        .device = device, .k = device->kernels, .thread = thread, .n_threads = n_threads};
    cpu_gemm(&run, parts[1]);
}

static void run_job(const struct gemm_job *job, enum cpu_level level, unsigned n_threads) {
    struct device device = {.kernels = kernels_for(level)};
    hearth_error err = {0};
    float *scratch[8];
    assert_int_equal(pool_open(&device.pool, n_threads, &err), HEARTH_OK);
    for (unsigned i = 0; i < n_threads; i++)
        scratch[i] = need(cpu_gemm_thread_floats(&device) * sizeof(float));
    device.thread_scratch = scratch;
    device.act_rows = need(cpu_gemm_shared_bytes(&device, job->m, job->n, job->k));
    pool_run(device.pool, gemm_share, (void *[]){&device, (void *)(uintptr_t)job});
    pool_close(device.pool);
    for (unsigned i = 0; i < n_threads; i++)
        mem_free(scratch[i]);
    mem_free(device.act_rows);
}

/* ---- the expected values ---- */

/* Element (r, i), rounded as the products of a level do. */
static double element(const struct gemm_operand *x, const float *values, size_t r, size_t i,
                      bool bf16) {
    float value = values[x->transposed ? i * x->stride + r : r * x->stride + i];
    return (double)(bf16 ? bf16_to_f32(f32_to_bf16(value)) : value);
}

static float *dequantized(const struct gemm_operand *x, size_t n_rows) {
    float *values = need(n_rows * x->stride * sizeof *values);
    kernels_for(CPU_SCALAR)->dequantize[x->type](x->data, values, n_rows * x->stride);
    return values;
}

/* Every row_step-th row. */
static void check(const struct gemm_job *job, const float *before, enum cpu_level level,
                  size_t row_step) {
    bool bf16 = !job->exact && kernels_for(level)->gemm_bf16;
    float *a = dequantized(&job->a, job->a.transposed ? job->k : job->m);
    float *b = dequantized(&job->b, job->b.transposed ? job->k : job->n);
    for (size_t r = 0; r < job->m; r += row_step)
        for (size_t c = 0; c < job->c_stride; c++) {
            double got = (double)job->c[r * job->c_stride + c];
            double old = (double)before[r * job->c_stride + c], sum = 0, magnitude = 0;
            if (c >= job->n) {
                assert_true(got == old); /* not to be touched */
                continue;
            }
            for (size_t i = 0; i < job->k; i++) {
                double part = element(&job->a, a, r, i, bf16) * element(&job->b, b, c, i, bf16);
                sum += part;
                magnitude += fabs(part);
            }
            double bias = job->bias ? (double)job->bias[c] : 0;
            double expected = (double)job->alpha * sum + bias + (job->accumulate ? old : 0);
            double tolerance =
                1e-6 * (fabs((double)job->alpha) * magnitude + fabs(bias) + fabs(old));
            if (!(fabs(got - expected) <= tolerance))
                fail_msg("%s %zu x %zu x %zu, a %s%s, b %s%s: [%zu, %zu] is %.9g, expected %.9g "
                         "+- %g",
                         cpu_level_name(level), job->m, job->n, job->k, elem_name(job->a.type),
                         job->a.transposed ? "^T" : "", elem_name(job->b.type),
                         job->b.transposed ? "^T" : "", r, c, got, expected, tolerance);
        }
    mem_free(a);
    mem_free(b);
}

static struct gemm_operand random_operand(enum elem type, bool transposed, size_t rows, size_t k) {
    size_t block = elem_table[type].block_values, length = transposed ? rows : k;
    size_t count = transposed ? k : rows, stride = (length + block - 1) / block * block;
    if (type == ELEM_F32) stride += 3;
    return (struct gemm_operand){
        random_rows(&rng, type, stride, count, elem_row_bytes(type, stride)), stride, transposed,
        type};
}

/* One product at every level from `first_level` on and on one to three threads. */
static void check_job(struct gemm_job job, enum cpu_level first_level, size_t row_step) {
    size_t bytes = job.m * job.c_stride * sizeof(float);
    float *before = need(bytes), *first = need(bytes), *bias = need(job.n * sizeof *bias);
    for (size_t i = 0; i < job.m * job.c_stride; i++)
        before[i] = rng_normal(&rng);
    for (size_t i = 0; i < job.n; i++)
        bias[i] = rng_normal(&rng);
    if (job.bias) job.bias = bias;
    job.c = need(bytes);
    for (int level = (int)first_level; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        for (unsigned n_threads = 1; n_threads <= 3; n_threads++) {
            memcpy(job.c, before, bytes);
            run_job(&job, (enum cpu_level)level, n_threads);
            if (n_threads == 1) {
                check(&job, before, (enum cpu_level)level, row_step);
                memcpy(first, job.c, bytes);
            } else {
                assert_memory_equal(job.c, first, bytes);
            }
        }
    }
    mem_free(before), mem_free(first), mem_free(bias), mem_free(job.c);
    mem_free((void *)(uintptr_t)job.a.data), mem_free((void *)(uintptr_t)job.b.data);
}

static const float some_bias[1]; /* stands for random values */

static void sizes_and_settings(void **state) {
    static const size_t sizes[][3] = {{1, 1, 1},     {5, 3, 2},     {13, 33, 65}, {37, 290, 300},
                                      {70, 16, 517}, {16, 300, 70}, {130, 65, 8}};
    (void)state;
    rng_seed(&rng, 3);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int set = 0; set < 16; set++) {
            size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
            check_job((struct gemm_job){.a = random_operand(ELEM_F32, set & 1, m, k),
                                        .b = random_operand(ELEM_F32, set & 2, n, k),
                                        .m = m,
                                        .n = n,
                                        .k = k,
                                        .c_stride = n + 5,
                                        .alpha = set & 4 ? 0.37f : 1,
                                        .accumulate = set & 4,
                                        .bias = set & 4 ? NULL : some_bias,
                                        .exact = set & 8},
                      CPU_SCALAR, 1);
        }
}

static void weights_of_every_type(void **state) {
    (void)state;
    rng_seed(&rng, 4);
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!kernels_for(CPU_SCALAR)->dequantize[type]) continue;
        for (int set = 0; set < 4; set++) {
            bool transposed = set & 1;
            size_t m = 19, n = transposed ? 512 : 45, k = transposed ? 45 : 512;
            check_job((struct gemm_job){.a = random_operand(ELEM_F32, false, m, k),
                                        .b = random_operand(type, transposed, n, k),
                                        .m = m,
                                        .n = n,
                                        .k = k,
                                        .c_stride = n,
                                        .alpha = 1,
                                        .exact = set & 2},
                      CPU_SCALAR, 1);
        }
    }
}

/* More rows and values than are packed together. */
static void large_products(void **state) {
    enum cpu_level level = cpu_best();
    (void)state;
    rng_seed(&rng, 5);
    for (int set = 0; set < 4; set++)
        check_job((struct gemm_job){.a = random_operand(ELEM_F32, set & 1, 1030, 4200),
                                    .b = random_operand(ELEM_F32, set & 1, 257, 4200),
                                    .m = 1030,
                                    .n = 257,
                                    .k = 4200,
                                    .c_stride = 257,
                                    .alpha = 0.5f,
                                    .bias = some_bias,
                                    .exact = set & 2},
                  level, 93);
}

/* Memory for the largest product of a plan is enough for all others. */
static void smaller_products_need_no_more(void **state) {
    struct device device = {.kernels = kernels_for(cpu_best())};
    (void)state;
    rng_seed(&rng, 7);
    for (int i = 0; i < 10000; i++) {
        size_t most[3], size[3];
        for (int j = 0; j < 3; j++) {
            most[j] = 1 + rng_u64(&rng) % (i % 2 ? 600 : 20000);
            size[j] = 1 + rng_u64(&rng) % most[j];
        }
        assert_true(cpu_gemm_shared_bytes(&device, size[0], size[1], size[2]) <=
                    cpu_gemm_shared_bytes(&device, most[0], most[1], most[2]));
    }
}

#if defined(__x86_64__)
/* As on processors with a matrix unit. */
static void products_of_tiles(void **state) {
    (void)state;
    struct kernels *k = (struct kernels *)(uintptr_t)kernels_for(CPU_AVX512);
    const struct gemm_kernels *before = k->gemm_bf16;
    if (!prompt_model_runs()) {
        print_message("[  SKIPPED ] no AVX-512 with VBMI and BF16 here\n");
        skip();
    }
    k->gemm_bf16 = &amx_model_gemm;
    rng_seed(&rng, 6);
    for (int set = 0; set < 8; set++) {
        size_t m = set & 4 ? 75 : 40, n = set & 4 ? 18 : 300;
        check_job((struct gemm_job){.a = random_operand(ELEM_F32, set & 1, m, 550),
                                    .b = random_operand(ELEM_F32, set & 2, n, 550),
                                    .m = m,
                                    .n = n,
                                    .k = 550,
                                    .c_stride = n,
                                    .alpha = 1,
                                    .accumulate = true},
                  CPU_AVX512, 1);
    }
    k->gemm_bf16 = before;
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_settings),
        cmocka_unit_test(weights_of_every_type),
        cmocka_unit_test(large_products),
        cmocka_unit_test(smaller_products_need_no_more),
#if defined(__x86_64__)
        cmocka_unit_test(products_of_tiles),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
