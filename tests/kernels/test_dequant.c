#include "quants_golden.h"

#include "kernels/kernels.h"

static void compare_bits(const struct golden *g, const float *out, size_t first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t got, expected;
        memcpy(&got, out + i, sizeof got);
        memcpy(&expected, g->floats + (first + i) * sizeof(float), sizeof expected);
        if (got != expected)
            fail_msg("%s: value %zu is %a (bits %08x), expected bits %08x", g->name, first + i,
                     (double)out[i], got, expected);
    }
}

static void dequantizes_exactly(const struct golden *g) {
    const struct kernels *k = kernels_for(CPU_SCALAR);
    static float out[GOLDEN_VALUES];
    assert_non_null(k->dequantize[g->type]);
    k->dequantize[g->type](g->blocks, out, GOLDEN_VALUES);
    compare_bits(g, out, 0, GOLDEN_VALUES);
}

static void golden_blocks_give_the_same_bits(void **state) {
    (void)state;
    assert_true(golden_for_each(dequantizes_exactly) >= 40);
}

/* One block at a time, at an odd address, with a guard behind the output. */
static void dequantizes_lone_blocks(const struct golden *g) {
    const struct kernels *k = kernels_for(CPU_SCALAR);
    const struct elem_info *info = &elem_table[g->type];
    if (info->block_values == 1) return;
    static char shifted[512];
    static float out[256 + 1];
    for (size_t first = 0; first < GOLDEN_VALUES; first += info->block_values) {
        memcpy(shifted + 1, g->blocks + first / info->block_values * info->block_bytes,
               info->block_bytes);
        out[info->block_values] = 12345.0f;
        k->dequantize[g->type](shifted + 1, out, info->block_values);
        compare_bits(g, out, first, info->block_values);
        assert_true(out[info->block_values] == 12345.0f);
    }
}

static void blocks_may_sit_at_odd_addresses(void **state) {
    (void)state;
    golden_for_each(dequantizes_lone_blocks);
}

static void every_block_type_has_a_dequantizer(void **state) {
    (void)state;
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        if (elem_known(type) && elem_table[type].block_values > 1)
            assert_non_null(kernels_for(CPU_SCALAR)->dequantize[type]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_blocks_give_the_same_bits),
        cmocka_unit_test(blocks_may_sit_at_odd_addresses),
        cmocka_unit_test(every_block_type_has_a_dequantizer),
    };
    return cmocka_run_group_tests_name("kernels/dequant", tests, NULL, NULL);
}
