#include "testdata.h"

#include <math.h>
#include <string.h>

#include "kernels/elem.h"

static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The value of a half by its definition: IEEE 754-2019, section 3.4. */
static double half_value(uint32_t h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -magnitude : magnitude;
}

static bool half_is_nan(uint32_t h) {
    return (h & 0x7fff) > 0x7c00;
}

static void every_half_has_its_value_and_comes_back(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h);
        if (half_is_nan(h)) {
            assert_true(isnan(f) && isnan(f16_to_f32(f32_to_f16(f))));
            continue;
        }
        if ((h & 0x7fff) == 0x7c00)
            assert_true(isinf(f));
        else
            assert_true((double)f == half_value(h));
        assert_int_equal(signbit(f) != 0, h >> 15);
        assert_int_equal(f32_to_f16(f), h);
    }
}

/* Between every two neighbouring halves: just below, at and just above the middle. */
static void rounding_to_half_is_nearest_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float low = f16_to_f32((uint16_t)h), high = f16_to_f32((uint16_t)(h + 1));
        float middle = (low + high) / 2; /* exact: one more bit than a half has */
        assert_int_equal(f32_to_f16(middle), h % 2 ? h + 1 : h);
        assert_int_equal(f32_to_f16(nextafterf(middle, 0)), h);
        assert_int_equal(f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(f32_to_f16(-middle), 0x8000u | (h % 2 ? h + 1 : h));
    }
    assert_int_equal(f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(f32_to_f16(1e-30f), 0);
    assert_int_equal(f32_to_f16(-0.0f), 0x8000);
}

static void every_bfloat16_comes_back_and_rounds_to_nearest_even(void **state) {
    (void)state;
    for (uint32_t b = 0; b < 65536; b++) {
        float f = bf16_to_f32((uint16_t)b);
        assert_int_equal(bits_of(f), b << 16);
        bool infinite_or_nan = (b & 0x7f80) == 0x7f80;
        if ((b & 0x7fff) > 0x7f80) {
            assert_true(isnan(bf16_to_f32(f32_to_bf16(f))));
            continue;
        }
        assert_int_equal(f32_to_bf16(f), b);
        if (infinite_or_nan) continue;
        assert_int_equal(f32_to_bf16(float_of(b << 16 | 0x7fff)), b);
        assert_int_equal(f32_to_bf16(float_of(b << 16 | 0x8000)), b % 2 ? b + 1 : b);
        assert_int_equal(f32_to_bf16(float_of(b << 16 | 0x8001)), b + 1);
    }
    assert_true(isnan(bf16_to_f32(f32_to_bf16(float_of(0x7f800001)))));
}

static void names_lead_back_to_types(void **state) {
    (void)state;
    for (unsigned type = 0; type < ELEM_TYPES; type++)
        if (elem_known(type)) assert_int_equal(elem_by_name(elem_name((enum elem)type)), type);
    assert_int_equal(elem_by_name("Q4_k"), ELEM_Q4_K);
    assert_int_equal(elem_by_name("q4"), ELEM_TYPES);
    assert_false(elem_known(4));
    assert_false(elem_known(UINT32_MAX));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_has_its_value_and_comes_back),
        cmocka_unit_test(rounding_to_half_is_nearest_even),
        cmocka_unit_test(every_bfloat16_comes_back_and_rounds_to_nearest_even),
        cmocka_unit_test(names_lead_back_to_types),
    };
    return cmocka_run_group_tests_name("kernels/elem", tests, NULL, NULL);
}
