/* The activation functions of every level this processor has, scalar included, against
 * their definitions in double precision. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

enum { STEPS = 4001, MOST = 70 };

static double sigmoid_of(double x) {
    return 1 / (1 + exp(-x));
}

static double silu_of(double x) {
    return x * sigmoid_of(x);
}

static double gelu_of(double x) {
    return x * sigmoid_of(2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x));
}

static double gelu_erf_of(double x) {
    return 0.5 * x * erfc(-x / sqrt(2));
}

static double softplus_of(double x) {
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static double swiglu_of(double gate, double up) {
    double g = fmin(gate, 7);
    return g * sigmoid_of((double)SWIGLU_ALPHA * g) * (fmax(-7, fmin(up, 7)) + 1);
}

/* Values that e^x overflows or underflows for are only near. */
static void expect_near(const char *name, const struct kernels *k, float x, float got, double exact,
                        double tolerance) {
    if (!(fabs((double)got - exact) <= tolerance + 1e-36))
        fail_msg("%s(%.9g) at level %s is %.9g, should be %.9g +- %.1g", name, (double)x,
                 cpu_level_name(k->level), (double)got, exact, tolerance);
}

/* Values of all sizes: cubes of evenly spaced ones, up to 100 on both sides. */
static float value_at(int i) {
    return 100.0f * powf((float)(i - STEPS / 2) / (float)(STEPS / 2), 3);
}

struct activation {
    const char *name;
    double (*exact)(double x);
    double relative, absolute; /* error against the value, against |x| */
    void (*apply)(float *y, const float *x, size_t n);
    void (*apply_mul)(float *y, const float *gate, const float *up, size_t n);
};

enum { N_ACTIVATIONS = 5 };

/* The scalar forms of GELU lose digits in 1 + tanh and 1 + erf for negative x. */
static void list_activations(const struct kernels *k, struct activation list[N_ACTIVATIONS]) {
    const struct activation all[N_ACTIVATIONS] = {
        {"silu", silu_of, 5e-7, 0, k->silu, k->silu_mul},
        {"gelu", gelu_of, 0, 3e-7, k->gelu, k->gelu_mul},
        {"gelu_erf", gelu_erf_of, 0, 3e-7, k->gelu_erf, k->gelu_erf_mul},
        {"sigmoid", sigmoid_of, 3e-7, 0, k->sigmoid, k->sigmoid_mul},
        {"softplus", softplus_of, 3e-7, 0, k->softplus, NULL},
    };
    memcpy(list, all, sizeof all);
}

static void check_values(const struct kernels *k, const struct activation *a) {
    static float x[STEPS], y[STEPS], up[STEPS];
    for (int i = 0; i < STEPS; i++) {
        x[i] = y[i] = value_at(i);
        up[i] = 1.5f - (float)(i % 7);
    }
    a->apply(y, y, STEPS);
    for (int i = 0; i < STEPS; i++) {
        double exact = a->exact((double)x[i]);
        double tolerance = a->relative * fabs(exact) + a->absolute * fabs((double)x[i]);
        expect_near(a->name, k, x[i], y[i], exact, tolerance);
    }
    if (!a->apply_mul) return;
    memcpy(y, up, sizeof y);
    a->apply_mul(y, x, y, STEPS);
    for (int i = 0; i < STEPS; i++) {
        double factor = (double)up[i], exact = a->exact((double)x[i]);
        double tolerance = a->relative * fabs(exact) + a->absolute * fabs((double)x[i]);
        tolerance += 1e-7 * fabs(exact);
        expect_near(a->name, k, x[i], y[i], exact * factor, tolerance * fabs(factor));
    }
}

/* Calls check for every level that runs here and every function. */
static void each_activation(void (*check)(const struct kernels *k, const struct activation *a)) {
    for (int level = CPU_SCALAR; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        struct activation list[N_ACTIVATIONS];
        const struct kernels *k = kernels_for((enum cpu_level)level);
        list_activations(k, list);
        for (int i = 0; i < N_ACTIVATIONS; i++)
            check(k, &list[i]);
    }
}

static void values_are_accurate(void **state) {
    (void)state;
    each_activation(check_values);
}

/* Vectors of every length give the same bits and touch nothing beside them. */
static void check_lengths(const struct kernels *k, const struct activation *a) {
    float x[MOST], whole[MOST], part[MOST + 1];
    for (int i = 0; i < MOST; i++)
        x[i] = value_at(1500 + 15 * i);
    a->apply(whole, x, MOST);
    for (size_t n = 0; n <= MOST; n++) {
        part[n] = 42;
        a->apply(part, x, n);
        if (memcmp(part, whole, n * sizeof *part) != 0 || part[n] != 42)
            fail_msg("%s at level %s differs in a vector of %zu", a->name, cpu_level_name(k->level),
                     n);
    }
}

static void lengths_change_no_bit(void **state) {
    (void)state;
    each_activation(check_lengths);
}

/* NaN stays, and infinity goes where the function goes. */
static void check_edges(const struct kernels *k, const struct activation *a) {
    float x[] = {NAN, INFINITY, 0, -0.0f, 1e-30f, -1e-30f, 1e30f}, y[7];
    a->apply(y, x, 7);
    assert_true(isnan(y[0]));
    for (int i = 1; i < 7; i++) {
        double exact = a->exact((double)x[i]);
        if (isinf(exact))
            assert_true(isinf(y[i]));
        else
            expect_near(a->name, k, x[i], y[i], exact, 3e-7 * fabs(exact));
    }
}

static void edges_are_right(void **state) {
    (void)state;
    each_activation(check_edges);
}

static void soft_caps_and_clamped_gates_are_accurate(void **state) {
    static float x[STEPS], up[STEPS], y[STEPS];
    (void)state;
    for (int level = CPU_SCALAR; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        const struct kernels *k = kernels_for((enum cpu_level)level);
        for (int i = 0; i < STEPS; i++) {
            x[i] = value_at(i);
            up[i] = value_at((i * 37) % STEPS) / 5;
        }
        k->softcap(y, x, 30, STEPS);
        for (int i = 0; i < STEPS; i++) {
            double exact = 30 * tanh((double)x[i] / 30);
            expect_near("softcap", k, x[i], y[i], exact, 4e-7 * fabs(exact));
        }
        k->swiglu_clamped(y, x, up, STEPS);
        for (int i = 0; i < STEPS; i++) {
            double exact = swiglu_of((double)x[i], (double)up[i]);
            /* Rounding the exponent costs as many last bits as it is large. */
            double exponent = fabs((double)SWIGLU_ALPHA * fmin((double)x[i], 7));
            double size = fabs(swiglu_of((double)x[i], 0)) + fabs(exact);
            expect_near("swiglu_clamped", k, x[i], y[i], exact, 2e-7 * (2 + exponent) * size);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_accurate),
        cmocka_unit_test(lengths_change_no_bit),
        cmocka_unit_test(edges_are_right),
        cmocka_unit_test(soft_caps_and_clamped_gates_are_accurate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
