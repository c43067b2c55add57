#include "kernels/quantize.h"

#include <math.h>
#include <string.h>

#include "kernels/quantize_blocks.h"

static void copy_f32(const float *x, void *out, size_t n, const float *importance) {
    (void)importance;
    memcpy(out, x, n * sizeof *x);
}

static void to_f16(const float *x, void *out, size_t n, const float *importance) {
    (void)importance;
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)out)[i] = f32_to_f16(x[i]);
}

static void to_bf16(const float *x, void *out, size_t n, const float *importance) {
    (void)importance;
    for (size_t i = 0; i < n; i++)
        ((uint16_t *)out)[i] = f32_to_bf16(x[i]);
}

static encode_row *const encoders[ELEM_TYPES] = {
    [ELEM_F32] = copy_f32,           [ELEM_F16] = to_f16,           [ELEM_BF16] = to_bf16,
    [ELEM_Q4_0] = encode_q4_0,       [ELEM_Q4_1] = encode_q4_1,     [ELEM_Q5_0] = encode_q5_0,
    [ELEM_Q5_1] = encode_q5_1,       [ELEM_Q8_0] = encode_q8_0,     [ELEM_Q1_0] = encode_q1_0,
    [ELEM_Q2_0] = encode_q2_0,       [ELEM_MXFP4] = encode_mxfp4,   [ELEM_NVFP4] = encode_nvfp4,
    [ELEM_TQ1_0] = encode_tq1_0,     [ELEM_TQ2_0] = encode_tq2_0,   [ELEM_Q2_K] = encode_q2_k,
    [ELEM_Q3_K] = encode_q3_k,       [ELEM_Q4_K] = encode_q4_k,     [ELEM_Q5_K] = encode_q5_k,
    [ELEM_Q6_K] = encode_q6_k,       [ELEM_IQ4_NL] = encode_iq4_nl, [ELEM_IQ4_XS] = encode_iq4_xs,
    [ELEM_IQ3_XXS] = encode_iq3_xxs, [ELEM_IQ3_S] = encode_iq3_s,   [ELEM_IQ2_XXS] = encode_iq2_xxs,
    [ELEM_IQ2_XS] = encode_iq2_xs,   [ELEM_IQ2_S] = encode_iq2_s,   [ELEM_IQ1_S] = encode_iq1_s,
    [ELEM_IQ1_M] = encode_iq1_m,
};

bool quantize_supported(enum elem type) {
    return elem_known(type) && encoders[type];
}

bool quantize_needs_importance(enum elem type) {
    switch (type) {
    case ELEM_IQ1_S:
    case ELEM_IQ1_M:
    case ELEM_IQ2_XXS:
    case ELEM_IQ2_XS:
    case ELEM_IQ2_S: return true;
    default: return false;
    }
}

static hearth_status check_row(enum elem type, const float *x, size_t row, size_t n_cols,
                               hearth_error *err) {
    for (size_t i = 0; i < n_cols; i++)
        if (!(fabsf(x[i]) <= QUANTIZE_LARGEST))
            return error_set(
                err, HEARTH_ERROR_FORMAT,
                "cannot quantise to %s: value %g at row %zu, column %zu; finite values "
                "of at most %g in magnitude are expected",
                elem_name(type), (double)x[i], row, i, (double)QUANTIZE_LARGEST);
    return HEARTH_OK;
}

static hearth_status check_importance(const float *importance, size_t n_cols, hearth_error *err) {
    for (size_t i = 0; importance && i < n_cols; i++)
        if (!(importance[i] >= 0) || isinf(importance[i]))
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "cannot use importance %g of column %zu: finite weights of at least 0 "
                             "are expected",
                             (double)importance[i], i);
    return HEARTH_OK;
}

hearth_status quantize_rows(enum elem type, const float *x, void *out, size_t n_rows, size_t n_cols,
                            const float *importance, hearth_error *err) {
    if (!quantize_supported(type))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "cannot quantise to type %s",
                         elem_name(type));
    if (n_cols % elem_table[type].block_values)
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "cannot quantise rows of %zu values to %s: a multiple of %u is expected",
                         n_cols, elem_name(type), elem_table[type].block_values);
    RETURN_IF_ERROR(check_importance(importance, n_cols, err));
    bool blocks = elem_table[type].block_values > 1;
    for (size_t row = 0; row < n_rows; row++) {
        const float *values = x + row * n_cols;
        if (blocks) RETURN_IF_ERROR(check_row(type, values, row, n_cols, err));
        encoders[type](values, (char *)out + row * elem_row_bytes(type, n_cols), n_cols,
                       importance);
    }
    return HEARTH_OK;
}
