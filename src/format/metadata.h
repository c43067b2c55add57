/* metadata.h - typed key/value pairs of a model: what a GGUF header holds, or what
 * was built from a Hugging Face folder's JSON.
 *
 * A metadata set owns nothing it was told to borrow: strings and arrays added
 * with `borrow` point into a mapping that must outlive the set. Keys are unique.
 * Value types carry GGUF's numbers. */
#ifndef HEARTH_FORMAT_METADATA_H
#define HEARTH_FORMAT_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum meta_type {
    META_U8,
    META_I8,
    META_U16,
    META_I16,
    META_U32,
    META_I32,
    META_F32,
    META_BOOL,
    META_STRING,
    META_ARRAY,
    META_U64,
    META_I64,
    META_F64,
    META_TYPES
};

/* Not NUL-terminated. */
struct text {
    const char *data;
    size_t length;
};

struct meta_array {
    enum meta_type type; /* of the elements; never META_ARRAY */
    size_t count;
    const void *data;           /* packed little-endian numbers, any alignment; or NULL */
    const struct text *strings; /* when type is META_STRING */
};

struct meta_value {
    struct text key;
    enum meta_type type;
    union {
        uint64_t u; /* unsigned integers and BOOL */
        int64_t i;  /* signed integers */
        double f;   /* F32 and F64 */
        struct text string;
        struct meta_array array;
    };
};

struct metadata {
    struct arena arena;
    struct meta_value *values;
    size_t count, capacity;
    uint32_t *index; /* open-addressing hash of keys: value number + 1 */
    size_t index_size;
};

void metadata_init(struct metadata *m, size_t max_bytes);
void metadata_release(struct metadata *m);

/* Adds a value; a key that exists is an error (HEARTH_ERROR_FORMAT). The key and
 * everything the value points to are borrowed. */
hearth_status metadata_add(struct metadata *m, const struct meta_value *value, hearth_error *err);

/* Set or replace; key and contents are copied. `type` is an integer type for
 * set_int, F32 or F64 for set_float. */
hearth_status metadata_set_uint(struct metadata *m, const char *key, enum meta_type type,
                                uint64_t value, hearth_error *err);
hearth_status metadata_set_float(struct metadata *m, const char *key, double value,
                                 hearth_error *err); /* stored as F32 */
hearth_status metadata_set_bool(struct metadata *m, const char *key, bool value, hearth_error *err);
hearth_status metadata_set_string(struct metadata *m, const char *key, const char *data,
                                  size_t length, hearth_error *err);
/* `data`: packed elements of a number type. */
hearth_status metadata_set_array(struct metadata *m, const char *key, enum meta_type type,
                                 const void *data, size_t count, hearth_error *err);
hearth_status metadata_set_strings(struct metadata *m, const char *key, const struct text *strings,
                                   size_t count, hearth_error *err);

const struct meta_value *metadata_find(const struct metadata *m, const char *key);

/* Typed reads; any integer type is accepted where the value fits, floats also from
 * integers. They return false when the key is absent or of another kind, and leave
 * *out alone, so a default can be put there first. */
bool metadata_u64(const struct metadata *m, const char *key, uint64_t *out);
bool metadata_u32(const struct metadata *m, const char *key, uint32_t *out);
bool metadata_f32(const struct metadata *m, const char *key, float *out);
bool metadata_bool(const struct metadata *m, const char *key, bool *out);
bool metadata_string(const struct metadata *m, const char *key, struct text *out);
const struct meta_array *metadata_array(const struct metadata *m, const char *key);

/* Element i of a number array as an integer or float; 0 outside. */
int64_t meta_array_int(const struct meta_array *array, size_t i);
double meta_array_float(const struct meta_array *array, size_t i);

size_t meta_type_bytes(enum meta_type type); /* 0 for strings and arrays */
const char *meta_type_name(enum meta_type type);
bool text_equal(struct text a, const char *b);

#endif
