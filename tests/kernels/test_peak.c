/* The loops that measure arithmetic do all the products that they are credited with. */
#include "testdata.h"

#include "kernels/peak.h"

static void every_product_is_done(void **state) {
    static const uint64_t rounds[] = {0, 1, 2, 1000};
    (void)state;
    for (int level = 0; level < CPU_LEVELS; level++)
        for (int kind = 0; kind < PEAK_KINDS; kind++) {
            if (!cpu_has((enum cpu_level)level)) continue;
            struct peak_loop loop = peak_loop((enum cpu_level)level, (enum peak_kind)kind);
            for (size_t i = 0; loop.run && i < 4; i++)
                assert_float_equal(loop.run(rounds[i]), (double)(rounds[i] * loop.products), 0);
        }
}

static void every_level_has_floats_and_bytes(void **state) {
    (void)state;
    for (int level = 0; level < CPU_LEVELS; level++) {
        if (!cpu_has((enum cpu_level)level)) continue;
        assert_non_null(peak_loop((enum cpu_level)level, PEAK_F32).run);
        assert_non_null(peak_loop((enum cpu_level)level, PEAK_INT8).run);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_product_is_done),
        cmocka_unit_test(every_level_has_floats_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
