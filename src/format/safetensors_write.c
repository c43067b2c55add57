#include <string.h>
#include <utf8proc.h>

#include "format/safetensors.h"

enum { DATA_ALIGNMENT = 8 };

static bool is_utf8(const char *data, size_t length) {
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)data + at,
                                              (utf8proc_ssize_t)(length - at), &c);
        if (n <= 0) return false;
        at += (size_t)n;
    }
    return true;
}

static void put_string(struct buf *out, const char *data, size_t length) {
    buf_append_char(out, '"');
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)data[i] < 0x20) {
            buf_append_format(out, "\\u%04x", (unsigned)data[i]);
            continue;
        }
        if (data[i] == '"' || data[i] == '\\') buf_append_char(out, '\\');
        buf_append_char(out, data[i]);
    }
    buf_append_char(out, '"');
}

static void put_metadata(struct buf *out, const struct metadata *m) {
    bool has_format = m && metadata_find(m, "format");
    buf_append_text(out, "{\"__metadata__\":{");
    if (!has_format) buf_append_text(out, "\"format\":\"pt\"");
    bool first = has_format;
    for (size_t i = 0; m && i < m->count; i++) {
        const struct meta_value *value = &m->values[i];
        if (value->type != META_STRING) continue;
        if (!first) buf_append_char(out, ',');
        first = false;
        put_string(out, value->key.data, value->key.length);
        buf_append_char(out, ':');
        put_string(out, value->string.data, value->string.length);
    }
    buf_append_char(out, '}');
}

static void put_tensor(struct buf *out, const struct tensor *tensor, uint64_t begin) {
    buf_append_char(out, ',');
    put_string(out, tensor->name, strlen(tensor->name));
    buf_append_format(out, ":{\"dtype\":\"%s\",\"shape\":[", safetensors_dtype_name(tensor));
    for (unsigned d = tensor->n_dims; d-- > 0;) {
        uint64_t dim = tensor->dims[d] * (d == 0 && tensor->dtype == DTYPE_F4 ? 2 : 1);
        buf_append_format(out, "%llu%s", (unsigned long long)dim, d ? "," : "");
    }
    buf_append_format(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
                      (unsigned long long)(begin + tensor->size_bytes));
}

static void fill_shard(struct tensor_writer *w, struct tensor_part *part,
                       const struct metadata *m) {
    struct buf *out = &part->header;
    uint64_t offset = 0;
    uint8_t length[8];
    memset(length, 0, sizeof length);
    buf_append(out, length, sizeof length);
    put_metadata(out, m);
    for (size_t i = part->first; i < part->end; i++) {
        const struct tensor *tensor = &w->tensors[w->order[i]];
        put_tensor(out, tensor, offset);
        offset += tensor->size_bytes;
    }
    buf_append_char(out, '}');
    while (out->length % DATA_ALIGNMENT != 0 && !out->failed)
        buf_append_char(out, ' ');
    if (out->failed) return;
    for (size_t i = 0; i < sizeof length; i++)
        out->data[i] = (char)((out->length - sizeof length) >> (8 * i));
}

/* {"metadata": {"total_size": bytes}, "weight_map": {tensor: file}} */
static void fill_index(struct tensor_writer *w) {
    struct buf *out = &w->parts[0].header;
    uint64_t total = 0;
    for (size_t i = 0; i < w->n_tensors; i++)
        total += w->tensors[i].size_bytes;
    buf_append_format(out,
                      "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n  \"weight_map\": {",
                      (unsigned long long)total);
    for (size_t p = 1; p < w->n_parts; p++) {
        const char *file = path_base(w->parts[p].path);
        for (size_t i = w->parts[p].first; i < w->parts[p].end; i++) {
            const char *name = w->tensors[w->order[i]].name;
            buf_append_text(out, i == 0 ? "\n    " : ",\n    ");
            put_string(out, name, strlen(name));
            buf_append_text(out, ": ");
            put_string(out, file, strlen(file));
        }
    }
    buf_append_text(out, "\n  }\n}\n");
}

static hearth_status check(const struct metadata *m, const struct tensor *tensors, size_t n_tensors,
                           hearth_error *err) {
    for (size_t i = 0; m && i < m->count; i++) {
        const struct meta_value *value = &m->values[i];
        if (value->type == META_STRING && (!is_utf8(value->key.data, value->key.length) ||
                                           !is_utf8(value->string.data, value->string.length)))
            return error_set(err, HEARTH_ERROR_ARGUMENT, "metadata '%.*s' is not UTF-8",
                             (int)(value->key.length < 200 ? value->key.length : 200),
                             value->key.data);
    }
    for (size_t i = 0; i < n_tensors; i++) {
        if (!safetensors_dtype_name(&tensors[i]))
            return error_set(
                err, HEARTH_ERROR_UNSUPPORTED,
                "tensor '%s' is %s, which safetensors cannot hold; dequantise it first",
                tensors[i].name, tensor_type_name(&tensors[i]));
        if (!is_utf8(tensors[i].name, strlen(tensors[i].name)) ||
            strcmp(tensors[i].name, "__metadata__") == 0)
            return error_set(err, HEARTH_ERROR_ARGUMENT,
                             "'%.200s' cannot be the name of a tensor in safetensors",
                             tensors[i].name);
    }
    return HEARTH_OK;
}

hearth_status safetensors_write(const char *path, const struct metadata *m,
                                const struct tensor *tensors, size_t n_tensors,
                                uint64_t max_part_bytes, tensor_source *source, void *context,
                                hearth_error *err) {
    static const char extension[] = ".safetensors";
    struct tensor_writer w;
    struct tensor_layout layout = {.extension = extension,
                                   .index_suffix = ".index.json",
                                   .alignment = 1,
                                   .widest_first = true,
                                   .max_part_bytes = max_part_bytes,
                                   .max_header_bytes = SAFETENSORS_MAX_HEADER_BYTES};
    hearth_status status = check(m, tensors, n_tensors, err);
    if (status != HEARTH_OK) return error_prefix(err, status, "cannot write '%s'", path);
    RETURN_IF_ERROR(tensor_writer_plan(&w, path, tensors, n_tensors, &layout, err));
    for (size_t i = 0; i < w.n_parts && status == HEARTH_OK; i++) {
        if (i == 0 && w.n_parts > 1)
            fill_index(&w);
        else
            fill_shard(&w, &w.parts[i], m);
        if (w.parts[i].header.failed)
            status = error_set(err, HEARTH_ERROR_NO_MEMORY,
                               "cannot write '%s': its header needs more memory than there is, or "
                               "more than %d bytes",
                               w.parts[i].path, SAFETENSORS_MAX_HEADER_BYTES);
    }
    if (status == HEARTH_OK) return tensor_writer_run(&w, source, context, err);
    tensor_writer_discard(&w);
    return status;
}
