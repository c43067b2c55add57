/* Speed of the linear kernels on one thread beside what the machine can do, as Markdown:
 * 2048 x 2048 weights times T rows of activations.
 *
 *   bench_kernels [type ...]
 *
 * Without arguments: every type that has a kernel, every level above scalar. At T = 1 the
 * limit is reading the weights from memory, at T = 64 and more it is multiplying with the
 * level's widest instructions for the numbers that the kernel multiplies. Each call takes
 * other weights than the one before, out of 256 MiB, so that they come from memory. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/peak.h"

enum { SIDE = 2048, REPEATS = 3, MOST_TOKENS = 512, READ_FLOATS = 4096 };
#define POOL_BYTES ((size_t)256 << 20)

static const size_t token_counts[] = {1, 2, 4, 8, 16, 64, MOST_TOKENS};
enum { COUNTS = sizeof token_counts / sizeof token_counts[0] };

struct bench {
    char *weights; /* [POOL_BYTES] */
    float *plain;  /* [MOST_TOKENS][SIDE] */
    char *inputs;  /* the same as the kernel wants it */
    float *outputs;
    size_t next; /* matrix of the pool */
};

/* Processor time of this thread: other load on the machine counts for less. */
static double seconds_since(uint64_t start) {
    return 1e-9 * (double)(clock_thread_ns() - start);
}

static double read_bytes_per_second(const struct bench *b) {
    const struct kernels *k = kernels_for(cpu_best());
    const float *values = (const float *)(const void *)b->weights;
    double best = 0;
    volatile float sum = 0; /* keeps the reads from being left out */
    for (int i = 0; i < REPEATS; i++) {
        uint64_t start = clock_thread_ns();
        for (size_t at = 0; at < POOL_BYTES / sizeof *values; at += READ_FLOATS)
            sum = sum + k->sum_squares(values + at, READ_FLOATS);
        double rate = (double)POOL_BYTES / seconds_since(start);
        if (rate > best) best = rate;
    }
    return best;
}

static double peak_ops_per_second(enum cpu_level level, enum peak_kind kind) {
    enum { ROUNDS = 1 << 18, PASSES = 8 };
    struct peak_loop loop = peak_loop(level, kind);
    double best = 0;
    for (int i = 0; i < PASSES; i++) {
        uint64_t start = clock_thread_ns();
        loop.run(ROUNDS);
        double rate = 2.0 * ROUNDS * (double)loop.products / seconds_since(start);
        if (rate > best) best = rate;
    }
    return best;
}

/* The best of a few passes over `count` matrices, for one of them. */
static double seconds_of_matrix(struct bench *b, const struct kernels *k, enum elem type,
                                size_t n_tokens, size_t count) {
    size_t stride = elem_row_bytes(type, SIDE), n_matrices = POOL_BYTES / (SIDE * stride);
    size_t input_bytes = act_row_bytes(k->linear_act[type], SIDE);
    double best = 1e30;
    for (int i = 0; i < REPEATS; i++) {
        uint64_t start = clock_thread_ns();
        for (size_t m = 0; m < count; m++) {
            b->next = (b->next + 1) % n_matrices;
            k->linear[type](SIDE, b->weights + b->next * SIDE * stride, stride, SIDE, b->inputs,
                            input_bytes, n_tokens, b->outputs, SIDE);
        }
        double seconds = seconds_since(start) / (double)count;
        if (seconds < best) best = seconds;
    }
    return best;
}

static void print_row(struct bench *b, const struct kernels *k, enum elem type, double read_limit,
                      const double peaks[PEAK_KINDS]) {
    enum act act = k->linear_act[type];
    double peak = peaks[act == ACT_F32 ? PEAK_F32 : PEAK_INT8], seconds[COUNTS];
    double bytes = (double)SIDE * (double)elem_row_bytes(type, SIDE), ops = 2.0 * SIDE * SIDE;
    size_t n_matrices = POOL_BYTES / (SIDE * elem_row_bytes(type, SIDE));
    for (size_t t = 0; t < MOST_TOKENS; t++)
        k->quantize_act[act](b->plain + t * SIDE, b->inputs + t * act_row_bytes(act, SIDE), SIDE);
    printf("| %-7s | %-7s |", elem_name(type), cpu_level_name(k->level));
    for (int i = 0; i < COUNTS; i++) {
        size_t count = n_matrices / token_counts[i];
        seconds[i] = seconds_of_matrix(b, k, type, token_counts[i], count ? count : 1);
        printf(" %7.1f |", 1e-9 * ops * (double)token_counts[i] / seconds[i]);
    }
    printf(" %6.2f | %4.2f | %4.2f | %4.2f |\n", 1e-9 * bytes / seconds[0],
           bytes / seconds[0] / read_limit, ops * 64 / seconds[COUNTS - 2] / peak,
           ops * MOST_TOKENS / seconds[COUNTS - 1] / peak);
    fflush(stdout);
}

static int wanted(enum elem type, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (elem_by_name(argv[i]) == type) return 1;
    return argc < 2;
}

static void print_level(struct bench *b, enum cpu_level level, int argc, char **argv) {
    const struct kernels *k = kernels_for(level);
    double peaks[PEAK_KINDS] = {0}, read_limit = read_bytes_per_second(b);
    peaks[PEAK_F32] = peak_ops_per_second(level, PEAK_F32);
    peaks[PEAK_INT8] = peak_ops_per_second(level, PEAK_INT8);
    printf("\n%s: reads %.1f GB/s, at most %.0f GFLOP/s in f32, %.0f GOP/s in int8\n\n",
           cpu_level_name(level), read_limit * 1e-9, peaks[PEAK_F32] * 1e-9,
           peaks[PEAK_INT8] * 1e-9);
    printf("| type    | level   |");
    for (int i = 0; i < COUNTS; i++)
        printf(" T = %-3zu |", token_counts[i]);
    printf(" GB/s at T = 1 | of reading | of multiplying, T = 64 | T = 512 |\n|---|---|");
    for (int i = 0; i < COUNTS + 4; i++)
        printf("---:|");
    putchar('\n');
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        if (k->linear[type] && wanted(type, argc, argv)) print_row(b, k, type, read_limit, peaks);
}

static void fill(struct bench *b) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < POOL_BYTES; i += 8) {
        /* Two bits of each exponent cleared: no infinity or NaN in any type. */
        uint64_t bits = rng_u64(&rng) & UINT64_C(0xbfffbfffbfffbfff);
        memcpy(b->weights + i, &bits, 8);
    }
    for (size_t i = 0; i < (size_t)MOST_TOKENS * SIDE; i++)
        b->plain[i] = rng_normal(&rng);
}

int main(int argc, char **argv) {
    size_t values = (size_t)MOST_TOKENS * SIDE;
    struct bench b = {.weights = mem_alloc_aligned(64, POOL_BYTES),
                      .plain = mem_alloc_array(values, sizeof(float)),
                      .inputs = mem_alloc_aligned(64, values * sizeof(float)),
                      .outputs = mem_alloc_array(values, sizeof(float))};
    if (!b.weights || !b.plain || !b.inputs || !b.outputs) return 1;
    fill(&b);
    printf("One thread of %s. Columns T: GFLOP/s.\n", cpu_model_name());
    for (int level = 0; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level) || (level == CPU_SCALAR && argc < 2)) continue;
        print_level(&b, (enum cpu_level)level, argc, argv);
    }
    mem_free(b.weights);
    mem_free(b.plain);
    mem_free(b.inputs);
    mem_free(b.outputs);
    return 0;
}
