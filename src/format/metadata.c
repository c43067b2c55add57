#include "format/metadata.h"

#include <string.h>

#include "base/mem.h"

enum {
    METADATA_MAX_KEYS = 1 << 20,
    /* Keys that crowd one place of the hash table this much were chosen to. */
    INDEX_MAX_PROBES = 1024
};

static const struct {
    const char *name;
    size_t bytes;
} types[META_TYPES] = {
    [META_U8] = {"u8", 1},   [META_I8] = {"i8", 1},       [META_U16] = {"u16", 2},
    [META_I16] = {"i16", 2}, [META_U32] = {"u32", 4},     [META_I32] = {"i32", 4},
    [META_F32] = {"f32", 4}, [META_BOOL] = {"bool", 1},   [META_STRING] = {"string", 0},
    [META_U64] = {"u64", 8}, [META_ARRAY] = {"array", 0}, [META_I64] = {"i64", 8},
    [META_F64] = {"f64", 8},
};

size_t meta_type_bytes(enum meta_type type) {
    return type < META_TYPES ? types[type].bytes : 0;
}

const char *meta_type_name(enum meta_type type) {
    return type < META_TYPES ? types[type].name : "unknown";
}

bool text_equal(struct text a, const char *b) {
    size_t n = strlen(b);
    return a.length == n && memcmp(a.data, b, n) == 0;
}

void metadata_init(struct metadata *m, size_t max_bytes) {
    *m = (struct metadata){0};
    arena_init(&m->arena, max_bytes);
}

void metadata_release(struct metadata *m) {
    arena_release(&m->arena);
    mem_free(m->values);
    mem_free(m->index);
    *m = (struct metadata){0};
}

/* FNV-1a, 64 bits. */
static uint64_t hash_key(const char *data, size_t length) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (uint8_t)data[i]) * 0x100000001b3u;
    return h;
}

static struct meta_value *find(const struct metadata *m, const char *key, size_t length) {
    if (m->index_size == 0) return NULL;
    for (size_t at = hash_key(key, length) & (m->index_size - 1); m->index[at];
         at = (at + 1) & (m->index_size - 1)) {
        struct meta_value *value = &m->values[m->index[at] - 1];
        if (value->key.length == length && memcmp(value->key.data, key, length) == 0) return value;
    }
    return NULL;
}

static bool index_insert(struct metadata *m, uint32_t number) {
    struct text key = m->values[number].key;
    size_t at = hash_key(key.data, key.length) & (m->index_size - 1);
    for (unsigned probes = 0; m->index[at]; at = (at + 1) & (m->index_size - 1))
        if (++probes > INDEX_MAX_PROBES) return false;
    m->index[at] = number + 1;
    return true;
}

static bool grow(struct metadata *m) {
    size_t capacity = m->capacity ? m->capacity * 2 : 64;
    struct meta_value *values = mem_realloc_array(m->values, capacity, sizeof *values);
    if (!values) return false;
    m->values = values;
    uint32_t *index = mem_calloc(capacity * 2, sizeof *index);
    if (!index) return false;
    mem_free(m->index);
    m->index = index;
    m->index_size = capacity * 2;
    m->capacity = capacity;
    /* A larger table only splits what crowded together in the smaller one. */
    for (size_t i = 0; i < m->count; i++)
        index_insert(m, (uint32_t)i);
    return true;
}

hearth_status metadata_add(struct metadata *m, const struct meta_value *value, hearth_error *err) {
    if (find(m, value->key.data, value->key.length))
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata key '%.*s' appears twice",
                         (int)(value->key.length < 200 ? value->key.length : 200), value->key.data);
    if (m->count == METADATA_MAX_KEYS)
        return error_set(err, HEARTH_ERROR_LIMIT, "more than %d metadata keys", METADATA_MAX_KEYS);
    if (m->count == m->capacity && !grow(m))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for metadata key %zu", m->count);
    m->values[m->count] = *value;
    if (!index_insert(m, (uint32_t)m->count))
        return error_set(err, HEARTH_ERROR_LIMIT,
                         "the metadata keys were made to collide (at '%.*s')",
                         (int)(value->key.length < 200 ? value->key.length : 200), value->key.data);
    m->count++;
    return HEARTH_OK;
}

static hearth_status set(struct metadata *m, const char *key, struct meta_value value,
                         hearth_error *err) {
    size_t length = strlen(key);
    struct meta_value *old = find(m, key, length);
    if (old) {
        value.key = old->key;
        *old = value;
        return HEARTH_OK;
    }
    value.key = (struct text){arena_strndup(&m->arena, key, length), length};
    if (!value.key.data)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for metadata key '%s'", key);
    return metadata_add(m, &value, err);
}

hearth_status metadata_set_uint(struct metadata *m, const char *key, enum meta_type type,
                                uint64_t value, hearth_error *err) {
    return set(m, key, (struct meta_value){.type = type, .u = value}, err);
}

hearth_status metadata_set_float(struct metadata *m, const char *key, double value,
                                 hearth_error *err) {
    return set(m, key, (struct meta_value){.type = META_F32, .f = value}, err);
}

hearth_status metadata_set_bool(struct metadata *m, const char *key, bool value,
                                hearth_error *err) {
    return set(m, key, (struct meta_value){.type = META_BOOL, .u = value}, err);
}

hearth_status metadata_set_string(struct metadata *m, const char *key, const char *data,
                                  size_t length, hearth_error *err) {
    const char *copy = arena_strndup(&m->arena, data, length);
    if (!copy) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for metadata '%s'", key);
    return set(m, key, (struct meta_value){.type = META_STRING, .string = {copy, length}}, err);
}

hearth_status metadata_set_array(struct metadata *m, const char *key, enum meta_type type,
                                 const void *data, size_t count, hearth_error *err) {
    size_t bytes = meta_type_bytes(type);
    void *copy = arena_calloc(&m->arena, count, bytes);
    if (!copy || bytes == 0)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for metadata '%s'", key);
    if (count) memcpy(copy, data, count * bytes);
    return set(m, key,
               (struct meta_value){.type = META_ARRAY,
                                   .array = {.type = type, .count = count, .data = copy}},
               err);
}

hearth_status metadata_set_strings(struct metadata *m, const char *key, const struct text *strings,
                                   size_t count, hearth_error *err) {
    struct text *copy = arena_calloc(&m->arena, count, sizeof *copy);
    bool ok = copy != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        copy[i] = (struct text){arena_strndup(&m->arena, strings[i].data, strings[i].length),
                                strings[i].length};
        ok = copy[i].data != NULL;
    }
    if (!ok) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for metadata '%s'", key);
    return set(m, key,
               (struct meta_value){.type = META_ARRAY,
                                   .array = {.type = META_STRING, .count = count, .strings = copy}},
               err);
}

const struct meta_value *metadata_find(const struct metadata *m, const char *key) {
    return find(m, key, strlen(key));
}

static bool is_signed(enum meta_type type) {
    return type == META_I8 || type == META_I16 || type == META_I32 || type == META_I64;
}

static bool is_unsigned(enum meta_type type) {
    return type == META_U8 || type == META_U16 || type == META_U32 || type == META_U64;
}

bool metadata_u64(const struct metadata *m, const char *key, uint64_t *out) {
    const struct meta_value *value = metadata_find(m, key);
    if (!value || !(is_unsigned(value->type) || (is_signed(value->type) && value->i >= 0)))
        return false;
    *out = value->u;
    return true;
}

bool metadata_u32(const struct metadata *m, const char *key, uint32_t *out) {
    uint64_t wide;
    if (!metadata_u64(m, key, &wide) || wide > UINT32_MAX) return false;
    *out = (uint32_t)wide;
    return true;
}

bool metadata_f32(const struct metadata *m, const char *key, float *out) {
    const struct meta_value *value = metadata_find(m, key);
    if (!value) return false;
    if (value->type == META_F32 || value->type == META_F64)
        *out = (float)value->f;
    else if (is_unsigned(value->type))
        *out = (float)value->u;
    else if (is_signed(value->type))
        *out = (float)value->i;
    else
        return false;
    return true;
}

bool metadata_bool(const struct metadata *m, const char *key, bool *out) {
    const struct meta_value *value = metadata_find(m, key);
    if (!value || value->type != META_BOOL) return false;
    *out = value->u != 0;
    return true;
}

bool metadata_string(const struct metadata *m, const char *key, struct text *out) {
    const struct meta_value *value = metadata_find(m, key);
    if (!value || value->type != META_STRING) return false;
    *out = value->string;
    return true;
}

const struct meta_array *metadata_array(const struct metadata *m, const char *key) {
    const struct meta_value *value = metadata_find(m, key);
    return value && value->type == META_ARRAY ? &value->array : NULL;
}

int64_t meta_array_int(const struct meta_array *array, size_t i) {
    size_t bytes = meta_type_bytes(array->type);
    if (i >= array->count || bytes == 0) return 0;
    if (array->type == META_F32 || array->type == META_F64) {
        double f = meta_array_float(array, i);
        return f > -0x1.0p63 && f < 0x1.0p63 ? (int64_t)f : 0;
    }
    uint64_t raw = 0;
    memcpy(&raw, (const uint8_t *)array->data + i * bytes, bytes);
    if (is_signed(array->type) && bytes < 8 && (raw >> (8 * bytes - 1) & 1))
        raw |= UINT64_MAX << (8 * bytes);
    return (int64_t)raw;
}

double meta_array_float(const struct meta_array *array, size_t i) {
    size_t bytes = meta_type_bytes(array->type);
    if (i >= array->count || bytes == 0) return 0;
    const uint8_t *at = (const uint8_t *)array->data + i * bytes;
    if (array->type == META_F32) {
        float f;
        memcpy(&f, at, sizeof f);
        return (double)f;
    }
    if (array->type == META_F64) {
        double f;
        memcpy(&f, at, sizeof f);
        return f;
    }
    return (double)meta_array_int(array, i);
}
