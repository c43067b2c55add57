#include "model/hf_convert.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf_write.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

enum { CHUNK_BYTES = 4 << 20, QUANTIZATION_VERSION = 2 };

/* general.file_type, which counts kinds of files, not element types. */
static const struct {
    enum elem type;
    uint32_t number;
} file_types[] = {
    {ELEM_F32, 0},   {ELEM_F16, 1},    {ELEM_Q4_0, 2},    {ELEM_Q4_1, 3},   {ELEM_Q8_0, 7},
    {ELEM_Q5_0, 8},  {ELEM_Q5_1, 9},   {ELEM_Q2_K, 10},   {ELEM_Q3_K, 11},  {ELEM_Q4_K, 14},
    {ELEM_Q5_K, 16}, {ELEM_Q6_K, 18},  {ELEM_IQ4_NL, 25}, {ELEM_IQ3_S, 26}, {ELEM_IQ4_XS, 30},
    {ELEM_BF16, 32}, {ELEM_TQ1_0, 36}, {ELEM_TQ2_0, 37},  {ELEM_MXFP4, 38},
};

/* ---- what to write ------------------------------------------------------------------- */

static enum elem choose(const struct hf_convert *convert, const struct hf_output *o) {
    enum elem wanted = convert->options.type;
    bool is_matrix = o->tensor.n_dims >= 2 && !o->floats;
    if (wanted == ELEM_TYPES || !is_matrix || o->tensor.type == ELEM_MXFP4) return o->tensor.type;
    if (o->tensor.dims[0] % elem_table[wanted].block_values == 0) return wanted;
    return ELEM_F16;
}

/* "1.2B", as file names carry it: parameters in two digits or more. */
static void format_size(uint64_t n, char out[16]) {
    static const char units[] = "KMBTQ";
    double value = (double)n / 1e3;
    size_t unit = 0;
    for (; value >= 999.5 && units[unit + 1]; unit++)
        value /= 1e3;
    snprintf(out, 16, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
    char *dot = strstr(out, ".0");
    if (dot) memmove(dot, dot + 2, strlen(dot + 2) + 1);
}

static hearth_status describe(struct hf_convert *convert, hearth_error *err) {
    struct metadata *m = &convert->import->metadata;
    uint64_t parameters = 0, bytes[ELEM_TYPES] = {0};
    char size[16];
    for (size_t i = 0; i < convert->import->n_outputs; i++) {
        const struct tensor *t = &convert->tensors[i];
        parameters += t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3];
        bytes[t->type] += t->size_bytes;
        if (bytes[t->type] > bytes[convert->main_type]) convert->main_type = t->type;
        convert->size_bytes += t->size_bytes;
    }
    format_size(parameters, size);
    if (!metadata_find(m, "general.size_label"))
        RETURN_IF_ERROR(metadata_set_string(m, "general.size_label", size, strlen(size), err));
    for (size_t i = 0; i < sizeof file_types / sizeof file_types[0]; i++)
        if (file_types[i].type == convert->main_type)
            RETURN_IF_ERROR(
                metadata_set_uint(m, "general.file_type", META_U32, file_types[i].number, err));
    return metadata_set_uint(m, "general.quantization_version", META_U32, QUANTIZATION_VERSION,
                             err);
}

static hearth_status check_type(enum elem type, hearth_error *err) {
    if (type == ELEM_TYPES) return HEARTH_OK;
    if (!quantize_supported(type))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED, "%s cannot be written", elem_name(type));
    if (quantize_needs_importance(type))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "%s is of no use without importance: convert to bf16, then 'hearth "
                         "quantize --imatrix'",
                         elem_name(type));
    return HEARTH_OK;
}

hearth_status hf_convert_open(struct hf_convert *convert, struct hf_import *import,
                              const struct hf_convert_options *options, hearth_error *err) {
    *convert = (struct hf_convert){.options = *options, .import = import, .main_type = ELEM_F32};
    RETURN_IF_ERROR(check_type(options->type, err));
    convert->tensors = mem_calloc(import->n_outputs, sizeof *convert->tensors);
    if (!convert->tensors)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tensors",
                         import->n_outputs);
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; i < import->n_outputs && status == HEARTH_OK; i++) {
        convert->tensors[i] = import->outputs[i].tensor;
        convert->tensors[i].type = choose(convert, &import->outputs[i]);
        status = tensor_check_shape(&convert->tensors[i], err);
    }
    if (status == HEARTH_OK) status = describe(convert, err);
    if (status != HEARTH_OK) hf_convert_close(convert);
    return status;
}

void hf_convert_close(struct hf_convert *convert) {
    mem_free(convert->tensors);
    *convert = (struct hf_convert){0};
}

/* ---- writing ---------------------------------------------------------------------------- */

/* A few rows on their way: read in the import's type, widened, made narrow again. */
struct stream {
    const struct hf_convert *convert;
    const struct kernels *kernels;
    struct pool *pool;
    uint64_t done;
    /* the rows being worked on */
    const struct tensor *from, *to;
    uint64_t n_cols, n_rows;
    uint8_t *in, *out;
    float *wide;
    hearth_status *statuses; /* of each thread */
    hearth_error *errors;
};

static void encode_share(void *context, unsigned thread, unsigned n_threads) {
    struct stream *s = context;
    size_t begin, end, cols = (size_t)s->n_cols;
    pool_share((size_t)s->n_rows, 1, thread, n_threads, &begin, &end);
    s->statuses[thread] = HEARTH_OK;
    if (begin == end) return;
    float *wide = s->wide + begin * cols;
    size_t in_bytes = elem_row_bytes(s->from->type, cols);
    size_t out_bytes = elem_row_bytes(s->to->type, cols);
    if (s->from->type == ELEM_F32)
        memcpy(wide, s->in + begin * in_bytes, (end - begin) * in_bytes);
    else
        for (size_t r = begin; r < end; r++)
            s->kernels->dequantize[s->from->type](s->in + r * in_bytes, s->wide + r * cols, cols);
    s->statuses[thread] = quantize_rows(s->to->type, wide, s->out + begin * out_bytes, end - begin,
                                        cols, NULL, &s->errors[thread]);
}

static hearth_status encode(struct stream *s, hearth_error *err) {
    pool_run(s->pool, encode_share, s);
    for (unsigned i = 0; i < pool_threads(s->pool); i++)
        if (s->statuses[i] != HEARTH_OK) {
            if (err) *err = s->errors[i];
            return error_prefix(err, s->statuses[i], "tensor '%s'", s->to->name);
        }
    return HEARTH_OK;
}

static hearth_status write_rows(struct stream *s, const struct hf_output *o, uint64_t matrix,
                                uint64_t first, struct tensor_writer *out, hearth_error *err) {
    RETURN_IF_ERROR(hf_output_read(s->convert->import, o, matrix, first, s->n_rows, s->in, err));
    bool same = s->from->type == s->to->type;
    if (!same) RETURN_IF_ERROR(encode(s, err));
    size_t bytes = elem_row_bytes(s->to->type, (size_t)s->n_cols) * (size_t)s->n_rows;
    s->done += bytes;
    if (s->convert->options.progress)
        s->convert->options.progress(s->convert->options.progress_context, s->done);
    return tensor_writer_put(out, same ? s->in : s->out, bytes, err);
}

/* Rows that are read at once: all of a matrix that has to be turned. */
static uint64_t chunk_rows(const struct hf_output *o, uint64_t n_rows) {
    uint64_t row_bytes = o->n_cols * sizeof(float);
    uint64_t n = row_bytes < CHUNK_BYTES ? CHUNK_BYTES / row_bytes : 1;
    return o->rule->transpose != HF_AS_IS || n > n_rows ? n_rows : n;
}

static hearth_status stream_output(struct stream *s, const struct hf_output *o,
                                   struct tensor_writer *out, hearth_error *err) {
    uint64_t n_matrices = o->slice.n_matrices;
    uint64_t bytes = o->tensor.size_bytes / n_matrices;
    uint64_t n_rows = bytes / elem_row_bytes(o->tensor.type, (size_t)o->n_cols);
    uint64_t chunk = chunk_rows(o, n_rows);
    hearth_status status = HEARTH_OK;
    s->n_cols = o->n_cols;
    s->in = mem_alloc_array((size_t)chunk, elem_row_bytes(o->tensor.type, (size_t)s->n_cols));
    s->out = mem_alloc_array((size_t)chunk, (size_t)s->n_cols * sizeof(float));
    s->wide = mem_alloc_array((size_t)chunk, (size_t)s->n_cols * sizeof(float));
    if (!s->in || !s->out || !s->wide)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to convert '%s'", s->to->name);
    for (uint64_t m = 0; m < n_matrices; m++)
        for (uint64_t r = 0; r < n_rows && status == HEARTH_OK; r += chunk) {
            s->n_rows = n_rows - r < chunk ? n_rows - r : chunk;
            status = write_rows(s, o, m, r, out, err);
        }
    mem_free(s->in);
    mem_free(s->out);
    mem_free(s->wide);
    return status;
}

static hearth_status supply(void *context, size_t i, struct tensor_writer *out, hearth_error *err) {
    struct stream *s = context;
    const struct hf_output *o = &s->convert->import->outputs[i];
    s->from = &o->tensor;
    s->to = &s->convert->tensors[i];
    if (o->rule) return stream_output(s, o, out, err);
    return tensor_writer_put(out, o->tensor.data, (size_t)o->tensor.size_bytes, err);
}

hearth_status hf_convert_write(struct hf_convert *convert, const char *path, hearth_error *err) {
    enum cpu_level level;
    struct stream s = {.convert = convert};
    RETURN_IF_ERROR(cpu_choose(&level, err));
    s.kernels = kernels_for(level);
    RETURN_IF_ERROR(pool_open(&s.pool, convert->options.n_threads, err));
    s.statuses = mem_calloc(pool_threads(s.pool), sizeof *s.statuses);
    s.errors = mem_calloc(pool_threads(s.pool), sizeof *s.errors);
    hearth_status status =
        s.statuses && s.errors
            ? gguf_write(path, &convert->import->metadata, convert->tensors,
                         convert->import->n_outputs, convert->options.max_part_bytes, supply, &s,
                         err)
            : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to convert a folder");
    mem_free(s.statuses);
    mem_free(s.errors);
    pool_close(s.pool);
    return status;
}
