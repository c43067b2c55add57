/* quants_golden.h - the golden blocks and floats of every quantised type. */
#ifndef HEARTH_TESTS_QUANTS_GOLDEN_H
#define HEARTH_TESTS_QUANTS_GOLDEN_H

#include "testdata.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/elem.h"

enum { GOLDEN_ROWS = 8, GOLDEN_COLS = 512, GOLDEN_VALUES = GOLDEN_ROWS * GOLDEN_COLS };

struct golden {
    const char *name;
    enum elem type;
    bool importance;
    char *blocks, *floats; /* floats: GOLDEN_VALUES float32 */
    size_t blocks_bytes;
};

static inline void *golden_file(const char *name, const char *suffix, size_t *size) {
    char path[256], *data;
    snprintf(path, sizeof path, "quants/%s.%s", name, suffix);
    assert_int_equal(file_read(testdata(path), 1 << 24, &data, size, NULL), HEARTH_OK);
    return data;
}

static inline void golden_load(struct golden *g, const json_t *entry) {
    size_t floats_bytes;
    g->name = json_string_value(json_object_get(entry, "name"));
    g->type = elem_by_name(json_string_value(json_object_get(entry, "type")));
    g->importance = json_is_true(json_object_get(entry, "importance"));
    assert_true(g->type < ELEM_TYPES);
    assert_int_equal(g->type, json_integer_value(json_object_get(entry, "ggml_type_id")));
    assert_int_equal(elem_row_bytes(g->type, GOLDEN_COLS),
                     json_integer_value(json_object_get(entry, "row_bytes")));
    g->blocks = golden_file(g->name, "blocks", &g->blocks_bytes);
    g->floats = golden_file(g->name, "f32", &floats_bytes);
    assert_int_equal(g->blocks_bytes, elem_row_bytes(g->type, GOLDEN_VALUES));
    assert_int_equal(floats_bytes, GOLDEN_VALUES * sizeof(float));
}

/* Calls `check` with every entry of the manifest; returns how many there were. */
static inline size_t golden_for_each(void (*check)(const struct golden *g)) {
    json_t *manifest = json_load_file(testdata("quants/manifest.json"), 0, NULL);
    assert_non_null(manifest);
    const json_t *types = json_object_get(manifest, "types");
    size_t count = json_array_size(types);
    for (size_t i = 0; i < count; i++) {
        struct golden g;
        golden_load(&g, json_array_get(types, i));
        check(&g);
        mem_free(g.blocks);
        mem_free(g.floats);
    }
    json_decref(manifest);
    return count;
}

#endif
