/* AdamW's step at every level against its formula, and its moments in 8 bits. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "kernels/kernels.h"

enum { MOST = 70 };

struct values {
    float w[MOST + 1], g[MOST + 1], m[MOST + 1], v[MOST + 1];
};

static void random_values(struct values *x, uint64_t seed) {
    struct rng rng;
    rng_seed(&rng, seed);
    for (int i = 0; i <= MOST; i++) {
        x->w[i] = rng_normal(&rng);
        x->g[i] = 0.1f * rng_normal(&rng);
        x->m[i] = 0.01f * rng_normal(&rng);
        x->v[i] = 1e-4f * (float)rng_uniform(&rng);
    }
}

static const struct adamw settings = {.rate = 1e-3f,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.999f,
                                      .epsilon = 1e-8f,
                                      .decay = 1e-5f,
                                      .correction1 = 2.4f,
                                      .correction2 = 300,
                                      .gradient_scale = 0.25f};

static void the_step_follows_the_paper(void **state) {
    struct values x, before;
    (void)state;
    random_values(&before, 1);
    x = before;
    kernels_for(CPU_SCALAR)->adamw(&settings, x.w, x.g, x.m, x.v, MOST);
    for (int i = 0; i < MOST; i++) {
        double g = 0.25 * (double)before.g[i];
        double m = 0.9 * (double)before.m[i] + 0.1 * g;
        double v = 0.999 * (double)before.v[i] + 0.001 * g * g;
        double w = (double)before.w[i] * (1 - 1e-5) - 1e-3 * (m * 2.4) / (sqrt(v * 300) + 1e-8);
        assert_true(fabs((double)x.m[i] - m) <= 1e-8);
        assert_true(fabs((double)x.v[i] - v) <= 1e-9);
        assert_true(fabs((double)x.w[i] - w) <= 1e-6);
    }
}

static void levels_give_the_same_bits_for_every_length(void **state) {
    (void)state;
    for (int level = CPU_SCALAR; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        for (size_t n = 0; n <= MOST; n++) {
            struct values expected, got;
            random_values(&expected, n);
            got = expected;
            kernels_for(CPU_SCALAR)
                ->adamw(&settings, expected.w, expected.g, expected.m, expected.v, n);
            kernels_for((enum cpu_level)level)->adamw(&settings, got.w, got.g, got.m, got.v, n);
            if (memcmp(&expected, &got, sizeof got) != 0)
                fail_msg("level %s differs from scalar for %zu values",
                         cpu_level_name((enum cpu_level)level), n);
        }
    }
}

static void first_moments_keep_their_digits_in_8_bits(void **state) {
    float m[MOMENT8_VALUES], back[MOMENT8_VALUES];
    struct moment8 block, again;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 3);
    for (size_t n = 1; n <= MOMENT8_VALUES; n += 17) {
        float most = 0;
        for (size_t i = 0; i < n; i++) {
            m[i] = rng_normal(&rng) * powf(10, -4 * (float)rng_uniform(&rng));
            most = fmaxf(most, fabsf(m[i]));
        }
        moment8_put_signed(m, n, &block);
        moment8_get_signed(&block, back, n);
        for (size_t i = 0; i < n; i++) {
            double error = fabs((double)back[i] - (double)m[i]);
            assert_true(error <= 0.0625 * fabs((double)m[i]) + ldexp((double)most, -15));
        }
        moment8_put_signed(back, n, &again); /* what was rounded once stays */
        assert_memory_equal(block.codes, again.codes, sizeof block.codes);
    }
}

static void second_moments_keep_their_digits_and_never_vanish(void **state) {
    float v[MOMENT8_VALUES], back[MOMENT8_VALUES];
    struct moment8 block;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 4);
    for (int i = 0; i < MOMENT8_VALUES; i++)
        v[i] = i % 9 == 0 ? 0 : powf(10, -12 * (float)rng_uniform(&rng));
    moment8_put_root(v, MOMENT8_VALUES, &block);
    moment8_get_root(&block, back, MOMENT8_VALUES);
    for (int i = 0; i < MOMENT8_VALUES; i++) {
        double root = sqrt((double)v[i]), got = sqrt((double)back[i]);
        assert_true((v[i] == 0) == (back[i] == 0)); /* NOLINT: exactly zero */
        assert_true(fabs(got - root) <= 0.032 * root + ldexp(1, -15));
    }
}

static void blocks_of_zeros_stay_zeros(void **state) {
    float zeros[5] = {0}, back[5];
    struct moment8 block;
    (void)state;
    moment8_put_signed(zeros, 5, &block);
    moment8_get_signed(&block, back, 5);
    assert_memory_equal(zeros, back, sizeof zeros);
    moment8_put_root(zeros, 5, &block);
    moment8_get_root(&block, back, 5);
    assert_memory_equal(zeros, back, sizeof zeros);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_step_follows_the_paper),
        cmocka_unit_test(levels_give_the_same_bits_for_every_length),
        cmocka_unit_test(first_moments_keep_their_digits_in_8_bits),
        cmocka_unit_test(second_moments_keep_their_digits_and_never_vanish),
        cmocka_unit_test(blocks_of_zeros_stay_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
