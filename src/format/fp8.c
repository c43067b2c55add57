#include "format/fp8.h"

#include <math.h>
#include <string.h>

enum {
    MXFP4_GROUP_BYTES = 16,
    MXFP4_GROUP_VALUES = 32,
    MXFP4_BLOCK_BYTES = 17,
    DEFAULT_BLOCK = 128,
    MAX_SUFFIX_BYTES = 16
};

float f8_e4m3_to_f32(uint8_t x) {
    int exponent = x >> 3 & 15, fraction = x & 7;
    if ((x & 0x7f) == 0x7f) return NAN;
    float magnitude =
        exponent == 0 ? ldexpf((float)fraction, -9) : ldexpf((float)(8 + fraction), exponent - 10);
    return x & 0x80 ? -magnitude : magnitude;
}

/* The upper byte of an IEEE half. */
float f8_e5m2_to_f32(uint8_t x) {
    return f16_to_f32((uint16_t)(x << 8));
}

float f8_e8m0_to_f32(uint8_t x) {
    return x == 255 ? NAN : ldexpf(1.0f, x - 127);
}

float f4_to_f32(uint8_t x) {
    static const float values[16] = {0,    0.5f,  1,  1.5f,  2,  3,  4,  6,
                                     -0.f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    return values[x & 15];
}

/* `name` + `suffix` in the directory, or NULL. */
static const struct tensor *find_beside(const struct directory *dir, const char *name,
                                        const char *suffix) {
    char full[TENSOR_MAX_NAME_BYTES + MAX_SUFFIX_BYTES];
    int n = snprintf(full, sizeof full, "%s%s", name, suffix);
    return n > 0 && (size_t)n < sizeof full ? directory_find(dir, full) : NULL;
}

/* ---- scaled weights -------------------------------------------------------- */

static hearth_status fill_values(struct scaled_weight *s, hearth_error *err) {
    enum dtype dtype = s->weight->dtype;
    bool is_int8 = dtype == DTYPE_ELEM && s->weight->type == ELEM_I8;
    if (dtype != DTYPE_F8_E4M3 && dtype != DTYPE_F8_E5M2 && !is_int8)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' has scales but is %s; f8_e4m3, f8_e5m2 or i8 was expected",
                         s->weight->name, tensor_type_name(s->weight));
    for (int i = 0; i < 256; i++)
        s->values[i] = is_int8                  ? (float)(int8_t)(uint8_t)i
                       : dtype == DTYPE_F8_E4M3 ? f8_e4m3_to_f32((uint8_t)i)
                                                : f8_e5m2_to_f32((uint8_t)i);
    return HEARTH_OK;
}

static bool is_scale_type(const struct tensor *t) {
    return t->dtype == DTYPE_F8_E8M0 ||
           (t->dtype == DTYPE_ELEM &&
            (t->type == ELEM_F32 || t->type == ELEM_BF16 || t->type == ELEM_F16));
}

static uint64_t blocks_of(uint64_t n, uint64_t block) {
    return n / block + (n % block != 0);
}

/* Which of the layouts the shapes say: the most special one that fits. */
static hearth_status fit_scales(struct scaled_weight *s, uint64_t block_rows, uint64_t block_cols,
                                hearth_error *err) {
    const uint64_t *dims = s->scale->dims, *shape = s->weight->dims;
    uint64_t n_matrices = shape[2] * shape[3], n_scales = dims[2] * dims[3];
    uint64_t cols = dims[0], rows = dims[1];
    if (s->scale->n_dims == 1 && dims[0] != 1) { /* a list: of the rows, or of the matrices */
        cols = 1;
        rows = dims[0] == shape[1] && n_matrices == 1 ? dims[0] : 1;
        n_scales = rows == 1 ? dims[0] : 1;
    }
    s->block_rows = s->rows_per_matrix;
    s->block_cols = s->n_cols;
    s->row_stride = cols;
    s->matrix_stride = n_scales == 1 ? 0 : rows * cols;
    bool outer_fits = n_scales == n_matrices || (n_scales == 1 && rows * cols == 1);
    if (outer_fits && rows * cols == 1) return HEARTH_OK;
    if (outer_fits && cols == 1 && rows == s->rows_per_matrix) {
        s->block_rows = 1;
        return HEARTH_OK;
    }
    s->block_rows = block_rows;
    s->block_cols = block_cols;
    if (outer_fits && cols == blocks_of(s->n_cols, block_cols) &&
        rows == blocks_of(s->rows_per_matrix, block_rows))
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                     "scales '%s' [%llu, %llu, %llu] do not fit weights [%llu, %llu, %llu]: one, "
                     "one a row, or one for each block of %llu x %llu was expected",
                     s->scale->name, (unsigned long long)(dims[2] * dims[3]),
                     (unsigned long long)dims[1], (unsigned long long)dims[0],
                     (unsigned long long)n_matrices, (unsigned long long)shape[1],
                     (unsigned long long)shape[0], (unsigned long long)block_rows,
                     (unsigned long long)block_cols);
}

hearth_status scaled_weight_open(struct scaled_weight *s, const struct directory *dir,
                                 const char *name, uint64_t block_rows, uint64_t block_cols,
                                 hearth_error *err) {
    *s = (struct scaled_weight){.weight = directory_find(dir, name)};
    if (!s->weight) return error_set(err, HEARTH_ERROR_NOT_FOUND, "there is no tensor '%s'", name);
    s->scale = find_beside(dir, name, "_scale_inv");
    if (!s->scale) s->scale = find_beside(dir, name, "_scale");
    if (!s->scale)
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "tensor '%s' has no scales: '%s_scale_inv' or '%s_scale' was expected",
                         name, name, name);
    RETURN_IF_ERROR(fill_values(s, err));
    if (!is_scale_type(s->scale))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "scales '%s' are %s; f32, bf16, f16 or f8_e8m0 was expected",
                         s->scale->name, tensor_type_name(s->scale));
    s->n_cols = s->weight->dims[0];
    s->rows_per_matrix = s->weight->dims[1];
    s->n_rows = s->weight->size_bytes / s->n_cols;
    return fit_scales(s, block_rows ? block_rows : DEFAULT_BLOCK,
                      block_cols ? block_cols : DEFAULT_BLOCK, err);
}

static float scale_at(const struct tensor *scale, uint64_t i) {
    uint16_t half;
    float full;
    if (scale->dtype == DTYPE_F8_E8M0) return f8_e8m0_to_f32(scale->data[i]);
    if (scale->type == ELEM_F32) {
        memcpy(&full, scale->data + 4 * i, sizeof full);
        return full;
    }
    memcpy(&half, scale->data + 2 * i, sizeof half);
    return scale->type == ELEM_BF16 ? bf16_to_f32(half) : f16_to_f32(half);
}

/* Row `row` from column `begin` to the end of its block, at most 128 values. */
static uint64_t expand_run(const struct scaled_weight *s, uint64_t row, uint64_t begin,
                           float out[DEFAULT_BLOCK]) {
    uint64_t matrix = row / s->rows_per_matrix, r = row % s->rows_per_matrix;
    uint64_t block_end = (begin / s->block_cols + 1) * s->block_cols;
    uint64_t end = block_end < s->n_cols ? block_end : s->n_cols;
    if (end - begin > DEFAULT_BLOCK) end = begin + DEFAULT_BLOCK;
    float scale = scale_at(s->scale, matrix * s->matrix_stride + r / s->block_rows * s->row_stride +
                                         begin / s->block_cols);
    const uint8_t *q = s->weight->data + row * s->n_cols;
    for (uint64_t c = begin; c < end; c++)
        out[c - begin] = s->values[q[c]] * scale;
    return end - begin;
}

void scaled_weight_f32(const struct scaled_weight *s, uint64_t first_row, uint64_t n_rows,
                       float *out) {
    float run[DEFAULT_BLOCK];
    for (uint64_t row = first_row; row < first_row + n_rows; row++)
        for (uint64_t c = 0, n; c < s->n_cols; c += n, out += n) {
            n = expand_run(s, row, c, run);
            memcpy(out, run, (size_t)n * sizeof *out);
        }
}

void scaled_weight_bf16(const struct scaled_weight *s, uint64_t first_row, uint64_t n_rows,
                        uint16_t *out) {
    float run[DEFAULT_BLOCK];
    for (uint64_t row = first_row; row < first_row + n_rows; row++)
        for (uint64_t c = 0, n; c < s->n_cols; c += n, out += n) {
            n = expand_run(s, row, c, run);
            for (uint64_t i = 0; i < n; i++)
                out[i] = f32_to_bf16(run[i]);
        }
}

/* ---- MXFP4 ------------------------------------------------------------------ */

hearth_status mxfp4_weight_open(struct mxfp4_weight *w, const struct directory *dir,
                                const char *name, hearth_error *err) {
    const struct tensor *blocks = find_beside(dir, name, "_blocks");
    const struct tensor *scales = find_beside(dir, name, "_scales");
    if (!blocks || !scales)
        return error_set(err, HEARTH_ERROR_NOT_FOUND,
                         "there are no tensors '%s_blocks' and '%s_scales'", name, name);
    bool fits = blocks->dtype == DTYPE_U8 &&
                (scales->dtype == DTYPE_U8 || scales->dtype == DTYPE_F8_E8M0) &&
                blocks->dims[0] == MXFP4_GROUP_BYTES && blocks->dims[1] == scales->dims[0] &&
                blocks->dims[2] == scales->dims[1] &&
                blocks->dims[3] == scales->dims[2] * scales->dims[3];
    if (!fits)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "'%s_blocks' and '%s_scales' do not fit together: u8 [..., out, groups, "
                         "16] and u8 [..., out, groups] were expected",
                         name, name);
    *w = (struct mxfp4_weight){.blocks = blocks->data,
                               .scales = scales->data,
                               .n_cols = blocks->dims[1] * MXFP4_GROUP_VALUES,
                               .n_rows = blocks->dims[2] * blocks->dims[3],
                               .rows_per_matrix = blocks->dims[2],
                               .n_groups = blocks->dims[1]};
    return HEARTH_OK;
}

/* Value i of a group of packed pairs. */
static unsigned nibble(const uint8_t *pairs, unsigned i) {
    return i % 2 ? pairs[i / 2] >> 4 : pairs[i / 2] & 15u;
}

void mxfp4_weight_blocks(const struct mxfp4_weight *w, uint64_t first_row, uint64_t n_rows,
                         uint8_t *out) {
    uint64_t end = (first_row + n_rows) * w->n_groups;
    for (uint64_t g = first_row * w->n_groups; g < end; g++, out += MXFP4_BLOCK_BYTES) {
        const uint8_t *pairs = w->blocks + g * MXFP4_GROUP_BYTES;
        out[0] = w->scales[g];
        for (unsigned j = 0; j < MXFP4_GROUP_BYTES; j++)
            out[1 + j] =
                (uint8_t)(nibble(pairs, j) | nibble(pairs, j + MXFP4_GROUP_VALUES / 2) << 4);
    }
}

void mxfp4_weight_f32(const struct mxfp4_weight *w, uint64_t first_row, uint64_t n_rows,
                      float *out) {
    uint64_t end = (first_row + n_rows) * w->n_groups;
    for (uint64_t g = first_row * w->n_groups; g < end; g++, out += MXFP4_GROUP_VALUES) {
        float scale = f8_e8m0_to_f32(w->scales[g]);
        for (unsigned i = 0; i < MXFP4_GROUP_VALUES; i++)
            out[i] = f4_to_f32((uint8_t)nibble(w->blocks + g * MXFP4_GROUP_BYTES, i)) * scale;
    }
}
