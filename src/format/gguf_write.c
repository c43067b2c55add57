/* Writes GGUF v3 (specification: ggml docs/gguf.md), little-endian. */
#include "format/gguf_write.h"

#include <string.h>

enum {
    GGUF_MAGIC = 0x46554747, /* "GGUF" */
    GGUF_VERSION = 3,
    GGUF_ALIGNMENT = 32,
    GGUF_MIN_ALIGNMENT = 8,
    GGUF_MAX_ALIGNMENT = 1 << 20
};
#define GGUF_MAX_HEADER_BYTES ((size_t)1 << 31)

static void put_number(struct buf *out, uint64_t value, size_t bytes) {
    uint8_t raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(value >> (8 * i));
    buf_append(out, raw, bytes);
}

static void put_text(struct buf *out, const char *data, size_t length) {
    put_number(out, length, 8);
    buf_append(out, data, length);
}

static void put_array(struct buf *out, const struct meta_array *array) {
    put_number(out, array->type, 4);
    put_number(out, array->count, 8);
    if (array->type == META_STRING)
        for (size_t i = 0; i < array->count; i++)
            put_text(out, array->strings[i].data, array->strings[i].length);
    else
        buf_append(out, array->data, array->count * meta_type_bytes(array->type));
}

static void put_value(struct buf *out, const struct meta_value *value) {
    put_text(out, value->key.data, value->key.length);
    put_number(out, value->type, 4);
    if (value->type == META_STRING) {
        put_text(out, value->string.data, value->string.length);
    } else if (value->type == META_ARRAY) {
        put_array(out, &value->array);
    } else if (value->type == META_F32) {
        float narrow = (float)value->f;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        put_number(out, bits, 4);
    } else {
        put_number(out, value->u, meta_type_bytes(value->type)); /* u, i and f share the bits */
    }
}

static void put_integer(struct buf *out, const char *key, enum meta_type type, uint64_t number) {
    put_value(out, &(struct meta_value){.key = {key, strlen(key)}, .type = type, .u = number});
}

static bool is_split_key(struct text key) {
    return text_equal(key, "split.no") || text_equal(key, "split.count") ||
           text_equal(key, "split.tensors.count");
}

/* Writes the metadata of one part into `out`; returns how many values that are. */
static uint64_t put_metadata(struct buf *out, const struct tensor_writer *w, size_t part,
                             const struct metadata *m) {
    uint64_t n_values = 0;
    for (size_t i = 0; i < m->count; i++) {
        bool wanted = part == 0 || text_equal(m->values[i].key, "general.alignment");
        if (!wanted || is_split_key(m->values[i].key)) continue;
        put_value(out, &m->values[i]);
        n_values++;
    }
    if (w->n_parts == 1) return n_values;
    put_integer(out, "split.no", META_U16, part);
    put_integer(out, "split.count", META_U16, w->n_parts);
    put_integer(out, "split.tensors.count", META_I32, w->n_tensors);
    return n_values + 3;
}

static void put_tensors(struct buf *out, const struct tensor_writer *w, size_t part) {
    uint64_t offset = 0;
    for (size_t i = w->parts[part].first; i < w->parts[part].end; i++) {
        const struct tensor *tensor = &w->tensors[w->order[i]];
        put_text(out, tensor->name, strlen(tensor->name));
        put_number(out, tensor->n_dims, 4);
        for (unsigned d = 0; d < tensor->n_dims; d++)
            put_number(out, tensor->dims[d], 8);
        put_number(out, tensor->type, 4);
        put_number(out, offset, 8);
        offset += tensor_writer_padded(w, tensor->size_bytes);
    }
}

static hearth_status fill_header(struct tensor_writer *w, size_t part, const struct metadata *m,
                                 hearth_error *err) {
    enum { VALUE_COUNT_AT = 16 }; /* after magic, version and the number of tensors */
    struct buf *out = &w->parts[part].header;
    put_number(out, GGUF_MAGIC, 4);
    put_number(out, GGUF_VERSION, 4);
    put_number(out, w->parts[part].end - w->parts[part].first, 8);
    put_number(out, 0, 8);
    uint64_t n_values = put_metadata(out, w, part, m);
    put_tensors(out, w, part);
    for (uint64_t n = tensor_writer_padded(w, out->length); out->length < n && !out->failed;)
        buf_append_char(out, 0);
    if (out->failed)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "cannot write '%s': no memory for its header",
                         w->parts[part].path);
    for (int i = 0; i < 8; i++)
        out->data[VALUE_COUNT_AT + i] = (char)(n_values >> (8 * i));
    return HEARTH_OK;
}

static hearth_status check(const struct metadata *m, const struct tensor *tensors, size_t n_tensors,
                           uint32_t *alignment, hearth_error *err) {
    if (metadata_find(m, "general.alignment") &&
        (!metadata_u32(m, "general.alignment", alignment) || *alignment < GGUF_MIN_ALIGNMENT ||
         *alignment > GGUF_MAX_ALIGNMENT || (*alignment & (*alignment - 1)) != 0))
        return error_set(err, HEARTH_ERROR_ARGUMENT,
                         "general.alignment must be a power of two from %d to %d",
                         GGUF_MIN_ALIGNMENT, GGUF_MAX_ALIGNMENT);
    for (size_t i = 0; i < n_tensors; i++) {
        if (strlen(tensors[i].name) > GGUF_WRITE_MAX_NAME_BYTES)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "the tensor name '%s' has %zu bytes; other programs read at most %d",
                             tensors[i].name, strlen(tensors[i].name), GGUF_WRITE_MAX_NAME_BYTES);
        if (tensors[i].dtype != DTYPE_ELEM || !elem_known(tensors[i].type))
            return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                             "tensor '%s' is %s, which GGUF cannot hold; convert it first",
                             tensors[i].name, tensor_type_name(&tensors[i]));
    }
    return HEARTH_OK;
}

static hearth_status plan(struct tensor_writer *w, const char *path, const struct metadata *m,
                          const struct tensor *tensors, size_t n_tensors, uint64_t max_part_bytes,
                          hearth_error *err) {
    uint32_t alignment = GGUF_ALIGNMENT;
    *w = (struct tensor_writer){0};
    hearth_status status = check(m, tensors, n_tensors, &alignment, err);
    if (status != HEARTH_OK) return error_prefix(err, status, "cannot write '%s'", path);
    struct tensor_layout layout = {.extension = ".gguf",
                                   .alignment = alignment,
                                   .max_part_bytes = max_part_bytes,
                                   .max_header_bytes = GGUF_MAX_HEADER_BYTES};
    RETURN_IF_ERROR(tensor_writer_plan(w, path, tensors, n_tensors, &layout, err));
    for (size_t i = 0; status == HEARTH_OK && i < w->n_parts; i++)
        status = fill_header(w, i, m, err);
    if (status != HEARTH_OK) tensor_writer_discard(w);
    return status;
}

hearth_status gguf_writer_open(struct tensor_writer *w, const char *path, const struct metadata *m,
                               const struct tensor *tensors, size_t n_tensors,
                               uint64_t max_part_bytes, hearth_error *err) {
    RETURN_IF_ERROR(plan(w, path, m, tensors, n_tensors, max_part_bytes, err));
    return tensor_writer_begin(w, err);
}

hearth_status gguf_write(const char *path, const struct metadata *m, const struct tensor *tensors,
                         size_t n_tensors, uint64_t max_part_bytes, tensor_source *source,
                         void *context, hearth_error *err) {
    struct tensor_writer w;
    RETURN_IF_ERROR(plan(&w, path, m, tensors, n_tensors, max_part_bytes, err));
    return tensor_writer_run(&w, source, context, err);
}
