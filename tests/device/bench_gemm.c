/* Speed of the matrix products of training beside what the machine multiplies at most, as
 * Markdown: each row one product of a linear layer, on one thread and on two.
 *
 *   bench_gemm [level [product]]
 *
 * A share is the best of some runs beside the best of the loops over registers (peak.h) that
 * ran in between, in the same kind of number and on as many threads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "device/cpu_gemm.h"
#include "device/machine_speed.h"

enum { MOST_THREADS = 2, REPEATS = 6 };
#define PEAK_SECONDS 0.02

/* What x [T, in], w [out, in] and their gradients are to a product. */
struct shape {
    const char *name;
    size_t m, n, k;
    bool a_transposed, b_transposed, accumulate;
    enum elem type; /* of b */
};

static const struct shape shapes[] = {
    {"y = x w^T", 512, 2048, 2048, false, false, false, ELEM_F32},
    {"y = x w^T, q4_K", 512, 2048, 2048, false, false, false, ELEM_Q4_K},
    {"y = x w^T, bf16", 512, 2048, 2048, false, false, false, ELEM_BF16},
    {"dx = dy w", 512, 2048, 2048, false, true, true, ELEM_F32},
    {"dx = dy w, q4_K", 512, 2048, 2048, false, true, true, ELEM_Q4_K},
    {"dx = dy w, long", 512, 2048, 8192, false, true, true, ELEM_F32},
    {"dw = dy^T x", 2048, 2048, 512, true, true, true, ELEM_F32},
    {"y = x w^T, narrow", 2048, 384, 384, false, false, false, ELEM_F32},
    {"y = x w^T, thin", 2048, 128, 384, false, false, false, ELEM_F32},
    {"dx = dy w, narrow", 2048, 384, 1024, false, true, true, ELEM_F32},
    {"dw = dy^T x, narrow", 1024, 384, 2048, true, true, true, ELEM_F32},
    {"u = x a^T, r 16", 512, 16, 2048, false, false, false, ELEM_F32},
    {"y += u b^T, r 16", 512, 2048, 16, false, false, true, ELEM_F32},
    {"du = dy b, r 16", 512, 16, 2048, false, true, false, ELEM_F32},
    {"da += du^T x, r 16", 16, 2048, 512, true, true, true, ELEM_F32},
    {"db += dy^T u, r 16", 2048, 16, 512, true, true, true, ELEM_F32},
};

struct bench {
    struct device device;
    float *scratch[MOST_THREADS];
    struct gemm_job job;
};

static void gemm_share(void *context, unsigned thread, unsigned n_threads) {
    struct bench *b = context;
    struct cpu_run run = {
        .device = &b->device, .k = b->device.kernels, .thread = thread, .n_threads = n_threads};
    cpu_gemm(&run, &b->job);
}

static void *need(size_t bytes) {
    void *p = mem_alloc_aligned(4096, (bytes + 4095) / 4096 * 4096);
    if (!p) {
        fputs("no memory\n", stderr);
        exit(1);
    }
    return p;
}

static struct gemm_operand random_operand(enum elem type, bool transposed, size_t rows, size_t k) {
    struct rng rng;
    size_t stride = transposed ? rows : k, count = transposed ? k : rows;
    size_t bytes = count * elem_row_bytes(type, stride);
    char *data = need(bytes);
    rng_seed(&rng, 1);
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        /* Two bits of each exponent cleared: no infinity or NaN in any type. */
        uint64_t bits = rng_u64(&rng) & UINT64_C(0xbfffbfffbfffbfff);
        memcpy(data + i, &bits, 8);
    }
    for (size_t i = 0; type == ELEM_F32 && i < count * stride; i++) {
        float value = rng_normal(&rng);
        memcpy(data + i * sizeof value, &value, sizeof value);
    }
    return (struct gemm_operand){data, stride, transposed, type};
}

static void prepare(struct bench *b, const struct shape *s, bool exact) {
    b->job = (struct gemm_job){.a = random_operand(ELEM_F32, s->a_transposed, s->m, s->k),
                               .b = random_operand(s->type, s->b_transposed, s->n, s->k),
                               .m = s->m,
                               .n = s->n,
                               .k = s->k,
                               .c = need(s->m * s->n * sizeof(float)),
                               .c_stride = s->n,
                               .alpha = 1,
                               .accumulate = s->accumulate,
                               .exact = exact};
    memset(b->job.c, 0, s->m * s->n * sizeof(float));
    b->device.act_rows = need(cpu_gemm_shared_bytes(&b->device, s->m, s->n, s->k));
}

static void release(struct bench *b) {
    mem_free((void *)(uintptr_t)b->job.a.data);
    mem_free((void *)(uintptr_t)b->job.b.data);
    mem_free(b->job.c);
    mem_free(b->device.act_rows);
}

/* Operations a second, of the product and of the limit. */
struct speed {
    double reached, limit;
};

static struct speed measure(struct bench *b, unsigned n_threads) {
    struct speed best = {0};
    struct machine_rates rates;
    enum peak_kind kind = !b->job.exact && b->device.kernels->gemm_bf16 ? PEAK_BF16 : PEAK_F32;
    double ops = 2.0 * (double)b->job.m * (double)b->job.n * (double)b->job.k;
    if (pool_open(&b->device.pool, n_threads, NULL) != HEARTH_OK) return best;
    for (unsigned i = 0; i < n_threads; i++)
        b->scratch[i] = need(cpu_gemm_thread_floats(&b->device) * sizeof(float));
    b->device.thread_scratch = b->scratch;
    for (int i = 0; i < REPEATS; i++) {
        if (machine_multiply_rates(b->device.pool, b->device.kernels->level, PEAK_SECONDS, &rates,
                                   NULL) == HEARTH_OK &&
            rates.of[kind] > best.limit)
            best.limit = rates.of[kind];
        size_t count = ops < 2e9 ? (size_t)(2e9 / ops) : 1;
        uint64_t start = clock_now_ns();
        for (size_t j = 0; j < count; j++)
            pool_run(b->device.pool, gemm_share, b);
        double rate = ops * (double)count / clock_seconds_since(start);
        if (rate > best.reached) best.reached = rate;
    }
    for (unsigned i = 0; i < n_threads; i++)
        mem_free(b->scratch[i]);
    pool_close(b->device.pool);
    return best;
}

static void print_level(enum cpu_level level, bool exact, const char *product) {
    struct bench b = {.device.kernels = kernels_for(level)};
    printf("\n%s, %s\n\n| product | m | n | k |", cpu_level_name(level), exact ? "f32" : "bf16");
    for (unsigned t = 1; t <= MOST_THREADS; t++)
        printf(" GFLOP/s, %u thread%s | of the limit |", t, t == 1 ? "" : "s");
    puts("\n|---|---:|---:|---:|---:|---:|---:|---:|");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (!strstr(shapes[i].name, product)) continue;
        prepare(&b, &shapes[i], exact);
        printf("| %-18s | %4zu | %4zu | %4zu |", shapes[i].name, b.job.m, b.job.n, b.job.k);
        for (unsigned t = 1; t <= MOST_THREADS; t++) {
            struct speed speed = measure(&b, t);
            printf(" %6.1f | %4.2f |", speed.reached * 1e-9, speed.reached / speed.limit);
        }
        puts("");
        fflush(stdout);
        release(&b);
    }
}

int main(int argc, char **argv) {
    const char *product = argc > 2 ? argv[2] : "";
    for (int level = 1; level < CPU_LEVELS; level++) {
        const char *name = cpu_level_name((enum cpu_level)level);
        if (!cpu_has((enum cpu_level)level) || (argc > 1 && strcmp(argv[1], name) != 0)) continue;
        print_level((enum cpu_level)level, true, product);
        if (kernels_for((enum cpu_level)level)->gemm_bf16)
            print_level((enum cpu_level)level, false, product);
    }
    return 0;
}
