/* Reads GGUF v2 and v3 (specification: ggml docs/gguf.md). Little-endian files
 * only. Every count is checked against the bytes that are left before anything is
 * allocated for it. */
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "format/directory.h"

enum {
    GGUF_MAGIC = 0x46554747, /* "GGUF" */
    GGUF_ALIGNMENT = 32,
    GGUF_MAX_ALIGNMENT = 1 << 20,
    GGUF_MAX_NAME_BYTES = 255,
    GGUF_MAX_PARTS = 4096,
    GGUF_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name, n_dims, one dim, type, offset */
    GGUF_MIN_VALUE_BYTES = 8 + 1 + 4 + 1
};
#define GGUF_MAX_METADATA_BYTES ((size_t)1 << 31)

struct gguf_header {
    uint64_t n_tensors, n_values;
    uint64_t alignment;
};

static hearth_status truncated(const struct cursor *c, const char *what, hearth_error *err) {
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "the file ends inside %s (at byte %zu of %zu); the download is probably "
                     "incomplete: fetch it again",
                     what, c->position, c->size);
}

static struct text read_text(struct cursor *c) {
    uint64_t length = cursor_u64(c);
    if (length > cursor_left(c)) {
        c->failed = true;
        return (struct text){"", 0};
    }
    return (struct text){(const char *)cursor_bytes(c, (size_t)length), (size_t)length};
}

static hearth_status read_array(struct cursor *c, struct metadata *m, struct text key,
                                struct meta_array *array, hearth_error *err) {
    uint32_t type = cursor_u32(c);
    uint64_t count = cursor_u64(c);
    if (c->failed) return truncated(c, "a metadata array", err);
    if (type >= META_TYPES || type == META_ARRAY)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata '%.*s' is an array of unknown type %u (at byte %zu)",
                         (int)key.length, key.data, type, c->position);
    size_t bytes = meta_type_bytes(type);
    if (count > cursor_left(c) / (bytes ? bytes : 8))
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata '%.*s' claims %llu elements, but only %zu bytes are left in the "
                         "file",
                         (int)key.length, key.data, (unsigned long long)count, cursor_left(c));
    *array = (struct meta_array){.type = type, .count = (size_t)count};
    if (bytes) {
        array->data = cursor_bytes(c, (size_t)count * bytes);
        return HEARTH_OK;
    }
    struct text *strings = arena_calloc(&m->arena, (size_t)count, sizeof *strings);
    if (!strings)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for metadata '%.*s'",
                         (int)key.length, key.data);
    for (size_t i = 0; i < count; i++)
        strings[i] = read_text(c);
    if (c->failed) return truncated(c, "a metadata array of strings", err);
    array->strings = strings;
    return HEARTH_OK;
}

static void read_number(struct cursor *c, struct meta_value *value) {
    switch (value->type) {
    case META_U8:
    case META_BOOL: value->u = cursor_u8(c); break;
    case META_I8: value->i = (int8_t)cursor_u8(c); break;
    case META_U16: value->u = cursor_u16(c); break;
    case META_I16: value->i = (int16_t)cursor_u16(c); break;
    case META_U32: value->u = cursor_u32(c); break;
    case META_I32: value->i = (int32_t)cursor_u32(c); break;
    case META_U64: value->u = cursor_u64(c); break;
    case META_I64: value->i = (int64_t)cursor_u64(c); break;
    case META_F32: value->f = (double)cursor_f32(c); break;
    case META_F64: value->f = cursor_f64(c); break;
    default: break;
    }
}

static hearth_status read_value(struct cursor *c, struct metadata *m, hearth_error *err) {
    struct meta_value value = {.key = read_text(c)};
    uint32_t type = cursor_u32(c);
    if (c->failed) return truncated(c, "the metadata", err);
    if (value.key.length == 0 || value.key.length > GGUF_MAX_NAME_BYTES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "a metadata key of %zu bytes (at byte %zu); 1 to %d are allowed",
                         value.key.length, c->position, GGUF_MAX_NAME_BYTES);
    if (type >= META_TYPES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata '%.*s' has unknown type %u (at byte %zu)", (int)value.key.length,
                         value.key.data, type, c->position);
    value.type = type;
    if (type == META_STRING)
        value.string = read_text(c);
    else if (type == META_ARRAY)
        RETURN_IF_ERROR(read_array(c, m, value.key, &value.array, err));
    else
        read_number(c, &value);
    if (c->failed) return truncated(c, "the metadata", err);
    return metadata_add(m, &value, err);
}

static hearth_status read_header(struct cursor *c, struct gguf_header *header, hearth_error *err) {
    uint32_t magic = cursor_u32(c), version = cursor_u32(c);
    if (c->failed || magic != GGUF_MAGIC)
        return error_set(err, HEARTH_ERROR_FORMAT, "not a GGUF file: it should begin with 'GGUF'%s",
                         c->failed ? ", but is shorter than a header" : "");
    if (version >> 16 != 0 && (version & 0xffff) == 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "a big-endian GGUF file; convert it to little-endian");
    if (version != 2 && version != 3)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "GGUF version %u; versions 2 and 3 are supported", version);
    header->n_tensors = cursor_u64(c);
    header->n_values = cursor_u64(c);
    if (c->failed) return truncated(c, "the header", err);
    if (header->n_tensors > cursor_left(c) / GGUF_MIN_TENSOR_BYTES ||
        header->n_values > cursor_left(c) / GGUF_MIN_VALUE_BYTES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "the header claims %llu tensors and %llu metadata values, more than %zu "
                         "bytes can hold",
                         (unsigned long long)header->n_tensors,
                         (unsigned long long)header->n_values, cursor_left(c));
    return HEARTH_OK;
}

/* Reads name, shape, type and offset; `data` holds the offset until it is placed. */
static hearth_status read_tensor(struct cursor *c, struct arena *arena, struct tensor *tensor,
                                 uint64_t *offset, hearth_error *err) {
    struct text name = read_text(c);
    uint32_t n_dims = cursor_u32(c);
    if (c->failed) return truncated(c, "the tensor table", err);
    if (name.length == 0 || name.length > GGUF_MAX_NAME_BYTES ||
        memchr(name.data, '\0', name.length))
        return error_set(err, HEARTH_ERROR_FORMAT, "a tensor name of %zu bytes (at byte %zu)",
                         name.length, c->position);
    if (n_dims > TENSOR_MAX_DIMS)
        return error_set(err, HEARTH_ERROR_FORMAT, "tensor '%.*s' has %u dimensions; at most %d",
                         (int)name.length, name.data, n_dims, TENSOR_MAX_DIMS);
    tensor->name = arena_strndup(arena, name.data, name.length);
    if (!tensor->name) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for tensor names");
    tensor->n_dims = n_dims;
    for (unsigned i = 0; i < TENSOR_MAX_DIMS; i++)
        tensor->dims[i] = i < n_dims ? cursor_u64(c) : 1;
    uint32_t type = cursor_u32(c);
    *offset = cursor_u64(c);
    if (c->failed) return truncated(c, "the tensor table", err);
    if (!elem_known(type))
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "tensor '%s' has element type %u, which Hearth does not know",
                         tensor->name, type);
    tensor->type = type;
    return tensor_check_shape(tensor, err);
}

static hearth_status place_tensors(struct directory *dir, size_t first, const uint64_t *offsets,
                                   const struct file_map *map, size_t data_start,
                                   uint64_t alignment, hearth_error *err) {
    for (size_t i = first; i < dir->n_tensors; i++) {
        struct tensor *tensor = &dir->tensors[i];
        uint64_t begin, end;
        if (offsets[i - first] % alignment != 0)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%s' starts at offset %llu, which is not a multiple of %llu",
                             tensor->name, (unsigned long long)offsets[i - first],
                             (unsigned long long)alignment);
        if (__builtin_add_overflow(offsets[i - first], data_start, &begin) ||
            __builtin_add_overflow(begin, tensor->size_bytes, &end) || end > map->size)
            return error_set(err, HEARTH_ERROR_FORMAT,
                             "tensor '%s' (%llu bytes at offset %llu) ends beyond the file, which "
                             "has %zu bytes; the download is probably incomplete: fetch it again",
                             tensor->name, (unsigned long long)tensor->size_bytes,
                             (unsigned long long)offsets[i - first], map->size);
        tensor->data = map->data + begin;
    }
    return HEARTH_OK;
}

static hearth_status add_tensors(struct directory *dir, uint64_t count, hearth_error *err) {
    struct tensor *grown =
        mem_realloc_array(dir->tensors, dir->n_tensors + (size_t)count, sizeof *grown);
    if (!grown)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %llu tensors",
                         (unsigned long long)count);
    dir->tensors = grown;
    return HEARTH_OK;
}

/* Reads one part; metadata of later parts goes into `scratch` and is dropped. */
static hearth_status read_part(struct directory *dir, const struct file_map *map,
                               struct metadata *m, hearth_error *err) {
    struct cursor c = cursor_over(map->data, map->size);
    struct gguf_header header = {0};
    uint32_t alignment = GGUF_ALIGNMENT;
    RETURN_IF_ERROR(read_header(&c, &header, err));
    for (uint64_t i = 0; i < header.n_values; i++)
        RETURN_IF_ERROR(read_value(&c, m, err));
    if (metadata_find(m, "general.alignment") && !metadata_u32(m, "general.alignment", &alignment))
        return error_set(err, HEARTH_ERROR_FORMAT, "general.alignment is not a number");
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > GGUF_MAX_ALIGNMENT)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "general.alignment is %u; a power of two was expected", alignment);
    RETURN_IF_ERROR(add_tensors(dir, header.n_tensors, err));
    uint64_t *offsets = mem_calloc((size_t)header.n_tensors, sizeof *offsets);
    if (!offsets) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for the tensor table");
    size_t first = dir->n_tensors;
    hearth_status status = HEARTH_OK;
    for (uint64_t i = 0; i < header.n_tensors && status == HEARTH_OK; i++) {
        dir->tensors[dir->n_tensors] = (struct tensor){0};
        status =
            read_tensor(&c, &dir->metadata.arena, &dir->tensors[dir->n_tensors], &offsets[i], err);
        if (status == HEARTH_OK) dir->n_tensors++;
    }
    if (status == HEARTH_OK) {
        size_t data_start = (c.position + alignment - 1) / alignment * alignment;
        status = place_tensors(dir, first, offsets, map, data_start, alignment, err);
    }
    mem_free(offsets);
    return status;
}

/* "x-00001-of-00003.gguf" -> the path of part `part`; NULL if not such a name. */
static char *part_path(const char *path, unsigned part, unsigned *n_parts) {
    enum { SUFFIX = sizeof "-00001-of-00003.gguf" - 1 };
    size_t length = strlen(path);
    if (length < SUFFIX) return NULL;
    const char *tail = path + length - SUFFIX;
    unsigned number, total;
    int used = 0;
    if (sscanf(tail, "-%5u-of-%5u.gguf%n", &number, &total, &used) != 2 || used != SUFFIX)
        return NULL;
    if (total == 0 || total > GGUF_MAX_PARTS || number == 0 || number > total) return NULL;
    *n_parts = total;
    char *name = mem_strdup(path);
    if (name) snprintf(name + length - SUFFIX, SUFFIX + 1, "-%05u-of-%05u.gguf", part, total);
    return name;
}

static hearth_status open_part(struct directory *dir, const char *path, hearth_error *err) {
    struct metadata dropped;
    bool first = dir->n_maps == 0;
    hearth_status status = file_map_open(&dir->maps[dir->n_maps], path, err);
    if (status != HEARTH_OK) return status;
    struct file_map *map = &dir->maps[dir->n_maps++];
    metadata_init(&dropped, GGUF_MAX_METADATA_BYTES);
    status = read_part(dir, map, first ? &dir->metadata : &dropped, err);
    metadata_release(&dropped);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot open model '%s'", path);
}

hearth_status gguf_open(struct directory *dir, const char *path, hearth_error *err) {
    unsigned n_parts = 1;
    *dir = (struct directory){0};
    metadata_init(&dir->metadata, GGUF_MAX_METADATA_BYTES);
    char *first = part_path(path, 1, &n_parts);
    dir->path = mem_strdup(path);
    dir->maps = mem_calloc(n_parts, sizeof *dir->maps);
    hearth_status status = HEARTH_OK;
    if (!dir->path || !dir->maps)
        status = error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open '%s'", path);
    else
        status = open_part(dir, first ? first : path, err);
    for (unsigned i = 2; status == HEARTH_OK && first && i <= n_parts; i++) {
        char *part = part_path(path, i, &n_parts);
        status = part ? open_part(dir, part, err)
                      : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open '%s'", path);
        mem_free(part);
    }
    if (status == HEARTH_OK) {
        status = directory_index(dir, err);
        if (status != HEARTH_OK) error_prefix(err, status, "cannot open model '%s'", path);
    }
    if (status != HEARTH_OK) directory_close(dir);
    mem_free(first);
    return status;
}
