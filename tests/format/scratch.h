/* scratch.h - a temporary folder for a test, and what the format tests compare. */
#ifndef HEARTH_TESTS_FORMAT_SCRATCH_H
#define HEARTH_TESTS_FORMAT_SCRATCH_H

#include "testdata.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/directory.h"

static char scratch_folder[256];

static inline int scratch_open(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(scratch_folder, sizeof scratch_folder, "%s/hearth-format-XXXXXX",
             base && *base ? base : "/tmp");
    return mkdtemp(scratch_folder) ? 0 : -1;
}

static inline size_t scratch_count(void) {
    char **names;
    size_t n;
    assert_int_equal(file_list(scratch_folder, &names, &n, NULL), HEARTH_OK);
    file_names_free(names, n);
    return n;
}

static inline void scratch_clear(void) {
    char **names, path[1024];
    size_t n;
    assert_int_equal(file_list(scratch_folder, &names, &n, NULL), HEARTH_OK);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", scratch_folder, names[i]);
        assert_int_equal(remove(path), 0);
    }
    file_names_free(names, n);
}

static inline int scratch_close(void **state) {
    (void)state;
    scratch_clear();
    return rmdir(scratch_folder);
}

/* The path of `name` in the folder, in one of eight static buffers. */
static inline const char *scratch(const char *name) {
    static char paths[8][1024];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
    return path;
}

static inline void scratch_put(const char *name, const void *data, size_t size) {
    assert_int_equal(file_write(scratch(name), data, size, NULL), HEARTH_OK);
}

static inline void scratch_put_text(const char *name, const char *text) {
    scratch_put(name, text, strlen(text));
}

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (!strstr(text, part)) fail_msg("'%s' does not contain '%s'", text, part);               \
    } while (0)

static inline void assert_ok(hearth_status status, const hearth_error *err) {
    if (status != HEARTH_OK) fail_msg("status %d: %s", (int)status, err->message);
}

static inline bool is_split_key(struct text key) {
    return key.length >= 6 && memcmp(key.data, "split.", 6) == 0;
}

static inline void assert_same_value(const struct meta_value *a, const struct meta_value *b) {
    assert_int_equal(a->type, b->type);
    if (a->type == META_STRING) {
        assert_int_equal(a->string.length, b->string.length);
        assert_memory_equal(a->string.data, b->string.data, a->string.length);
    } else if (a->type == META_ARRAY) {
        assert_int_equal(a->array.type, b->array.type);
        assert_int_equal(a->array.count, b->array.count);
        if (a->array.type != META_STRING)
            assert_memory_equal(a->array.data, b->array.data,
                                a->array.count * meta_type_bytes(a->array.type));
        for (size_t i = 0; a->array.type == META_STRING && i < a->array.count; i++) {
            struct text s = a->array.strings[i], t = b->array.strings[i];
            assert_int_equal(s.length, t.length);
            assert_memory_equal(s.data, t.data, s.length);
        }
    } else {
        assert_true(a->u == b->u);
    }
}

/* All of `a`, in order, is the beginning of `b`; what follows are split keys. */
static inline void assert_same_metadata(const struct metadata *a, const struct metadata *b) {
    assert_true(a->count <= b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->values[i].key.length, b->values[i].key.length);
        assert_memory_equal(a->values[i].key.data, b->values[i].key.data, a->values[i].key.length);
        assert_same_value(&a->values[i], &b->values[i]);
    }
    for (size_t i = a->count; i < b->count; i++)
        assert_true(is_split_key(b->values[i].key));
}

static inline void assert_same_tensor(const struct tensor *a, const struct tensor *b) {
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->n_dims, b->n_dims);
    assert_memory_equal(a->dims, b->dims, sizeof a->dims);
    assert_int_equal(a->size_bytes, b->size_bytes);
    assert_memory_equal(a->data, b->data, a->size_bytes);
}

static inline void assert_same_tensors(const struct directory *a, const struct directory *b) {
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct tensor *other = directory_find(b, a->tensors[i].name);
        assert_non_null(other);
        assert_same_tensor(&a->tensors[i], other);
    }
}

#endif
