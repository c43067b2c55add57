#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "format/json_text.h"
#include "format/safetensors.h"

enum { MAX_SHAPE_DIMS = 16 };
#define MAX_INDEX_BYTES ((size_t)100 * 1000 * 1000)

static const struct {
    const char *name;
    enum elem type;
    enum dtype dtype;
} dtypes[] = {
    {"F32", ELEM_F32, DTYPE_ELEM},       {"F16", ELEM_F16, DTYPE_ELEM},
    {"BF16", ELEM_BF16, DTYPE_ELEM},     {"F64", ELEM_F64, DTYPE_ELEM},
    {"I64", ELEM_I64, DTYPE_ELEM},       {"I32", ELEM_I32, DTYPE_ELEM},
    {"I16", ELEM_I16, DTYPE_ELEM},       {"I8", ELEM_I8, DTYPE_ELEM},
    {"U64", ELEM_I64, DTYPE_U64},        {"U32", ELEM_I32, DTYPE_U32},
    {"U16", ELEM_I16, DTYPE_U16},        {"U8", ELEM_I8, DTYPE_U8},
    {"BOOL", ELEM_I8, DTYPE_BOOL},       {"F8_E4M3", ELEM_I8, DTYPE_F8_E4M3},
    {"F8_E5M2", ELEM_I8, DTYPE_F8_E5M2}, {"F8_E8M0", ELEM_I8, DTYPE_F8_E8M0},
    {"F4", ELEM_I8, DTYPE_F4},
};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

const char *safetensors_dtype_name(const struct tensor *tensor) {
    for (size_t i = 0; i < N_DTYPES; i++)
        if (dtypes[i].type == tensor->type && dtypes[i].dtype == tensor->dtype)
            return dtypes[i].name;
    return NULL;
}

bool safetensors_dtype_set(struct tensor *tensor, const char *name) {
    for (size_t i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            tensor->type = dtypes[i].type;
            tensor->dtype = dtypes[i].dtype;
            return true;
        }
    return false;
}

/* ---- one file ------------------------------------------------------------ */

struct span {
    uint64_t begin, end;
    const struct tensor *tensor;
};

static hearth_status read_shape(const json_t *shape, struct tensor *tensor, hearth_error *err) {
    size_t n = json_array_size(shape);
    if (!json_is_array(shape) || n > MAX_SHAPE_DIMS)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' has no shape of at most %d dimensions", tensor->name,
                         MAX_SHAPE_DIMS);
    tensor->n_dims = n < TENSOR_MAX_DIMS ? (unsigned)n : TENSOR_MAX_DIMS;
    for (unsigned i = 0; i < TENSOR_MAX_DIMS; i++)
        tensor->dims[i] = 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *number = json_array_get(shape, n - 1 - i);
        uint64_t *dim = &tensor->dims[i < TENSOR_MAX_DIMS ? i : TENSOR_MAX_DIMS - 1];
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%s' has a dimension that is not a whole number",
                             tensor->name);
        if (json_integer_value(number) == 0)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%s' is empty: one of its dimensions is 0; the checkpoint was "
                             "probably saved in pieces: gather it and save it again",
                             tensor->name);
        if (__builtin_mul_overflow(*dim, (uint64_t)json_integer_value(number), dim))
            return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%s' has an impossible shape",
                             tensor->name);
    }
    if (tensor->dtype == DTYPE_F4) {
        if (tensor->dims[0] % 2 != 0)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%s' has rows of an odd number of 4-bit values", tensor->name);
        tensor->dims[0] /= 2;
    }
    return tensor_check_shape(tensor, err);
}

static hearth_status read_offsets(const json_t *offsets, size_t data_bytes, struct span *span,
                                  hearth_error *err) {
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    const struct tensor *tensor = span->tensor;
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' has no data_offsets [begin, end] with begin <= end",
                         tensor->name);
    span->begin = (uint64_t)json_integer_value(begin);
    span->end = (uint64_t)json_integer_value(end);
    if (span->end > data_bytes)
        return error_set(
            err, HEARTH_ERROR_FORMAT,
            "tensor '%s' ends at byte %llu of the data, of which the file has %zu; the "
            "download is probably incomplete: fetch it again",
            tensor->name, (unsigned long long)span->end, data_bytes);
    if (span->end - span->begin != tensor->size_bytes)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' has %llu bytes by its shape and type, %llu by its offsets",
                         tensor->name, (unsigned long long)tensor->size_bytes,
                         (unsigned long long)(span->end - span->begin));
    return HEARTH_OK;
}

static hearth_status read_tensor(struct directory *dir, const char *name, const json_t *entry,
                                 const uint8_t *data, size_t data_bytes, struct span *span,
                                 hearth_error *err) {
    struct tensor *tensor = &dir->tensors[dir->n_tensors];
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    size_t length = strlen(name);
    if (length == 0 || length > TENSOR_MAX_NAME_BYTES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "a tensor name of %zu bytes; 1 to %d are allowed", length,
                         TENSOR_MAX_NAME_BYTES);
    *tensor = (struct tensor){.name = arena_strndup(&dir->metadata.arena, name, length)};
    if (!tensor->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tensor names");
    if (!dtype)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "tensor '%s' has no dtype; {dtype, shape, data_offsets} were expected",
                         name);
    if (!safetensors_dtype_set(tensor, dtype))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' has dtype '%.32s', which Hearth does not know", name, dtype);
    RETURN_IF_ERROR(read_shape(json_object_get(entry, "shape"), tensor, err));
    span->tensor = tensor;
    RETURN_IF_ERROR(read_offsets(json_object_get(entry, "data_offsets"), data_bytes, span, err));
    tensor->data = data + span->begin;
    dir->n_tensors++;
    return HEARTH_OK;
}

static int compare_spans(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* No byte of the data belongs to two tensors or to none: hidden data and confusion
 * about where a tensor is are both refused. */
static hearth_status check_cover(struct span *spans, size_t n, size_t data_bytes,
                                 hearth_error *err) {
    uint64_t at = 0;
    if (n) qsort(spans, n, sizeof *spans, compare_spans);
    for (size_t i = 0; i < n; at = spans[i++].end) {
        if (spans[i].begin < at)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "the data of tensors '%s' and '%s' overlap (at byte %llu)",
                             spans[i - 1].tensor->name, spans[i].tensor->name,
                             (unsigned long long)spans[i].begin);
        if (spans[i].begin > at)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "%llu bytes in front of tensor '%s' belong to no tensor",
                             (unsigned long long)(spans[i].begin - at), spans[i].tensor->name);
    }
    if (at != data_bytes)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "%llu bytes at the end of the file belong to no tensor",
                         (unsigned long long)(data_bytes - at));
    return HEARTH_OK;
}

static hearth_status read_metadata(struct metadata *m, json_t *strings, hearth_error *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(strings))
        return error_set(err, HEARTH_ERROR_FORMAT, "__metadata__ is not an object of strings");
    json_object_foreach(strings, key, value) {
        if (!json_is_string(value))
            return error_set(err, HEARTH_ERROR_FORMAT, "__metadata__ '%.100s' is not a string",
                             key);
        RETURN_IF_ERROR(
            metadata_set_string(m, key, json_string_value(value), json_string_length(value), err));
    }
    return HEARTH_OK;
}

static hearth_status read_entries(struct directory *dir, json_t *header, const uint8_t *data,
                                  size_t data_bytes, hearth_error *err) {
    const char *name;
    json_t *entry;
    size_t n = 0;
    RETURN_IF_ERROR(directory_reserve(dir, json_object_size(header), err));
    struct span *spans = mem_alloc_array(json_object_size(header), sizeof *spans);
    if (!spans) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tensor table");
    hearth_status status = HEARTH_OK;
    json_object_foreach(header, name, entry) {
        if (strcmp(name, "__metadata__") == 0)
            status = read_metadata(&dir->metadata, entry, err);
        else
            status = read_tensor(dir, name, entry, data, data_bytes, &spans[n++], err);
        if (status != HEARTH_OK) break;
    }
    if (status == HEARTH_OK) status = check_cover(spans, n, data_bytes, err);
    mem_free(spans);
    return status;
}

hearth_status safetensors_parse(struct directory *dir, const void *data, size_t size,
                                hearth_error *err) {
    struct cursor c = cursor_over(data, size);
    const struct file_map map = {data, size};
    json_t *header;
    uint64_t length = cursor_u64(&c);
    if (c.failed)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "not a safetensors file: it has only %zu bytes%s", size,
                         file_kind_hint(&map));
    if (length > SAFETENSORS_MAX_HEADER_BYTES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "not a safetensors file: its header would have %llu bytes; at most %d are "
                         "allowed%s",
                         (unsigned long long)length, SAFETENSORS_MAX_HEADER_BYTES,
                         file_kind_hint(&map));
    const char *text = (const char *)cursor_bytes(&c, (size_t)length);
    if (!text)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the header should have %llu bytes, the file has %zu; the download is "
                         "probably incomplete: fetch it again",
                         (unsigned long long)length, size);
    if (length == 0 || text[0] != '{')
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "not a safetensors file: its header does not begin with '{'");
    RETURN_IF_ERROR(json_text_object(&header, text, (size_t)length, JSON_TEXT_STRICT,
                                     "the safetensors header", err));
    hearth_status status = read_entries(dir, header, c.data + c.position, cursor_left(&c), err);
    json_decref(header);
    return status;
}

static hearth_status open_shard(struct directory *dir, const char *path, hearth_error *err) {
    struct file_map *map = &dir->maps[dir->n_maps];
    RETURN_IF_ERROR(file_map_open(map, path, err));
    dir->n_maps++;
    hearth_status status = safetensors_parse(dir, map->data, map->size, err);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot open '%s'", path);
}

static hearth_status open_single(struct directory *dir, const char *path, hearth_error *err) {
    RETURN_IF_ERROR(directory_init(dir, path, 1, err));
    hearth_status status = open_shard(dir, path, err);
    if (status == HEARTH_OK) {
        status = directory_align(dir, 0, err);
        if (status == HEARTH_OK) status = directory_index(dir, err);
        if (status != HEARTH_OK) error_prefix(err, status, "cannot open '%s'", path);
    }
    if (status != HEARTH_OK) directory_close(dir);
    return status;
}

/* ---- an index and its shards ---------------------------------------------- */

static bool is_plain_name(const char *name) {
    return name && name[0] != '\0' && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

/* The distinct file names of the weight map as the keys of an object, in order. */
static hearth_status collect_files(json_t *weight_map, json_t **files, hearth_error *err) {
    const char *name;
    json_t *file;
    *files = json_object();
    if (!*files) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the index");
    json_object_foreach(weight_map, name, file) {
        const char *shard = json_string_value(file);
        if (!is_plain_name(shard))
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%.200s' is said to be in '%.100s'; the name of a file in the "
                             "same folder was expected",
                             name, shard ? shard : "(not a string)");
        if (!json_object_get(*files, shard) && json_object_set_new(*files, shard, json_true()) != 0)
            return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the index");
    }
    return HEARTH_OK;
}

/* Of a tensor that two shards hold, the one that the index names counts. */
static void drop_foreign(struct directory *dir, size_t first, const json_t *weight_map,
                         const char *shard) {
    size_t kept = first;
    for (size_t i = first; i < dir->n_tensors; i++) {
        const char *owner = json_string_value(json_object_get(weight_map, dir->tensors[i].name));
        if (!owner || strcmp(owner, shard) == 0) dir->tensors[kept++] = dir->tensors[i];
    }
    dir->n_tensors = kept;
}

static hearth_status open_listed(struct directory *dir, const char *shard, size_t number,
                                 size_t n_shards, const json_t *weight_map, hearth_error *err) {
    char *folder = path_folder(dir->path);
    char *path = folder ? path_join(folder, shard) : NULL;
    size_t first = dir->n_tensors;
    mem_free(folder);
    if (!path) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open '%s'", shard);
    hearth_status status = file_exists(path)
                               ? open_shard(dir, path, err)
                               : error_set(err, HEARTH_ERROR_NOT_FOUND,
                                           "shard %zu of %zu, '%s', is missing; fetch "
                                           "it into the same folder, 'hearth pull' "
                                           "fetches all shards",
                                           number, n_shards, shard);
    mem_free(path);
    if (status != HEARTH_OK) return status;
    drop_foreign(dir, first, weight_map, shard);
    return directory_align(dir, first, err);
}

static hearth_status open_shards(struct directory *dir, json_t *weight_map, json_t *files,
                                 hearth_error *err) {
    const char *name;
    json_t *file;
    size_t number = 0;
    json_object_foreach(files, name, file)
        RETURN_IF_ERROR(open_listed(dir, name, ++number, json_object_size(files), weight_map, err));
    RETURN_IF_ERROR(directory_index(dir, err));
    json_object_foreach(weight_map, name, file) if (!directory_find(dir, name)) return error_set(
        err, HEARTH_ERROR_FORMAT,
        "tensor '%.200s' is not in '%s', where the index expects it; the files "
        "do not belong together: fetch them again",
        name, json_string_value(file));
    return HEARTH_OK;
}

static hearth_status read_index(const char *path, json_t **index, hearth_error *err) {
    char *text;
    size_t size;
    RETURN_IF_ERROR(file_read(path, MAX_INDEX_BYTES, &text, &size, err));
    hearth_status status =
        json_text_object(index, text, size, JSON_TEXT_STRICT, "the index of the shards", err);
    mem_free(text);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot open '%s'", path);
}

static hearth_status open_index(struct directory *dir, const char *path, hearth_error *err) {
    json_t *index, *files = NULL;
    *dir = (struct directory){0};
    RETURN_IF_ERROR(read_index(path, &index, err));
    json_t *weight_map = json_object_get(index, "weight_map");
    hearth_status status =
        json_is_object(weight_map)
            ? collect_files(weight_map, &files, err)
            : error_set(err, HEARTH_ERROR_FORMAT, "it has no weight_map from tensors to files");
    if (status == HEARTH_OK) status = directory_init(dir, path, json_object_size(files), err);
    if (status == HEARTH_OK) status = open_shards(dir, weight_map, files, err);
    if (status != HEARTH_OK) {
        error_prefix(err, status, "cannot open '%s'", path);
        directory_close(dir);
    }
    json_decref(files);
    json_decref(index);
    return status;
}

hearth_status safetensors_open(struct directory *dir, const char *path, hearth_error *err) {
    size_t length = strlen(path), suffix = sizeof ".json" - 1;
    bool is_index = length >= suffix && strcmp(path + length - suffix, ".json") == 0;
    return is_index ? open_index(dir, path, err) : open_single(dir, path, err);
}
