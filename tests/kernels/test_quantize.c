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
    if (!quantize_supported(g->type)) return;
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_source_is_quantised_as_well_as_by_the_reference),
    };
    return cmocka_run_group_tests_name("kernels/quantize", tests, load, unload);
}
