#include "scratch.h"

#include <math.h>

#include "base/rng.h"
#include "format/fp8.h"

/* The value of a small float by the definition: sign, exponent field, fraction field. */
static double by_definition(unsigned bits, int exponent_bits, int fraction_bits, int bias) {
    int sign = (int)(bits >> (exponent_bits + fraction_bits)) & 1;
    int exponent = (int)(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    int fraction = (int)bits & ((1 << fraction_bits) - 1);
    double value = exponent == 0 ? fraction / pow(2, fraction_bits) * pow(2, 1 - bias)
                                 : (1 + fraction / pow(2, fraction_bits)) * pow(2, exponent - bias);
    return sign ? -value : value;
}

static void assert_same_float(float got, double expected) {
    assert_true((double)got == expected);
    assert_int_equal(signbit(got) != 0, signbit(expected) != 0);
}

static void every_e4m3_is_exact(void **state) {
    (void)state;
    for (unsigned x = 0; x < 256; x++) {
        float got = f8_e4m3_to_f32((uint8_t)x);
        if ((x & 0x7f) == 0x7f)
            assert_true(isnan(got));
        else
            assert_same_float(got, by_definition(x, 4, 3, 7));
    }
    assert_true(f8_e4m3_to_f32(0x7e) == 448.0f);
    assert_true(f8_e4m3_to_f32(0x38) == 1.0f);
    assert_true(f8_e4m3_to_f32(0x01) == 0x1p-9f);
    assert_true(f8_e4m3_to_f32(0x88) == -0x1p-6f);
}

static void every_e5m2_is_exact(void **state) {
    (void)state;
    for (unsigned x = 0; x < 256; x++) {
        float got = f8_e5m2_to_f32((uint8_t)x);
        if ((x & 0x7f) == 0x7c)
            assert_same_float(got, x & 0x80 ? -HUGE_VAL : HUGE_VAL);
        else if ((x & 0x7f) > 0x7c)
            assert_true(isnan(got));
        else
            assert_same_float(got, by_definition(x, 5, 2, 15));
    }
    assert_true(f8_e5m2_to_f32(0x7b) == 57344.0f);
    assert_true(f8_e5m2_to_f32(0x01) == 0x1p-16f);
}

static void every_e8m0_and_e2m1_is_exact(void **state) {
    static const float positive[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6}; /* OCP MX 1.0, table 5 */
    (void)state;
    for (unsigned x = 0; x < 255; x++)
        assert_same_float(f8_e8m0_to_f32((uint8_t)x), pow(2, (int)x - 127));
    assert_true(isnan(f8_e8m0_to_f32(255)));
    for (unsigned x = 0; x < 16; x++) {
        assert_same_float(f4_to_f32((uint8_t)x), by_definition(x, 2, 1, 1));
        assert_true(fabsf(f4_to_f32((uint8_t)x)) == positive[x & 7]);
    }
}

/* ---- scaled weights -------------------------------------------------------- */

enum { COLS = 300, ROWS = 200, MATRICES = 2, VALUES = COLS * ROWS * MATRICES };

static struct tensor tensors[2];
static struct directory two = {.tensors = tensors, .n_tensors = 2};
static uint8_t bytes[VALUES];
static float scales[VALUES];
static float expanded[VALUES];
static uint16_t halves[VALUES];

static void fill(void) {
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < VALUES; i++) {
        bytes[i] = (uint8_t)(rng_u64(&rng) % 256);
        if ((bytes[i] & 0x7c) == 0x7c) bytes[i] = 0x41; /* no NaN, no infinity */
        scales[i] = (float)(rng_u64(&rng) % 1000) / 64 + 0.25f;
    }
}

static void describe(struct tensor *t, const char *name, const void *data, enum elem type,
                     enum dtype dtype, unsigned n_dims, uint64_t d0, uint64_t d1, uint64_t d2) {
    *t = (struct tensor){.name = name,
                         .type = type,
                         .dtype = dtype,
                         .n_dims = n_dims,
                         .dims = {d0, d1, d2, 1},
                         .data = data};
    assert_ok(tensor_check_shape(t, NULL), NULL);
}

static hearth_status open_two(struct scaled_weight *s, hearth_error *err) {
    mem_free(two.index);
    assert_ok(directory_index(&two, NULL), NULL);
    return scaled_weight_open(s, &two, "w", 0, 0, err);
}

static size_t one(size_t e, size_t r, size_t c) {
    (void)e, (void)r, (void)c;
    return 0;
}
static size_t one_a_row(size_t e, size_t r, size_t c) {
    (void)c;
    return e * ROWS + r;
}
static size_t one_a_matrix(size_t e, size_t r, size_t c) {
    (void)r, (void)c;
    return e;
}
static size_t one_a_block(size_t e, size_t r, size_t c) {
    return e * 6 + r / 128 * 3 + c / 128;
}

static void check_expansion(const struct scaled_weight *s, size_t n_matrices,
                            size_t (*scale_of)(size_t, size_t, size_t)) {
    size_t n_rows = ROWS * n_matrices;
    assert_int_equal(s->n_cols, COLS);
    assert_int_equal(s->n_rows, n_rows);
    scaled_weight_f32(s, 0, 5, expanded);
    scaled_weight_f32(s, 5, n_rows - 5, expanded + 5 * COLS);
    scaled_weight_bf16(s, 0, n_rows, halves);
    for (size_t i = 0; i < n_rows * COLS; i++) {
        size_t e = i / COLS / ROWS, r = i / COLS % ROWS, c = i % COLS;
        float expected = f8_e4m3_to_f32(bytes[i]) * scales[scale_of(e, r, c)];
        assert_true(expanded[i] == expected);
        assert_int_equal(halves[i], f32_to_bf16(expected));
    }
}

static void every_layout_of_scales_is_understood(void **state) {
    static const struct {
        const char *name;
        size_t n_matrices;
        unsigned n_dims;
        uint64_t dims[3];
        size_t (*scale_of)(size_t, size_t, size_t);
    } layouts[] = {
        {"w_scale_inv", 1, 2, {3, 2, 1}, one_a_block},
        {"w_scale_inv", 2, 3, {3, 2, 2}, one_a_block},
        {"w_scale", 1, 0, {1, 1, 1}, one},
        {"w_scale", 1, 1, {1, 1, 1}, one},
        {"w_scale", 2, 1, {1, 1, 1}, one},
        {"w_scale", 1, 2, {1, ROWS, 1}, one_a_row},
        {"w_scale", 1, 1, {ROWS, 1, 1}, one_a_row},
        {"w_scale", 2, 3, {1, ROWS, 2}, one_a_row},
        {"w_scale", 2, 1, {2, 1, 1}, one_a_matrix},
        {"w_scale", 2, 3, {1, 1, 2}, one_a_matrix},
    };
    (void)state;
    fill();
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        struct scaled_weight s;
        hearth_error err = {0};
        describe(&tensors[0], "w", bytes, ELEM_I8, DTYPE_F8_E4M3, layouts[i].n_matrices > 1 ? 3 : 2,
                 COLS, ROWS, layouts[i].n_matrices);
        describe(&tensors[1], layouts[i].name, scales, ELEM_F32, DTYPE_ELEM, layouts[i].n_dims,
                 layouts[i].dims[0], layouts[i].dims[1], layouts[i].dims[2]);
        assert_ok(open_two(&s, &err), &err);
        check_expansion(&s, layouts[i].n_matrices, layouts[i].scale_of);
    }
}

static void types_of_weights_and_scales_are_honoured(void **state) {
    static const uint16_t bf16[1] = {0x4040}, f16[1] = {0x4200}; /* 3.0 */
    static const uint8_t e8m0[1] = {129};                        /* 4.0 */
    struct scaled_weight s;
    (void)state;
    fill();
    describe(&tensors[0], "w", bytes, ELEM_I8, DTYPE_F8_E5M2, 2, COLS, ROWS, 1);
    describe(&tensors[1], "w_scale", bf16, ELEM_BF16, DTYPE_ELEM, 0, 1, 1, 1);
    assert_int_equal(open_two(&s, NULL), HEARTH_OK);
    scaled_weight_f32(&s, 7, 1, expanded);
    for (int c = 0; c < COLS; c++)
        assert_true(expanded[c] == f8_e5m2_to_f32(bytes[7 * COLS + c]) * 3);
    describe(&tensors[1], "w_scale", f16, ELEM_F16, DTYPE_ELEM, 0, 1, 1, 1);
    describe(&tensors[0], "w", bytes, ELEM_I8, DTYPE_ELEM, 2, COLS, ROWS, 1);
    assert_int_equal(open_two(&s, NULL), HEARTH_OK);
    scaled_weight_f32(&s, 7, 1, expanded);
    for (int c = 0; c < COLS; c++)
        assert_true(expanded[c] == (float)((int8_t)bytes[7 * COLS + c] * 3));
    describe(&tensors[1], "w_scale", e8m0, ELEM_I8, DTYPE_F8_E8M0, 0, 1, 1, 1);
    assert_int_equal(open_two(&s, NULL), HEARTH_OK);
    scaled_weight_f32(&s, 7, 1, expanded);
    assert_true(expanded[0] == (float)((int8_t)bytes[7 * COLS] * 4));
}

static void scales_that_do_not_fit_are_refused(void **state) {
    static const uint64_t wrong[][3] = {{3, 3, 1},    {2, 2, 1}, {3, 2, 2},
                                        {COLS, 1, 1}, {1, 7, 1}, {1, 1, 2}};
    struct scaled_weight s;
    hearth_error err = {0};
    (void)state;
    describe(&tensors[0], "w", bytes, ELEM_I8, DTYPE_F8_E4M3, 2, COLS, ROWS, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        describe(&tensors[1], "w_scale_inv", scales, ELEM_F32, DTYPE_ELEM, 3, wrong[i][0],
                 wrong[i][1], wrong[i][2]);
        assert_int_equal(open_two(&s, &err), HEARTH_ERROR_UNSUPPORTED);
        assert_contains(err.message, "do not fit weights [1, 200, 300]");
    }
    describe(&tensors[1], "w_scale_inv", scales, ELEM_I32, DTYPE_ELEM, 1, 1, 1, 1);
    assert_int_equal(open_two(&s, &err), HEARTH_ERROR_UNSUPPORTED);
    describe(&tensors[1], "other", scales, ELEM_F32, DTYPE_ELEM, 1, 1, 1, 1);
    assert_int_equal(open_two(&s, &err), HEARTH_ERROR_NOT_FOUND);
    assert_contains(err.message, "'w_scale_inv' or 'w_scale' was expected");
    describe(&tensors[0], "w", scales, ELEM_F32, DTYPE_ELEM, 2, COLS, ROWS, 1);
    describe(&tensors[1], "w_scale", scales, ELEM_F32, DTYPE_ELEM, 1, 1, 1, 1);
    assert_int_equal(open_two(&s, &err), HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "tensor 'w' has scales but is f32");
}

/* ---- MXFP4 ------------------------------------------------------------------ */

enum { MX_ROWS = 8, MX_COLS = 512, MX_GROUPS = MX_COLS / 32, MX_BLOCKS = MX_ROWS * MX_GROUPS };

/* The golden blocks, taken apart into a checkpoint's two tensors by value: value i of a
 * block is in byte i or i - 16, in the checkpoint in byte i / 2. */
static void take_apart(const uint8_t *blocks, uint8_t *pairs, uint8_t *exponents) {
    memset(pairs, 0, MX_BLOCKS * 16);
    for (size_t b = 0; b < MX_BLOCKS; b++) {
        const uint8_t *block = blocks + b * 17;
        exponents[b] = block[0];
        for (unsigned i = 0; i < 32; i++) {
            unsigned value = i < 16 ? block[1 + i] & 15u : block[1 + i - 16] >> 4;
            pairs[b * 16 + i / 2] |= (uint8_t)(i % 2 ? value << 4 : value);
        }
    }
}

static void mxfp4_becomes_the_golden_blocks_and_values(void **state) {
    static uint8_t pairs[MX_BLOCKS * 16], exponents[MX_BLOCKS], again[MX_BLOCKS * 17];
    char *blocks, *golden;
    size_t n_blocks, n_golden;
    struct mxfp4_weight w;
    hearth_error err = {0};
    (void)state;
    assert_ok(file_read(testdata("quants/mxfp4.blocks"), 1 << 20, &blocks, &n_blocks, &err), &err);
    assert_ok(file_read(testdata("quants/mxfp4.f32"), 1 << 20, &golden, &n_golden, &err), &err);
    assert_int_equal(n_blocks, MX_BLOCKS * 17);
    assert_int_equal(n_golden, MX_ROWS * MX_COLS * sizeof(float));
    take_apart((const uint8_t *)blocks, pairs, exponents);
    /* Two experts of four rows. */
    describe(&tensors[0], "x_blocks", pairs, ELEM_I8, DTYPE_U8, 4, 16, MX_GROUPS, MX_ROWS / 2);
    tensors[0].dims[3] = 2;
    describe(&tensors[1], "x_scales", exponents, ELEM_I8, DTYPE_U8, 3, MX_GROUPS, MX_ROWS / 2, 2);
    mem_free(two.index);
    assert_ok(directory_index(&two, NULL), NULL);
    assert_ok(mxfp4_weight_open(&w, &two, "x", &err), &err);
    assert_int_equal(w.n_rows, MX_ROWS);
    assert_int_equal(w.n_cols, MX_COLS);
    mxfp4_weight_blocks(&w, 0, 3, again);
    mxfp4_weight_blocks(&w, 3, MX_ROWS - 3, again + 3 * MX_GROUPS * 17);
    assert_memory_equal(again, blocks, n_blocks);
    mxfp4_weight_f32(&w, 0, 3, expanded);
    mxfp4_weight_f32(&w, 3, MX_ROWS - 3, expanded + 3 * MX_COLS);
    for (size_t i = 0; i < MX_ROWS * MX_COLS; i++) {
        float expected;
        memcpy(&expected, golden + 4 * i, 4);
        assert_true(expanded[i] == expected);
    }
    mem_free(blocks);
    mem_free(golden);
}

static void mxfp4_tensors_that_do_not_fit_are_refused(void **state) {
    struct mxfp4_weight w;
    hearth_error err = {0};
    (void)state;
    describe(&tensors[0], "x_blocks", bytes, ELEM_I8, DTYPE_U8, 3, 16, 4, 8);
    describe(&tensors[1], "x_scales", bytes, ELEM_I8, DTYPE_U8, 2, 4, 7, 1);
    mem_free(two.index);
    assert_ok(directory_index(&two, NULL), NULL);
    assert_int_equal(mxfp4_weight_open(&w, &two, "x", &err), HEARTH_ERROR_UNSUPPORTED);
    assert_contains(err.message, "'x_blocks' and 'x_scales' do not fit together");
    assert_int_equal(mxfp4_weight_open(&w, &two, "y", &err), HEARTH_ERROR_NOT_FOUND);
    tensors[1].dims[1] = 8;
    assert_ok(mxfp4_weight_open(&w, &two, "x", &err), &err);
    tensors[0].dtype = DTYPE_ELEM;
    assert_int_equal(mxfp4_weight_open(&w, &two, "x", &err), HEARTH_ERROR_UNSUPPORTED);
}

static int drop_index(void **state) {
    (void)state;
    mem_free(two.index);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_e4m3_is_exact),
        cmocka_unit_test(every_e5m2_is_exact),
        cmocka_unit_test(every_e8m0_and_e2m1_is_exact),
        cmocka_unit_test(every_layout_of_scales_is_understood),
        cmocka_unit_test(types_of_weights_and_scales_are_honoured),
        cmocka_unit_test(scales_that_do_not_fit_are_refused),
        cmocka_unit_test(mxfp4_becomes_the_golden_blocks_and_values),
        cmocka_unit_test(mxfp4_tensors_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests_name("format/fp8", tests, NULL, drop_index);
}
