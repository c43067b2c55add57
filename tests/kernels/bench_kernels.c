/* Speed of the linear kernels, one thread: bytes of weights per second at T = 1 and
 * floating operations per second at T = 64, for 2048 x 2048 weights.
 *
 *   bench_kernels [type ...]
 *
 * At T = 1 the calls walk through 256 MiB of weights, so that they come from memory. Where
 * there is a matrix unit, its products of prompts at T = 512 follow, with the fraction of
 * what it does when it has nothing to load. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"

enum { SIDE = 2048, TOKENS = 64, PROMPT_TOKENS = 512, REPEATS = 3 };
static const size_t pool_bytes = (size_t)256 << 20;

/* Processor time of this thread: other load on the machine counts for less. */
static double thread_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void bench_reading(const char *w) {
    double best = 1e30;
    uint64_t sums[8] = {0};
    for (int i = 0; i < REPEATS; i++) {
        double start = thread_seconds();
        for (size_t at = 0; at < pool_bytes; at += 64)
            for (size_t j = 0; j < 8; j++)
                sums[j] += *(const uint64_t *)(const void *)(w + at + 8 * j);
        double seconds = thread_seconds() - start;
        if (seconds < best) best = seconds;
    }
    uint64_t sum = 0;
    for (size_t j = 0; j < 8; j++)
        sum ^= sums[j];
    printf("reading memory       %7.2f GB/s (check %04x)\n", 1e-9 * (double)pool_bytes / best,
           (unsigned)(sum & 0xffff));
}

static double seconds_of_pass(const struct kernels *k, enum elem type, const char *w,
                              size_t n_matrices, const char *x, size_t n_tokens, float *y) {
    size_t stride = elem_row_bytes(type, SIDE);
    double best = 1e30;
    for (int i = 0; i < REPEATS; i++) {
        double start = thread_seconds();
        for (size_t m = 0; m < n_matrices; m++)
            k->linear[type](SIDE, w + m * SIDE * stride, stride, SIDE, x,
                            act_row_bytes(k->linear_act[type], SIDE), n_tokens, y, SIDE);
        double seconds = thread_seconds() - start;
        if (seconds < best) best = seconds;
    }
    return best;
}

static void bench(const struct kernels *k, enum elem type, const char *w, const float *plain,
                  char *x, float *y) {
    size_t matrix = SIDE * elem_row_bytes(type, SIDE), n_matrices = pool_bytes / matrix;
    enum act act = k->linear_act[type];
    for (size_t t = 0; t < TOKENS; t++)
        k->quantize_act[act](plain + t * SIDE, x + t * act_row_bytes(act, SIDE), SIDE);
    double one = seconds_of_pass(k, type, w, n_matrices, x, 1, y);
    double many = seconds_of_pass(k, type, w, 2, x, TOKENS, y);
    double flops = 2.0 * SIDE * SIDE;
    printf("%-8s %-8s T=1 %7.2f GB/s %7.2f GFLOP/s   T=%d %8.2f GFLOP/s\n", elem_name(type),
           cpu_level_name(k->level), 1e-9 * (double)(n_matrices * matrix) / one,
           1e-9 * flops * (double)n_matrices / one, TOKENS, 1e-9 * flops * TOKENS * 2 / many);
    fflush(stdout);
}

/* Operations a second of the unit alone. */
static double unit_limit(const struct prompt_kernels *prompt) {
    enum { ROUNDS = 2000000 };
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        double start = thread_seconds(), operations = prompt->limit_bf16(ROUNDS);
        double rate = operations / (thread_seconds() - start);
        if (rate > best) best = rate;
    }
    return best;
}

static void pack_prompt(const struct prompt_kernels *prompt, const float *plain, void *packed) {
    for (size_t tile = 0; tile * PROMPT_TILE_ROWS < PROMPT_TOKENS; tile++) {
        const float *rows[PROMPT_TILE_ROWS];
        for (size_t r = 0; r < PROMPT_TILE_ROWS; r++)
            rows[r] = plain + (tile * PROMPT_TILE_ROWS + r) % TOKENS * SIDE;
        prompt->pack(SIDE, rows, PROMPT_TILE_ROWS, tile, PROMPT_TOKENS, packed);
    }
}

static void bench_prompt(const struct kernels *k, enum elem type, const char *w, const float *plain,
                         double limit) {
    struct prompt_product product = {.type = type,
                                     .n = SIDE,
                                     .w = w,
                                     .w_stride = elem_row_bytes(type, SIDE),
                                     .n_rows = SIDE,
                                     .n_tokens = PROMPT_TOKENS,
                                     .y_stride = SIDE,
                                     .scale = 1};
    void *packed = mem_alloc_aligned(64, k->prompt->packed_bytes(SIDE, PROMPT_TOKENS));
    product.x = packed;
    product.y = mem_alloc_array(PROMPT_TOKENS * SIDE, sizeof *product.y);
    product.scratch = mem_alloc_aligned(64, k->prompt->scratch_bytes);
    if (packed && product.y && product.scratch) {
        double best = 1e30, operations = 2.0 * SIDE * SIDE * PROMPT_TOKENS;
        for (int i = 0; i < REPEATS; i++) {
            double start = thread_seconds();
            pack_prompt(k->prompt, plain, packed);
            k->prompt->multiply(&product);
            double seconds = thread_seconds() - start;
            if (seconds < best) best = seconds;
        }
        printf("%-8s %-8s prompt, T=%d %8.2f GFLOP/s, %.3f of the limit\n", elem_name(type),
               cpu_level_name(k->level), PROMPT_TOKENS, 1e-9 * operations / best,
               operations / best / limit);
        fflush(stdout);
    }
    mem_free(packed), mem_free(product.y), mem_free(product.scratch);
}

static int wanted(enum elem type, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (elem_by_name(argv[i]) == type) return 1;
    return argc < 2;
}

int main(int argc, char **argv) {
    char *w = mem_alloc_aligned(64, pool_bytes);
    char *x = mem_alloc_aligned(64, TOKENS * SIDE * sizeof(float));
    float *plain = mem_alloc_array(TOKENS * SIDE, sizeof *plain);
    float *y = mem_alloc_array(TOKENS * SIDE, sizeof *y);
    if (!w || !x || !plain || !y) return 1;
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < pool_bytes; i += 8) {
        /* Two bits of each exponent cleared: no infinity or NaN in any type. */
        uint64_t bits = rng_u64(&rng) & UINT64_C(0xbfffbfffbfffbfff);
        memcpy(w + i, &bits, 8);
    }
    for (size_t i = 0; i < TOKENS * SIDE; i++)
        plain[i] = rng_normal(&rng);
    bench_reading(w);
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        for (int level = 0; level < CPU_LEVELS; level++) {
            const struct kernels *k = kernels_for((enum cpu_level)level);
            if (!cpu_has((enum cpu_level)level) || !k->linear[type] || !wanted(type, argc, argv))
                continue;
            if (level == CPU_SCALAR && argc < 2) continue;
            bench(k, type, w, plain, x, y);
        }
    const struct kernels *k = kernels_for(CPU_AMX);
    double limit = cpu_has(CPU_AMX) ? unit_limit(k->prompt) : 0;
    if (limit > 0) printf("matrix unit          %8.2f GFLOP/s\n", 1e-9 * limit);
    for (unsigned type = 0; limit > 0 && type < ELEM_TYPES; type++)
        if (k->dequantize[type] && wanted(type, argc, argv)) bench_prompt(k, type, w, plain, limit);
    mem_free(w), mem_free(x), mem_free(plain), mem_free(y);
    return 0;
}
