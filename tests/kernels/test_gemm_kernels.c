/* Packed products of every level against sums in double precision. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/prompt_model.h"

static struct rng rng;

static void *need(size_t size) {
    void *p = mem_alloc_aligned(64, (size + 63) / 64 * 64 + 64);
    assert_non_null(p);
    return p;
}

struct operand {
    struct gemm_floats x;
    float *data;
    void *packed;
};

/* `bf16`: the values that the factors are rounded to. */
static double element(const struct operand *o, size_t r, size_t i, bool bf16) {
    float value = o->x.data[o->x.transposed ? i * o->x.stride + r : r * o->x.stride + i];
    return (double)(bf16 ? bf16_to_f32(f32_to_bf16(value)) : value);
}

/* Packed at once or a few values at a time. */
static struct operand random_operand(const struct gemm_kernels *g, bool is_a, size_t rows,
                                     size_t k) {
    struct operand o = {.x.transposed = rng_u64(&rng) % 2};
    size_t panel_rows = is_a ? g->a_rows : g->b_rows;
    size_t panels = (rows + panel_rows - 1) / panel_rows;
    size_t panel_bytes = gemm_panel_bytes(g, panel_rows, k);
    o.x.stride = (o.x.transposed ? rows : k) + rng_u64(&rng) % 4;
    /* Exactly as large as it must be: reading beyond it is found. */
    size_t count = o.x.stride * ((o.x.transposed ? k : rows) - 1) + (o.x.transposed ? rows : k);
    o.data = mem_alloc_array(count, sizeof *o.data);
    o.x.data = o.data;
    for (size_t i = 0; i < count; i++)
        o.data[i] = rng_normal(&rng);
    o.packed = need(panels * panel_bytes);
    memset(o.packed, 0x7f, panels * panel_bytes);
    size_t piece = rng_u64(&rng) % 2 ? (1 + rng_u64(&rng) % 3) * g->step : k;
    for (size_t i = 0; i < k; i += piece) {
        struct gemm_floats part = o.x;
        part.data += part.transposed ? i * part.stride : i;
        (is_a ? g->pack_a : g->pack_b)(&part, rows, k - i < piece ? k - i : piece,
                                       (char *)o.packed + gemm_panel_bytes(g, panel_rows, i),
                                       panel_bytes);
    }
    return o;
}

static void close_operand(struct operand *o) {
    mem_free(o->data);
    mem_free(o->packed);
}

static void check_block(const char *what, const struct gemm_block *block, const struct operand *a,
                        const struct operand *b, const float *before, bool bf16) {
    bool turned = block->c_transposed;
    size_t rows = turned ? block->n : block->m, columns = turned ? block->m : block->n;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < block->c_stride; c++) {
            double got = (double)block->c[r * block->c_stride + c];
            double old = (double)before[r * block->c_stride + c], sum = 0, magnitude = 0;
            if (c >= columns) {
                assert_true(got == old); /* not to be touched */
                continue;
            }
            for (size_t i = 0; i < block->k; i++) {
                double part =
                    element(a, turned ? c : r, i, bf16) * element(b, turned ? r : c, i, bf16);
                sum += part;
                magnitude += fabs(part);
            }
            double bias = block->bias ? (double)block->bias[c] : 0, add = block->add ? old : 0;
            double expected = (double)block->alpha * sum + add + bias;
            double tolerance =
                1e-6 * (fabs((double)block->alpha) * magnitude + fabs(add) + fabs(bias));
            if (!(fabs(got - expected) <= tolerance))
                fail_msg("%s, %zu x %zu x %zu, a%s, b%s, c%s: [%zu, %zu] is %.9g, expected %.9g "
                         "+- %g",
                         what, block->m, block->n, block->k, a->x.transposed ? "^T" : "",
                         b->x.transposed ? "^T" : "", turned ? "^T" : "", r, c, got, expected,
                         tolerance);
        }
}

static void check_size(const char *what, const struct gemm_kernels *g, bool bf16, size_t m,
                       size_t n, size_t k) {
    struct operand a = random_operand(g, true, m, k), b = random_operand(g, false, n, k);
    bool turned = rng_u64(&rng) % 2;
    size_t rows = turned ? n : m, columns = turned ? m : n;
    size_t c_stride = columns + rng_u64(&rng) % 4, count = rows * c_stride;
    float *c = mem_alloc_array(count, sizeof *c), *before = mem_alloc_array(count, sizeof *c);
    float *bias = mem_alloc_array(columns, sizeof *bias);
    for (size_t i = 0; i < count; i++)
        c[i] = before[i] = rng_normal(&rng);
    for (size_t i = 0; i < columns; i++)
        bias[i] = rng_normal(&rng);
    struct gemm_block block = {.a = a.packed,
                               .b = b.packed,
                               .m = m,
                               .n = n,
                               .k = k,
                               .c = c,
                               .c_stride = c_stride,
                               .c_transposed = turned,
                               .alpha = rng_u64(&rng) % 2 ? 1 : 0.37f,
                               .add = rng_u64(&rng) % 2,
                               .bias = rng_u64(&rng) % 2 ? bias : NULL};
    g->multiply(&block);
    check_block(what, &block, &a, &b, before, bf16);
    close_operand(&a), close_operand(&b);
    mem_free(c), mem_free(before), mem_free(bias);
}

static void check_kernels(const char *what, const struct gemm_kernels *g, bool bf16) {
    rng_seed(&rng, 5);
    assert_int_equal(g->depth % 256, 0);
    assert_int_equal(g->depth % g->step, 0);
    for (size_t m = 1; m <= g->a_rows + 1; m++)
        for (size_t n = 1; n <= g->b_rows + 1; n++)
            check_size(what, g, bf16, m, n, 1 + rng_u64(&rng) % 40);
    for (int i = 0; i < 60; i++)
        check_size(what, g, bf16, 1 + rng_u64(&rng) % 70, 1 + rng_u64(&rng) % 70,
                   1 + rng_u64(&rng) % (i < 30 ? 100 : g->depth));
    check_size(what, g, bf16, 2 * g->a_rows, 2 * g->b_rows, g->depth);
}

static void floats_at_every_level(void **state) {
    (void)state;
    for (int level = 0; level < CPU_LEVELS; level++)
        if (cpu_has((enum cpu_level)level))
            check_kernels(cpu_level_name((enum cpu_level)level),
                          kernels_for((enum cpu_level)level)->gemm_f32, false);
}

static void bfloat16_where_there_is_some(void **state) {
    (void)state;
    for (int level = 0; level < CPU_LEVELS; level++)
        if (cpu_has((enum cpu_level)level) && kernels_for((enum cpu_level)level)->gemm_bf16)
            check_kernels(cpu_level_name((enum cpu_level)level),
                          kernels_for((enum cpu_level)level)->gemm_bf16, true);
#if defined(__x86_64__)
    if (prompt_model_runs()) check_kernels("a model of amx", &amx_model_gemm, true);
#endif
}

/* Values of C do not depend on the rows beside theirs. */
static void check_division(const struct gemm_kernels *g) {
    enum { M = 61, N = 83, K = 219 };
    float whole[M * N], parts[M * N];
    rng_seed(&rng, 6);
    struct operand a = random_operand(g, true, M, K), b = random_operand(g, false, N, K);
    struct gemm_block all = {.a = a.packed,
                             .b = b.packed,
                             .m = M,
                             .n = N,
                             .k = K,
                             .c = whole,
                             .c_stride = N,
                             .alpha = 0.7f};
    size_t panel_a = gemm_panel_bytes(g, g->a_rows, K), panel_b = gemm_panel_bytes(g, g->b_rows, K);
    void *one = need(panel_a > panel_b ? panel_a : panel_b);
    g->multiply(&all);
    for (size_t r = 0; r < M; r++) { /* every row as the first of a panel */
        struct gemm_floats row = a.x;
        row.data += row.transposed ? r : r * row.stride;
        g->pack_a(&row, 1, K, one, panel_a);
        struct gemm_block part = all;
        part.a = one, part.m = 1, part.c = parts + r * N;
        g->multiply(&part);
    }
    assert_memory_equal(whole, parts, sizeof whole);
    for (size_t r = 0; r < N; r++) {
        struct gemm_floats row = b.x;
        row.data += row.transposed ? r : r * row.stride;
        g->pack_b(&row, 1, K, one, panel_b);
        struct gemm_block part = all;
        part.b = one, part.n = 1, part.c = parts + r;
        g->multiply(&part);
    }
    assert_memory_equal(whole, parts, sizeof whole);
    all.c_transposed = true, all.c = parts, all.c_stride = M;
    g->multiply(&all);
    for (size_t i = 0; i < M * N; i++)
        assert_memory_equal(&whole[i], &parts[i % N * M + i / N], sizeof *whole);
    mem_free(one);
    close_operand(&a), close_operand(&b);
}

static void neighbours_change_nothing(void **state) {
    (void)state;
    for (int level = 0; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        const struct kernels *k = kernels_for((enum cpu_level)level);
        check_division(k->gemm_f32);
        if (k->gemm_bf16) check_division(k->gemm_bf16);
    }
#if defined(__x86_64__)
    if (prompt_model_runs()) check_division(&amx_model_gemm);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_at_every_level),
        cmocka_unit_test(bfloat16_where_there_is_some),
        cmocka_unit_test(neighbours_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
