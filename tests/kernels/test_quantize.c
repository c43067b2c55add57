#include "quants_golden.h"

#include <math.h>

#include "base/rng.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

static float *source, *importance;

static int load(void **state) {
    (void)state;
    size_t size;
    source = golden_file("source", "f32", &size);
    assert_int_equal(size, GOLDEN_VALUES * sizeof(float));
    importance = golden_file("importance", "f32", &size);
    assert_int_equal(size, GOLDEN_COLS * sizeof(float));
    return 0;
}

static int unload(void **state) {
    (void)state;
    mem_free(source);
    mem_free(importance);
    return 0;
}

static double error_of(const float *x, bool weighted) {
    double sum = 0;
    for (size_t i = 0; i < GOLDEN_VALUES; i++) {
        double miss = (double)x[i] - (double)source[i];
        sum += miss * miss * (weighted ? (double)importance[i % GOLDEN_COLS] : 1);
    }
    return sqrt(sum);
}

static void requantize(const struct golden *g, void *blocks, float *floats) {
    hearth_error err = {0};
    hearth_status status = quantize_rows(g->type, source, blocks, GOLDEN_ROWS, GOLDEN_COLS,
                                         g->importance ? importance : NULL, &err);
    if (status != HEARTH_OK) fail_msg("%s: %s", g->name, err.message);
    kernels_for(CPU_SCALAR)->dequantize[g->type](blocks, floats, GOLDEN_VALUES);
}

static bool same_bits_expected(const struct golden *g) {
    switch (g->type) {
    case ELEM_F16:
    case ELEM_BF16:
    case ELEM_Q4_0:
    case ELEM_Q4_1:
    case ELEM_Q5_0:
    case ELEM_Q5_1:
    case ELEM_Q8_0:
    case ELEM_MXFP4: return !g->importance;
    default: return false;
    }
}

static void is_as_good_as_the_reference(const struct golden *g) {
    static char blocks[GOLDEN_VALUES * sizeof(float)];
    static float floats[GOLDEN_VALUES], expected[GOLDEN_VALUES];
    assert_true(quantize_supported(g->type));
    requantize(g, blocks, floats);
    if (same_bits_expected(g)) assert_memory_equal(blocks, g->blocks, g->blocks_bytes);
    memcpy(expected, g->floats, sizeof expected);
    double plain = error_of(floats, false) / error_of(expected, false);
    double weighted = error_of(floats, true) / error_of(expected, true);
    print_message("%-13s error / reference: %.4f, by importance %.4f\n", g->name, plain, weighted);
    assert_true((g->importance ? weighted : plain) <= 1.02);
}

static void golden_source_is_quantised_as_well_as_by_the_reference(void **state) {
    (void)state;
    assert_true(golden_for_each(is_as_good_as_the_reference) >= 40);
}

/* Formats whose scale is fixed by the largest value, or found again by least squares:
 * what they hold they can write again. */
static bool returns_what_it_holds(enum elem type) {
    switch (type) {
    case ELEM_Q4_0:
    case ELEM_Q5_0:
    case ELEM_Q8_0:
    case ELEM_Q1_0:
    case ELEM_TQ1_0:
    case ELEM_TQ2_0:
    case ELEM_MXFP4: return true;
    default: return elem_table[type].block_values == 1;
    }
}

static void comes_back(const struct golden *g) {
    static char blocks[GOLDEN_VALUES * sizeof(float)];
    static float floats[GOLDEN_VALUES], again[GOLDEN_VALUES];
    if (g->importance || !returns_what_it_holds(g->type)) return;
    memcpy(floats, g->floats, sizeof floats);
    assert_int_equal(quantize_rows(g->type, floats, blocks, GOLDEN_ROWS, GOLDEN_COLS, NULL, NULL),
                     HEARTH_OK);
    kernels_for(CPU_SCALAR)->dequantize[g->type](blocks, again, GOLDEN_VALUES);
    for (size_t i = 0; i < GOLDEN_VALUES; i++)
        if (again[i] != floats[i])
            fail_msg("%s: value %zu was %g, came back as %g", g->name, i, (double)floats[i],
                     (double)again[i]);
}

static void dequantised_values_survive_another_round(void **state) {
    (void)state;
    golden_for_each(comes_back);
}

/* ---- odd inputs, every type ---------------------------------------------------------- */

enum { COLS = 512 };

/* Quantises one row; returns error power over signal power, or over 1e-60 for a zero
 * signal. Every result must be finite. */
static double power_ratio(enum elem type, const float *x, const float *weights) {
    static char blocks[COLS * sizeof(float)];
    static float out[COLS];
    hearth_error err = {0};
    memset(blocks, 0xa5, sizeof blocks); /* every byte must be written */
    if (quantize_rows(type, x, blocks, 1, COLS, weights, &err) != HEARTH_OK)
        fail_msg("%s: %s", elem_name(type), err.message);
    kernels_for(CPU_SCALAR)->dequantize[type](blocks, out, COLS);
    double miss = 0, power = 1e-60;
    for (int i = 0; i < COLS; i++) {
        if (!isfinite(out[i])) fail_msg("%s: value %d is not finite", elem_name(type), i);
        miss += ((double)out[i] - (double)x[i]) * ((double)out[i] - (double)x[i]);
        power += (double)x[i] * (double)x[i];
    }
    return miss / power;
}

static void for_each_type(void (*check)(enum elem type)) {
    unsigned n_types = 0;
    for (unsigned type = 0; type < ELEM_TYPES; type++) {
        if (!quantize_supported((enum elem)type)) continue;
        check((enum elem)type);
        n_types++;
    }
    assert_int_equal(n_types, 28);
}

static void zeros_stay_zero(enum elem type) {
    static const float zeros[COLS], weights[COLS] = {1, 0, 3};
    assert_true(power_ratio(type, zeros, NULL) == 0);
    assert_true(power_ratio(type, zeros, weights) == 0);
}

static void constants_stay_near(enum elem type) {
    static const float values[] = {1, -1, 0.3f, -0.017f, 60000, -65504};
    float x[COLS];
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
        /* Four exponent bits of UE4M3 end at 448 * 6. */
        if (type == ELEM_NVFP4 && fabsf(values[k]) > 448 * 6) continue;
        for (int i = 0; i < COLS; i++)
            x[i] = values[k];
        /* A power of two as the scale can miss the largest values by a quarter. */
        if (power_ratio(type, x, NULL) > (type == ELEM_MXFP4 ? 0.065 : 0.035))
            fail_msg("%s: constant %g", elem_name(type), (double)values[k]);
    }
}

static void wild_ranges_do_no_harm(enum elem type) {
    struct rng rng;
    rng_seed(&rng, 11);
    float x[COLS], weights[COLS];
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < COLS; i++) {
            x[i] = ldexpf(rng_normal(&rng), (int)(rng_uniform(&rng) * 150) - 140);
            x[i] = fmaxf(-QUANTIZE_LARGEST, fminf(QUANTIZE_LARGEST, x[i]));
            weights[i] =
                rng_uniform(&rng) < 0.5 ? 0 : ldexpf(1, (int)(rng_uniform(&rng) * 250) - 125);
        }
        assert_true(power_ratio(type, x, NULL) < 1);
        power_ratio(type, x, weights);
    }
}

/* No value is worth a scale of half precision: zeros, not noise. */
static void tiny_values_vanish(enum elem type) {
    float x[COLS];
    for (int i = 0; i < COLS; i++)
        x[i] = i % 2 ? 1e-30f : -1e-39f;
    assert_true(power_ratio(type, x, NULL) <= 1.01);
}

static void one_large_value_among_zeros_is_kept(enum elem type) {
    float x[COLS] = {0};
    x[37] = -2.5f;
    /* The others have no level near zero beside the large one. */
    bool has_zero = type != ELEM_Q1_0 && type != ELEM_IQ2_XXS && type != ELEM_IQ2_XS &&
                    type != ELEM_IQ2_S && type != ELEM_IQ1_S && type != ELEM_IQ1_M;
    double limit = has_zero ? 0.2 : 1;
    if (!(power_ratio(type, x, NULL) < limit))
        fail_msg("%s: error %g", elem_name(type), power_ratio(type, x, NULL));
}

static void weights_of_zero_count_as_absent(enum elem type) {
    static const float none[COLS];
    char with[COLS * sizeof(float)], without[COLS * sizeof(float)];
    if (type == ELEM_Q4_0 || type == ELEM_Q4_1 || type == ELEM_Q5_0 || type == ELEM_Q5_1 ||
        type == ELEM_MXFP4 || type == ELEM_TQ1_0 || type == ELEM_TQ2_0 || type == ELEM_Q2_0)
        return; /* importance switches these from the fixed rule to the search */
    assert_int_equal(quantize_rows(type, source, with, 1, COLS, none, NULL), HEARTH_OK);
    assert_int_equal(quantize_rows(type, source, without, 1, COLS, NULL, NULL), HEARTH_OK);
    assert_memory_equal(with, without, elem_row_bytes(type, COLS));
}

static void rows_do_not_depend_on_each_other(enum elem type) {
    static char together[GOLDEN_VALUES * sizeof(float)], alone[GOLDEN_VALUES * sizeof(float)];
    size_t row_bytes = elem_row_bytes(type, GOLDEN_COLS);
    assert_int_equal(
        quantize_rows(type, source, together, GOLDEN_ROWS, GOLDEN_COLS, importance, NULL),
        HEARTH_OK);
    for (size_t row = GOLDEN_ROWS; row-- > 0;)
        assert_int_equal(quantize_rows(type, source + row * GOLDEN_COLS, alone + row * row_bytes, 1,
                                       GOLDEN_COLS, importance, NULL),
                         HEARTH_OK);
    assert_memory_equal(together, alone, GOLDEN_ROWS * row_bytes);
}

static void values_that_do_not_fit_are_refused(enum elem type) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 65536, -1e30f};
    static char blocks[2 * COLS * sizeof(float)];
    static float x[2 * COLS];
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        hearth_error err = {0};
        memset(x, 0, sizeof x);
        x[COLS + 300] = bad[k];
        hearth_status status = quantize_rows(type, x, blocks, 2, COLS, NULL, &err);
        if (elem_table[type].block_values == 1) {
            assert_int_equal(status, HEARTH_OK);
            continue;
        }
        assert_int_equal(status, HEARTH_ERROR_FORMAT);
        assert_non_null(strstr(err.message, "row 1, column 300"));
        assert_non_null(strstr(err.message, elem_name(type)));
    }
}

#define EVERY_TYPE(check)                                                                          \
    static void every_type_##check(void **state) {                                                 \
        (void)state;                                                                               \
        for_each_type(check);                                                                      \
    }

EVERY_TYPE(zeros_stay_zero)
EVERY_TYPE(constants_stay_near)
EVERY_TYPE(wild_ranges_do_no_harm)
EVERY_TYPE(tiny_values_vanish)
EVERY_TYPE(one_large_value_among_zeros_is_kept)
EVERY_TYPE(weights_of_zero_count_as_absent)
EVERY_TYPE(rows_do_not_depend_on_each_other)
EVERY_TYPE(values_that_do_not_fit_are_refused)

static void impossible_requests_are_refused(void **state) {
    (void)state;
    static char blocks[4096];
    static float weights[COLS];
    hearth_error err = {0};
    assert_int_equal(quantize_rows(ELEM_I32, source, blocks, 1, 256, NULL, &err),
                     HEARTH_ERROR_UNSUPPORTED);
    assert_int_equal(quantize_rows(ELEM_Q4_K, source, blocks, 1, 32, NULL, &err),
                     HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "256"));
    weights[7] = NAN;
    assert_int_equal(quantize_rows(ELEM_Q4_K, source, blocks, 1, 256, weights, &err),
                     HEARTH_ERROR_ARGUMENT);
    weights[7] = -1;
    assert_int_equal(quantize_rows(ELEM_Q4_K, source, blocks, 1, 256, weights, NULL),
                     HEARTH_ERROR_ARGUMENT);
    assert_true(quantize_needs_importance(ELEM_IQ2_XXS));
    assert_false(quantize_needs_importance(ELEM_Q4_K));
    assert_false(quantize_supported(ELEM_I8));
    assert_false(quantize_supported((enum elem)5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_source_is_quantised_as_well_as_by_the_reference),
        cmocka_unit_test(dequantised_values_survive_another_round),
        cmocka_unit_test(every_type_zeros_stay_zero),
        cmocka_unit_test(every_type_constants_stay_near),
        cmocka_unit_test(every_type_wild_ranges_do_no_harm),
        cmocka_unit_test(every_type_tiny_values_vanish),
        cmocka_unit_test(every_type_one_large_value_among_zeros_is_kept),
        cmocka_unit_test(every_type_weights_of_zero_count_as_absent),
        cmocka_unit_test(every_type_rows_do_not_depend_on_each_other),
        cmocka_unit_test(every_type_values_that_do_not_fit_are_refused),
        cmocka_unit_test(impossible_requests_are_refused),
    };
    return cmocka_run_group_tests_name("kernels/quantize", tests, load, unload);
}
