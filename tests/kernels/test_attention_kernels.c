/* Scores and weighted sums of attention: every level against scalar.c, and against itself
 * when calls are cut in another way. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

enum { MOST_D = 192, MOST_KEYS = 35, MOST_QUERIES = 11, STRIDE = MOST_KEYS + 3 };

static const enum elem types[] = {ELEM_F32, ELEM_F16, ELEM_BF16, ELEM_Q8_0};
static const size_t widths[] = {1, 17, 32, 64, 80, 96, 160, MOST_D};
static const size_t counts[] = {1, 3, 8, 17, 32, MOST_KEYS};
#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct rng rng;

static struct {
    enum elem type;
    size_t d, count, n_q;
    float plain[MOST_KEYS * MOST_D]; /* the stored rows as floats */
    uint8_t rows[MOST_KEYS * (MOST_D * sizeof(float) + 8)];
    struct kv_rows kv;
    float q[MOST_QUERIES * MOST_D], weights[MOST_QUERIES * STRIDE];
} scene;

static void fill_normal(float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(&rng);
}

static void set_scene(enum elem type, size_t d, size_t count, size_t n_q) {
    const struct kernels *scalar = kernels_for(CPU_SCALAR);
    static float row[MOST_D];
    scene.type = type, scene.d = d, scene.count = count, scene.n_q = n_q;
    size_t stride = elem_row_bytes(type, d) + (type == ELEM_F32 ? 8 : 6);
    for (size_t i = 0; i < count; i++) {
        fill_normal(row, d);
        quantize_rows(type, row, scene.rows + i * stride, 1, d, NULL, NULL);
        scalar->dequantize[type](scene.rows + i * stride, scene.plain + i * d, d);
    }
    scene.kv = (struct kv_rows){scene.rows, stride, count, NULL};
    fill_normal(scene.q, n_q * d);
    for (size_t i = 0; i < MOST_QUERIES * STRIDE; i++)
        scene.weights[i] = (float)rng_uniform(&rng);
}

static void each_scene(void (*check)(const struct kernels *k)) {
    for (int level = 0; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        rng_seed(&rng, 11);
        for (size_t t = 0; t < COUNT(types); t++)
            for (size_t w = 0; w < COUNT(widths); w++) {
                if (widths[w] % elem_table[types[t]].block_values != 0) continue;
                for (size_t c = 0; c < COUNT(counts); c++) {
                    set_scene(types[t], widths[w], counts[c], 1 + (w + 3 * c) % MOST_QUERIES);
                    check(kernels_for((enum cpu_level)level));
                }
            }
    }
}

static void near(const char *what, const struct kernels *k, size_t i, float got, float expected,
                 float tolerance) {
    if (fabsf(got - expected) <= tolerance) return;
    fail_msg("%s of %s at level %s, d = %zu, %zu keys, %zu queries: [%zu] is %.9g, expected %.9g",
             what, elem_name(scene.type), cpu_level_name(k->level), scene.d, scene.count, scene.n_q,
             i, (double)got, (double)expected);
}

static void same(const char *what, const struct kernels *k, const float *got, const float *expected,
                 size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, expected + i, sizeof *got) != 0)
            near(what, k, i, got[i], expected[i], -1);
}

/* Calls write between 42s, which must stay. */
static void forty_two(float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] = 42;
}

static float got[MOST_QUERIES * (MOST_D + STRIDE)], expected[MOST_QUERIES * (MOST_D + STRIDE)];

static void check_scores(const struct kernels *k) {
    const struct kernels *scalar = kernels_for(CPU_SCALAR);
    size_t n = MOST_QUERIES * STRIDE;
    forty_two(got, n), forty_two(expected, n);
    k->scores[scene.type](scene.d, &scene.kv, scene.q, scene.n_q, got, STRIDE);
    scalar->scores[ELEM_F32](scene.d,
                             &(struct kv_rows){scene.plain, scene.d * 4, scene.count, NULL},
                             scene.q, scene.n_q, expected, STRIDE);
    for (size_t i = 0; i < n; i++) {
        size_t h = i / STRIDE, key = i % STRIDE;
        float magnitude = 0;
        for (size_t j = 0; h < scene.n_q && key < scene.count && j < scene.d; j++)
            magnitude += fabsf(scene.q[h * scene.d + j] * scene.plain[key * scene.d + j]);
        near("scores", k, i, got[i], expected[i], 1e-6f * magnitude);
    }
}

static void scores_match(void **state) {
    (void)state;
    each_scene(check_scores);
}

static void check_mix(const struct kernels *k) {
    size_t n = MOST_QUERIES * MOST_D;
    forty_two(got, n);
    fill_normal(got, scene.n_q * scene.d);
    memcpy(expected, got, sizeof got);
    k->mix[scene.type](scene.d, &scene.kv, scene.weights, STRIDE, scene.n_q, got);
    for (size_t i = 0; i < n; i++) {
        size_t h = i / scene.d, j = i % scene.d;
        double sum = (double)expected[i], magnitude = fabs(sum);
        for (size_t key = 0; h < scene.n_q && key < scene.count; key++) {
            double part =
                (double)scene.weights[h * STRIDE + key] * (double)scene.plain[key * scene.d + j];
            sum += part;
            magnitude += fabs(part);
        }
        near("mix", k, i, got[i], (float)sum, h < scene.n_q ? (float)(3e-6 * magnitude) : 0);
    }
}

static void weighted_sums_match(void **state) {
    (void)state;
    each_scene(check_mix);
}

/* Rows [first, first + n). */
static struct kv_rows some(size_t first, size_t n, const void *next) {
    return (struct kv_rows){(const char *)scene.kv.data + first * scene.kv.stride, scene.kv.stride,
                            n, next};
}

static void check_cut_scores(const struct kernels *k) {
    size_t cut = scene.count / 3;
    forty_two(got, MOST_QUERIES * STRIDE), forty_two(expected, MOST_QUERIES * STRIDE);
    k->scores[scene.type](scene.d, &scene.kv, scene.q, scene.n_q, expected, STRIDE);
    for (size_t h = 0; h < scene.n_q; h++) {
        struct kv_rows head = some(0, cut, scene.rows), tail = some(cut, scene.count - cut, &scene);
        const float *q = scene.q + h * scene.d;
        k->scores[scene.type](scene.d, &head, q, 1, got + h * STRIDE, STRIDE);
        k->scores[scene.type](scene.d, &tail, q, 1, got + h * STRIDE + cut, STRIDE);
    }
    same("scores in parts", k, got, expected, MOST_QUERIES * STRIDE);
    struct kv_rows plain = {scene.plain, scene.d * sizeof(float), scene.count, NULL};
    k->scores[ELEM_F32](scene.d, &plain, scene.q, scene.n_q, got, STRIDE);
    same("scores of floats", k, got, expected, MOST_QUERIES * STRIDE);
}

static void check_cut_mix(const struct kernels *k) {
    size_t cut = scene.count / 3, n = scene.n_q * scene.d;
    memset(got, 0, sizeof got), memset(expected, 0, sizeof expected);
    k->mix[scene.type](scene.d, &scene.kv, scene.weights, STRIDE, scene.n_q, expected);
    for (size_t h = 0; h < scene.n_q; h++) {
        struct kv_rows head = some(0, cut, scene.rows), tail = some(cut, scene.count - cut, &scene);
        const float *weights = scene.weights + h * STRIDE;
        k->mix[scene.type](scene.d, &head, weights, STRIDE, 1, got + h * scene.d);
        k->mix[scene.type](scene.d, &tail, weights + cut, STRIDE, 1, got + h * scene.d);
    }
    same("mix in parts", k, got, expected, n);
    struct kv_rows plain = {scene.plain, scene.d * sizeof(float), scene.count, NULL};
    memset(got, 0, sizeof got);
    k->mix[ELEM_F32](scene.d, &plain, scene.weights, STRIDE, scene.n_q, got);
    same("mix of floats", k, got, expected, n);
}

static void check_cuts(const struct kernels *k) {
    check_cut_scores(k);
    check_cut_mix(k);
}

static void cutting_changes_no_bit(void **state) {
    (void)state;
    each_scene(check_cuts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_match),
        cmocka_unit_test(weighted_sums_match),
        cmocka_unit_test(cutting_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
