/* Reads GGUF v2 and v3 (specification: ggml docs/gguf.md). Little-endian files
 * only. Every count is checked against the bytes that are left before anything is
 * allocated for it.
 *
 * A split model is a row of GGUF files named x-00001-of-0000N.gguf. The first holds
 * the metadata, all hold some tensors, and each says split.no (from 0), split.count
 * and split.tensors.count; names and keys must agree. */
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "format/directory.h"

enum {
    GGUF_MAGIC = 0x46554747, /* "GGUF" */
    GGUF_ALIGNMENT = 32,
    GGUF_MIN_ALIGNMENT = 8,
    GGUF_MAX_ALIGNMENT = 1 << 20,
    GGUF_MAX_KEY_BYTES = 255,
    GGUF_MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name, n_dims, one dim, type, offset */
    GGUF_MIN_VALUE_BYTES = 8 + 1 + 4 + 1
};
#define GGUF_MAX_METADATA_BYTES ((size_t)1 << 31)
#define SPLIT_SUFFIX "-00001-of-00003.gguf"

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
    if (value.key.length == 0 || value.key.length > GGUF_MAX_KEY_BYTES)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "a metadata key of %zu bytes (at byte %zu); 1 to %d are allowed",
                         value.key.length, c->position, GGUF_MAX_KEY_BYTES);
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
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "not a GGUF file: it should begin with 'GGUF'%s%s",
                         c->failed ? ", but is shorter than a header" : "",
                         file_kind_hint(&(struct file_map){c->data, c->size}));
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
    if (name.length == 0 || name.length > TENSOR_MAX_NAME_BYTES ||
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
    if (alignment < GGUF_MIN_ALIGNMENT || (alignment & (alignment - 1)) != 0 ||
        alignment > GGUF_MAX_ALIGNMENT)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "general.alignment is %u; a power of two from %d to %d was expected",
                         alignment, GGUF_MIN_ALIGNMENT, GGUF_MAX_ALIGNMENT);
    RETURN_IF_ERROR(directory_reserve(dir, header.n_tensors, err));
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

static bool read_digits(const char *text, unsigned *number) {
    *number = 0;
    for (int i = 0; i < 5; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *number = *number * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

/* How many parts the name "x-00001-of-0000N.gguf" promises; 1 for any other name. */
static unsigned parts_in_name(const char *path) {
    size_t length = strlen(path), suffix = sizeof SPLIT_SUFFIX - 1;
    unsigned number, total;
    if (length < suffix) return 1;
    const char *tail = path + length - suffix;
    if (tail[0] != '-' || !read_digits(tail + 1, &number) || memcmp(tail + 6, "-of-", 4) != 0 ||
        !read_digits(tail + 10, &total) || strcmp(tail + 15, ".gguf") != 0)
        return 1;
    return number == 0 || number > total || total > DIRECTORY_MAX_FILES ? 1 : total;
}

/* The split keys of part `number` (from 1) against the name's promise. */
static hearth_status check_split(const struct metadata *m, unsigned number, unsigned n_parts,
                                 hearth_error *err) {
    uint64_t count = 1, no = number - 1;
    if ((metadata_find(m, "split.count") && !metadata_u64(m, "split.count", &count)) ||
        (metadata_find(m, "split.no") && !metadata_u64(m, "split.no", &no)))
        return error_set(err, HEARTH_ERROR_FORMAT, "split.count or split.no is not a number");
    if (count == 0) count = 1; /* what merging tools leave behind */
    if (count > 1 && n_parts == 1)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "it is part %llu of a model in %llu parts, which its name does not say; "
                         "name the parts x-%05u-of-%05llu.gguf and so on, and open the first",
                         (unsigned long long)no + 1, (unsigned long long)count, 1,
                         (unsigned long long)count);
    if (count != n_parts || no + 1 != number)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "its name says part %u of %u, its metadata part %llu of %llu; the parts "
                         "are mixed up or renamed: fetch them again",
                         number, n_parts, (unsigned long long)no + 1, (unsigned long long)count);
    return HEARTH_OK;
}

static hearth_status open_part(struct directory *dir, const char *path, unsigned number,
                               unsigned n_parts, hearth_error *err) {
    struct metadata dropped;
    struct file_map *map = &dir->maps[dir->n_maps];
    hearth_status status = file_map_open(map, path, err);
    if (status == HEARTH_ERROR_NOT_FOUND && n_parts > 1)
        return error_set(err, status,
                         "cannot open model '%s': part %u of %u, '%s', is missing; fetch it into "
                         "the same folder, 'hearth pull' fetches all parts",
                         dir->path, number, n_parts, path_base(path));
    if (status != HEARTH_OK) return status;
    dir->n_maps++;
    metadata_init(&dropped, GGUF_MAX_METADATA_BYTES);
    struct metadata *m = number == 1 ? &dir->metadata : &dropped;
    status = read_part(dir, map, m, err);
    if (status == HEARTH_OK) status = check_split(m, number, n_parts, err);
    metadata_release(&dropped);
    return status == HEARTH_OK ? status : error_prefix(err, status, "cannot open model '%s'", path);
}

static hearth_status open_parts(struct directory *dir, char *path, unsigned n_parts,
                                hearth_error *err) {
    for (unsigned number = 1; number <= n_parts; number++) {
        size_t suffix = sizeof SPLIT_SUFFIX - 1;
        if (n_parts > 1)
            snprintf(path + strlen(path) - suffix, suffix + 1, "-%05u-of-%05u.gguf", number,
                     n_parts);
        RETURN_IF_ERROR(open_part(dir, path, number, n_parts, err));
    }
    uint64_t promised = dir->n_tensors;
    if (n_parts > 1 && metadata_u64(&dir->metadata, "split.tensors.count", &promised) &&
        promised != dir->n_tensors)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "cannot open model '%s': split.tensors.count is %llu, the %u parts hold "
                         "%zu tensors; the parts do not belong together: fetch them again",
                         dir->path, (unsigned long long)promised, n_parts, dir->n_tensors);
    hearth_status status = directory_index(dir, err);
    return status == HEARTH_OK ? status
                               : error_prefix(err, status, "cannot open model '%s'", dir->path);
}

hearth_status gguf_open(struct directory *dir, const char *path, hearth_error *err) {
    unsigned n_parts = parts_in_name(path);
    RETURN_IF_ERROR(directory_init(dir, path, n_parts, err));
    char *part = mem_strdup(path);
    hearth_status status =
        part ? open_parts(dir, part, n_parts, err)
             : error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to open '%s'", path);
    if (status != HEARTH_OK) directory_close(dir);
    mem_free(part);
    return status;
}
