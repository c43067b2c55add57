/* Reads the rows of an import's result out of the folder's tensors. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/hf_import.h"

static bool is_float(const struct tensor *t) {
    return t->dtype == DTYPE_ELEM &&
           (t->type == ELEM_F32 || t->type == ELEM_F16 || t->type == ELEM_BF16);
}

static hearth_status open_packed(struct hf_source *source, const struct hf_import *import,
                                 const struct tensor *tensor, hearth_error *err) {
    static const char suffix[] = "_blocks";
    char name[TENSOR_MAX_NAME_BYTES + 1];
    snprintf(name, sizeof name, "%.*s", (int)(strlen(tensor->name) - (sizeof suffix - 1)),
             tensor->name);
    RETURN_IF_ERROR(mxfp4_weight_open(&source->mxfp4, &import->folder.tensors, name, err));
    source->packed = true;
    source->type = ELEM_MXFP4;
    source->n_cols = source->mxfp4.n_cols;
    source->n_rows = source->mxfp4.rows_per_matrix;
    source->n_matrices = source->mxfp4.n_rows / source->mxfp4.rows_per_matrix;
    return HEARTH_OK;
}

static hearth_status open_scaled(struct hf_source *source, const struct hf_import *import,
                                 const struct tensor *tensor, hearth_error *err) {
    RETURN_IF_ERROR(scaled_weight_open(&source->weight, &import->folder.tensors, tensor->name,
                                       import->fp8_block[0], import->fp8_block[1], err));
    source->scaled = true;
    source->type = ELEM_BF16;
    source->n_cols = source->weight.n_cols;
    source->n_rows = source->weight.rows_per_matrix;
    source->n_matrices = source->weight.n_rows / source->weight.rows_per_matrix;
    return HEARTH_OK;
}

hearth_status hf_source_open(struct hf_source *source, const struct hf_import *import,
                             const struct tensor *tensor, hearth_error *err) {
    *source = (struct hf_source){.tensor = tensor, .type = tensor->type};
    size_t n = strlen(tensor->name);
    if (tensor->dtype == DTYPE_U8 && n > 7 && strcmp(tensor->name + n - 7, "_blocks") == 0)
        return open_packed(source, import, tensor, err);
    if (tensor->dtype == DTYPE_F8_E4M3 || tensor->dtype == DTYPE_F8_E5M2 ||
        (tensor->dtype == DTYPE_ELEM && tensor->type == ELEM_I8))
        return open_scaled(source, import, tensor, err);
    if (!is_float(tensor))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' is %s; f32, f16, bf16, fp8 with scales and mxfp4 can be read",
                         tensor->name, tensor_type_name(tensor));
    bool is_conv = tensor->n_dims == 3 && tensor->dims[1] == 1; /* [channels, 1, kernel] */
    source->n_cols = tensor->dims[0];
    source->n_rows = is_conv ? tensor->dims[2] : tensor->dims[1];
    source->n_matrices = is_conv ? 1 : tensor->dims[2] * tensor->dims[3];
    return HEARTH_OK;
}

static size_t source_row_bytes(const struct hf_source *source) {
    return elem_row_bytes(source->type, (size_t)source->n_cols);
}

/* Row `row`, counted over all matrices. */
static void load_row(const struct hf_source *source, uint64_t row, void *out) {
    size_t bytes = source_row_bytes(source);
    if (source->scaled)
        scaled_weight_bf16(&source->weight, row, 1, out);
    else if (source->packed)
        mxfp4_weight_blocks(&source->mxfp4, row, 1, out);
    else
        memcpy(out, source->tensor->data + row * bytes, bytes);
}

static const struct hf_source *source_of(const struct hf_output *o, uint64_t matrix,
                                         uint64_t *base) {
    *base = o->n_sources > 1 ? 0 : matrix * o->slice.matrix_stride;
    return &o->sources[o->n_sources > 1 ? matrix : 0];
}

bool hf_output_mapped(const struct hf_output *o, const uint8_t **data) {
    const struct hf_rule *rule = o->rule;
    const struct hf_slice *s = &o->slice;
    if (!rule) {
        *data = o->tensor.data;
        return true;
    }
    if (o->n_sources > 1 || o->sources[0].scaled || o->sources[0].packed ||
        o->tensor.type != o->sources[0].type || rule->row || rule->column || rule->value ||
        rule->transpose != HF_AS_IS || s->stride != 1 ||
        (s->n_matrices > 1 && s->n_rows != s->matrix_stride))
        return false;
    *data = o->sources[0].tensor->data + s->first * source_row_bytes(&o->sources[0]);
    return true;
}

/* ---- elements ------------------------------------------------------------------ */

static void pick(const uint8_t *from, uint64_t i, uint8_t *to, uint64_t j, size_t width) {
    memcpy(to + j * width, from + i * width, width);
}

/* A row in the source's type -> a row of the result; `row` may not be `out`. */
static void finish_row(const struct hf_import *import, const struct hf_output *o,
                       const uint8_t *row, uint8_t *out) {
    const struct hf_rule *rule = o->rule;
    enum elem type = o->sources[0].type;
    size_t width = elem_table[type].block_bytes;
    if (type == o->tensor.type && !rule->value) {
        for (uint64_t c = 0; c < o->n_cols; c++)
            pick(row, rule->column ? rule->column(&import->config, c) : c, out, c, width);
        return;
    }
    for (uint64_t c = 0; c < o->n_cols; c++) {
        uint64_t at = rule->column ? rule->column(&import->config, c) : c;
        uint16_t half;
        float value;
        if (type == ELEM_F32)
            memcpy(&value, row + 4 * at, sizeof value);
        else {
            memcpy(&half, row + 2 * at, sizeof half);
            value = type == ELEM_BF16 ? bf16_to_f32(half) : f16_to_f32(half);
        }
        if (rule->value) value = rule->value(value);
        memcpy(out + 4 * c, &value, sizeof value);
    }
}

static bool is_plain_row(const struct hf_output *o) {
    return o->sources[0].packed ||
           (!o->rule->column && !o->rule->value && o->tensor.type == o->sources[0].type);
}

static void read_straight(const struct hf_import *import, const struct hf_output *o,
                          uint64_t matrix, uint64_t first_row, uint64_t n_rows, uint8_t *scratch,
                          uint8_t *out) {
    uint64_t base;
    const struct hf_source *source = source_of(o, matrix, &base);
    size_t out_bytes = elem_row_bytes(o->tensor.type, (size_t)o->n_cols);
    for (uint64_t r = first_row; r < first_row + n_rows; r++, out += out_bytes) {
        uint64_t row = o->rule->row ? o->rule->row(&import->config, r) : r;
        row = base + o->slice.first + row * o->slice.stride;
        if (is_plain_row(o))
            load_row(source, row, out);
        else {
            load_row(source, row, scratch);
            finish_row(import, o, scratch, out);
        }
    }
}

/* Loads the matrix into `held`, then takes its columns as rows. */
static void read_turned(const struct hf_import *import, const struct hf_output *o, uint64_t matrix,
                        uint64_t first_row, uint64_t n_rows, uint8_t *held, uint8_t *out) {
    uint64_t base;
    const struct hf_source *source = source_of(o, matrix, &base);
    bool slice_first = o->rule->transpose == HF_SLICE_TRANSPOSED;
    size_t row_bytes = source_row_bytes(source), width = elem_table[source->type].block_bytes;
    size_t out_bytes = elem_row_bytes(o->tensor.type, (size_t)o->n_cols);
    uint8_t *row = held + o->n_cols * row_bytes;
    if (!slice_first) base = o->n_sources > 1 ? 0 : matrix * source->n_rows;
    for (uint64_t i = 0; i < o->n_cols; i++)
        load_row(source, slice_first ? base + o->slice.first + i * o->slice.stride : base + i,
                 held + i * row_bytes);
    for (uint64_t r = first_row; r < first_row + n_rows; r++, out += out_bytes) {
        uint64_t at = r;
        if (!slice_first)
            at = o->slice.first +
                 (o->rule->row ? o->rule->row(&import->config, r) : r) * o->slice.stride;
        for (uint64_t c = 0; c < o->n_cols; c++)
            pick(held + c * row_bytes, at, row, c, width);
        finish_row(import, o, row, out);
    }
}

hearth_status hf_output_read(const struct hf_import *import, const struct hf_output *o,
                             uint64_t matrix, uint64_t first_row, uint64_t n_rows, void *out,
                             hearth_error *err) {
    if (!o->rule) {
        memcpy(out, o->tensor.data, (size_t)o->tensor.size_bytes);
        return HEARTH_OK;
    }
    bool turned = o->rule->transpose != HF_AS_IS;
    uint64_t row_bytes = source_row_bytes(&o->sources[0]), held;
    uint64_t rows_held = turned ? o->n_cols : 0;
    if (__builtin_mul_overflow(rows_held, row_bytes, &held) || held > HF_MAX_TRANSPOSE_BYTES)
        return error_set(err, HEARTH_ERROR_LIMIT, "tensor '%s' is too large to be turned",
                         o->sources[0].tensor->name);
    held += row_bytes + o->n_cols * sizeof(float);
    uint8_t *scratch = mem_alloc((size_t)held);
    if (!scratch)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to read tensor '%s'",
                         o->tensor.name);
    if (turned)
        read_turned(import, o, matrix, first_row, n_rows, scratch, out);
    else
        read_straight(import, o, matrix, first_row, n_rows, scratch, out);
    mem_free(scratch);
    return HEARTH_OK;
}
