#include "model/merge.h"

#include <stdio.h>

#include "base/mem.h"

/* The tensors A and B of a weight; false when the adapter leaves it alone. */
static bool find_pair(const struct adapter *adapter, const char *weight_name,
                      const struct tensor **a, const struct tensor **b) {
    char name[TENSOR_MAX_NAME_BYTES + 8];
    snprintf(name, sizeof name, "%s.lora_a", weight_name);
    *a = directory_find(&adapter->directory, name);
    snprintf(name, sizeof name, "%s.lora_b", weight_name);
    *b = directory_find(&adapter->directory, name);
    return *a && *b;
}

bool merge_changes(const struct adapter_set *set, const char *weight_name) {
    const struct tensor *a, *b;
    for (size_t i = 0; set && i < set->count; i++)
        if (find_pair(set->items[i].adapter, weight_name, &a, &b)) return true;
    return false;
}

static float *to_floats(const struct tensor *tensor, const struct kernels *kernels) {
    uint64_t n = tensor->dims[0] * tensor->dims[1];
    float *values = mem_alloc_array(n, sizeof *values);
    if (values) kernels->dequantize[tensor->type](tensor->data, values, (size_t)n);
    return values;
}

static hearth_status add_term(struct merge *m, const struct tensor *a, const struct tensor *b,
                              float scale, const struct tensor *weight,
                              const struct kernels *kernels, hearth_error *err) {
    bool readable = kernels->dequantize[a->type] && kernels->dequantize[b->type];
    if (!readable || a->dims[0] != weight->dims[0] || b->dims[1] != weight->dims[1] ||
        weight->dims[2] * weight->dims[3] != 1 || a->dims[1] == 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "adapter tensor '%s' maps %llu to %llu values; the weight maps %llu to "
                         "%llu",
                         a->name, (unsigned long long)a->dims[0], (unsigned long long)b->dims[1],
                         (unsigned long long)weight->dims[0], (unsigned long long)weight->dims[1]);
    struct merge_term *term = &m->terms[m->count++];
    *term = (struct merge_term){to_floats(a, kernels), to_floats(b, kernels), a->dims[1], scale};
    if (term->a && term->b) return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to merge '%s'", weight->name);
}

hearth_status merge_open(struct merge *m, const struct adapter_set *set,
                         const struct tensor *weight, const struct kernels *kernels,
                         hearth_error *err) {
    const struct tensor *a, *b;
    *m = (struct merge){.cols = weight->dims[0]};
    for (size_t i = 0; set && i < set->count; i++) {
        const struct adapter *adapter = set->items[i].adapter;
        if (!find_pair(adapter, weight->name, &a, &b)) continue;
        float scale = set->items[i].scale * adapter->alpha / (float)a->dims[1];
        RETURN_IF_ERROR(add_term(m, a, b, scale, weight, kernels, err));
    }
    return HEARTH_OK;
}

void merge_row(const struct merge *m, const struct kernels *kernels, uint64_t row, float *values) {
    for (size_t i = 0; i < m->count; i++) {
        const struct merge_term *term = &m->terms[i];
        for (uint64_t k = 0; k < term->rank; k++)
            kernels->axpy(values, term->scale * term->b[row * term->rank + k],
                          term->a + k * m->cols, (size_t)m->cols);
    }
}

void merge_close(struct merge *m) {
    for (size_t i = 0; i < m->count; i++) {
        mem_free(m->terms[i].a);
        mem_free(m->terms[i].b);
    }
    m->count = 0;
}
