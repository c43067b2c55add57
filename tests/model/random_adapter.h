/* random_adapter.h - adapters of random numbers for a model's linear layers, strong enough to
 * change what it says. */
#ifndef HEARTH_TESTS_MODEL_RANDOM_ADAPTER_H
#define HEARTH_TESTS_MODEL_RANDOM_ADAPTER_H

#include "testdata.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/quantize.h"
#include "model/adapter.h"
#include "model/model.h"

enum { RANDOM_ADAPTER_PARTS = 3 * 256 };

struct random_adapter {
    struct adapter adapter;
    char names[RANDOM_ADAPTER_PARTS][96];
    size_t n;
};

struct random_adapter_shape {
    uint64_t seed;
    uint32_t rank;
    enum elem a_type, b_type;
    bool decomposed;  /* with magnitudes; both types are F32 then */
    const char *stem; /* only of layers whose name has this in it; NULL: all */
};

static inline void random_part(struct random_adapter *r, struct rng *rng, const char *weight,
                               const char *suffix, enum elem type, uint64_t cols, uint64_t rows,
                               float mean, float spread) {
    struct directory *dir = &r->adapter.directory;
    size_t n = (size_t)(cols * rows), bytes = elem_row_bytes(type, cols) * rows;
    float *values = mem_alloc_array(n, sizeof *values);
    uint8_t *blocks = mem_alloc_aligned(64, bytes);
    hearth_error err = {0};
    assert_true(values && blocks && r->n < RANDOM_ADAPTER_PARTS);
    for (size_t i = 0; i < n; i++)
        values[i] = mean + spread * (float)(2 * rng_uniform(rng) - 1);
    if (quantize_rows(type, values, blocks, rows, cols, NULL, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    mem_free(values);
    char *name = r->names[r->n++];
    snprintf(name, sizeof r->names[0], "%s.%s", weight, suffix);
    dir->tensors[dir->n_tensors++] = (struct tensor){.name = name,
                                                     .type = type,
                                                     .n_dims = 2,
                                                     .dims = {cols, rows, 1, 1},
                                                     .data = blocks,
                                                     .size_bytes = bytes};
}

static inline bool is_adaptable(const struct tensor *t, const char *stem) {
    static const char *const stems[] = {".attn_q.", ".attn_k.",   ".attn_v.",  ".attn_output.",
                                        ".ffn_up.", ".ffn_gate.", ".ffn_down."};
    bool known = false;
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++)
        known = known || strstr(t->name, stems[i]);
    return known && strstr(t->name, ".weight") && (!stem || strstr(t->name, stem));
}

static inline void random_adapter_open(struct random_adapter *r, const struct model *model,
                                       const struct random_adapter_shape *shape) {
    struct directory *dir = &r->adapter.directory;
    struct rng rng;
    hearth_error err = {0};
    *r = (struct random_adapter){.adapter.alpha = (float)shape->rank};
    rng_seed(&rng, shape->seed);
    assert_int_equal(directory_init(dir, "random", 1, &err), HEARTH_OK);
    assert_int_equal(directory_reserve(dir, RANDOM_ADAPTER_PARTS, &err), HEARTH_OK);
    for (size_t i = 0; i < model->directory.n_tensors; i++) {
        const struct tensor *t = &model->directory.tensors[i];
        uint64_t cols = t->dims[0], rows = t->dims[1], rank = shape->rank;
        if (!is_adaptable(t, shape->stem)) continue;
        float a = 1 / sqrtf((float)cols), b = 1 / sqrtf((float)rank);
        random_part(r, &rng, t->name, "lora_a", shape->a_type, cols, rank, 0, a);
        random_part(r, &rng, t->name, "lora_b", shape->b_type, rank, rows, 0, b);
        if (shape->decomposed)
            random_part(r, &rng, t->name, "lora_magnitude", ELEM_F32, rows, 1, 1, 0.5f);
    }
    assert_true(dir->n_tensors > 0);
    if (directory_index(dir, &err) != HEARTH_OK ||
        adapter_check_pairs(&r->adapter, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
}

static inline void random_adapter_close(struct random_adapter *r) {
    struct directory *dir = &r->adapter.directory;
    for (size_t i = 0; i < dir->n_tensors; i++)
        mem_free((void *)(uintptr_t)dir->tensors[i].data);
    adapter_close(&r->adapter);
}

#endif
