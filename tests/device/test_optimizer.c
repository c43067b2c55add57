/* What the device does for an optimiser: norms, steps in both formats, clearing. */
#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "device/optimizer_step.h"

enum { N_TENSORS = 3 };
static const uint64_t sizes[N_TENSORS] = {7, 70001, 200000};

static struct device *open_device(unsigned n_threads) {
    struct device *device;
    struct device_options options = {.n_threads = n_threads, .max_tokens = 1};
    assert_int_equal(device_open_cpu(&device, &options, NULL), HEARTH_OK);
    return device;
}

static device_buffer random_buffer(struct device *device, struct rng *rng, uint64_t n) {
    device_buffer buffer;
    assert_int_equal(device_alloc(device, n * sizeof(float), &buffer, NULL), HEARTH_OK);
    for (uint64_t i = 0; i < n; i++) {
        float x = rng_normal(rng);
        device_write(device, buffer, i * sizeof x, &x, sizeof x, NULL);
    }
    return buffer;
}

static void make_tensors(struct device *device, enum moment_format format,
                         struct trained_tensor tensors[N_TENSORS]) {
    struct rng rng;
    rng_seed(&rng, 5);
    for (int i = 0; i < N_TENSORS; i++) {
        struct trained_tensor *t = &tensors[i];
        *t = (struct trained_tensor){.n = sizes[i], .decay = i != 0};
        t->value = random_buffer(device, &rng, t->n);
        t->gradient = random_buffer(device, &rng, t->n);
        uint64_t bytes = moment_bytes(format, t->n);
        assert_int_equal(device_alloc(device, bytes, &t->m, NULL), HEARTH_OK);
        assert_int_equal(device_alloc(device, bytes, &t->v, NULL), HEARTH_OK);
    }
}

static float *read_values(struct device *device, device_buffer buffer, uint64_t n) {
    float *values = mem_calloc((size_t)n, sizeof *values);
    assert_non_null(values);
    assert_int_equal(device_read(device, buffer, 0, values, n * sizeof *values, NULL), HEARTH_OK);
    return values;
}

static void the_norm_is_that_of_all_gradients(void **state) {
    (void)state;
    double norms[2];
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct device *device = open_device(threads);
        struct trained_tensor tensors[N_TENSORS];
        make_tensors(device, MOMENTS_F32, tensors);
        double exact = 0;
        for (int i = 0; i < N_TENSORS; i++) {
            float *g = read_values(device, tensors[i].gradient, sizes[i]);
            for (uint64_t j = 0; j < sizes[i]; j++)
                exact += (double)g[j] * (double)g[j];
            mem_free(g);
        }
        assert_int_equal(
            device_gradient_norm(device, tensors, N_TENSORS, &norms[threads - 1], NULL), HEARTH_OK);
        assert_true(fabs(norms[threads - 1] - sqrt(exact)) <= 1e-6 * sqrt(exact));
        device_close(device);
    }
    assert_memory_equal(&norms[0], &norms[1], sizeof norms[0]);
}

static struct adamw step_number(int t) {
    return (struct adamw){.rate = 0.01f,
                          .beta1 = 0.9f,
                          .beta2 = 0.99f,
                          .epsilon = 1e-8f,
                          .decay = 1e-3f,
                          .correction1 = 1 / (1 - powf(0.9f, (float)t)),
                          .correction2 = 1 / (1 - powf(0.99f, (float)t)),
                          .gradient_scale = 1};
}

static void threads_change_no_bit(void **state) {
    (void)state;
    for (int format = MOMENTS_F32; format <= MOMENTS_8BIT; format++) {
        float *values[2][N_TENSORS];
        for (unsigned threads = 0; threads < 2; threads++) {
            struct device *device = open_device(1 + 2 * threads);
            struct trained_tensor tensors[N_TENSORS];
            make_tensors(device, (enum moment_format)format, tensors);
            for (int t = 1; t <= 3; t++) {
                struct adamw step = step_number(t);
                device_adamw(device, tensors, N_TENSORS, (enum moment_format)format, &step, false);
            }
            for (int i = 0; i < N_TENSORS; i++)
                values[threads][i] = read_values(device, tensors[i].value, sizes[i]);
            device_close(device);
        }
        for (int i = 0; i < N_TENSORS; i++) {
            assert_memory_equal(values[0][i], values[1][i], sizes[i] * sizeof(float));
            mem_free(values[0][i]);
            mem_free(values[1][i]);
        }
    }
}

/* Minimises |w - target|^2 / 2, whose gradient is w - target; returns the root mean square
 * of what is left. */
static double minimise(enum moment_format format) {
    struct device *device = open_device(2);
    struct trained_tensor tensors[N_TENSORS];
    make_tensors(device, format, tensors);
    struct trained_tensor *t = &tensors[1];
    float *target = read_values(device, t->gradient, t->n);
    double left = 0;
    for (int step = 1; step <= 400; step++) {
        float *w = read_values(device, t->value, t->n);
        left = 0;
        for (uint64_t i = 0; i < t->n; i++) {
            w[i] -= target[i];
            left += (double)w[i] * (double)w[i];
        }
        device_write(device, t->gradient, 0, w, t->n * sizeof *w, NULL);
        mem_free(w);
        struct adamw a = step_number(step);
        a.decay = 0;
        a.rate = 0.02f;
        device_adamw(device, t, 1, format, &a, false);
    }
    mem_free(target);
    left = sqrt(left / (double)t->n);
    device_close(device);
    return left;
}

static void both_formats_find_the_minimum(void **state) {
    (void)state;
    assert_true(minimise(MOMENTS_F32) < 0.02);
    assert_true(minimise(MOMENTS_8BIT) < 0.05);
}

static void weight_decay_is_for_tensors_that_have_it(void **state) {
    (void)state;
    struct device *device = open_device(1);
    struct trained_tensor tensors[N_TENSORS];
    make_tensors(device, MOMENTS_F32, tensors);
    device_clear_gradients(device, tensors, N_TENSORS);
    for (int i = 0; i < 2; i++) {
        float *before = read_values(device, tensors[i].value, sizes[i]);
        struct adamw step = step_number(1);
        device_adamw(device, &tensors[i], 1, MOMENTS_F32, &step, true);
        float *after = read_values(device, tensors[i].value, sizes[i]);
        for (uint64_t j = 0; j < sizes[i]; j++) {
            float expected = tensors[i].decay ? before[j] - step.decay * before[j] : before[j];
            assert_memory_equal(&after[j], &expected, sizeof expected);
        }
        mem_free(before);
        mem_free(after);
    }
    device_close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_norm_is_that_of_all_gradients),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(both_formats_find_the_minimum),
        cmocka_unit_test(weight_decay_is_for_tensors_that_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
