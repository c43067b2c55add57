#include "model/merge.h"

#include <math.h>

#include "base/mem.h"

bool merge_changes(const struct adapter_set *set, const char *weight_name) {
    struct adapter_part part;
    for (size_t i = 0; set && i < set->count; i++)
        if (adapter_find(set->items[i].adapter, weight_name, &part)) return true;
    return false;
}

static float *to_floats(const struct tensor *tensor, const struct kernels *kernels) {
    uint64_t n = tensor->dims[0] * tensor->dims[1];
    float *values = mem_alloc_array(n, sizeof *values);
    if (values) kernels->dequantize[tensor->type](tensor->data, values, (size_t)n);
    return values;
}

static hearth_status check_part(const struct adapter_part *part, const struct tensor *weight,
                                const struct kernels *kernels, hearth_error *err) {
    const struct tensor *a = part->a, *b = part->b;
    bool readable = kernels->dequantize[a->type] && kernels->dequantize[b->type];
    if (readable && a->dims[0] == weight->dims[0] && b->dims[1] == weight->dims[1] &&
        weight->dims[2] * weight->dims[3] == 1 && a->dims[1] != 0)
        return HEARTH_OK;
    return error_set(err, HEARTH_ERROR_FORMAT,
                     "adapter tensor '%s' maps %llu to %llu values; the weight maps %llu to %llu",
                     a->name, (unsigned long long)a->dims[0], (unsigned long long)b->dims[1],
                     (unsigned long long)weight->dims[0], (unsigned long long)weight->dims[1]);
}

static hearth_status add_term(struct merge *m, const struct adapter_part *part, float scale,
                              const struct tensor *weight, const struct kernels *kernels,
                              hearth_error *err) {
    struct merge_term term = {.rank = part->a->dims[1], .scale = scale};
    RETURN_IF_ERROR(check_part(part, weight, kernels, err));
    if (part->magnitude && m->count > 0 && m->terms[0].magnitude)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "two weight-decomposed adapters (DoRA) change '%s': merge one after the "
                         "other",
                         weight->name);
    term.a = to_floats(part->a, kernels);
    term.b = to_floats(part->b, kernels);
    if (part->magnitude) term.magnitude = to_floats(part->magnitude, kernels);
    m->terms[m->count++] = term;
    if (!term.a || !term.b || (part->magnitude && !term.magnitude))
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory to merge '%s'", weight->name);
    if (!term.magnitude) return HEARTH_OK;
    m->terms[m->count - 1] = m->terms[0];
    m->terms[0] = term;
    return HEARTH_OK;
}

hearth_status merge_open(struct merge *m, const struct adapter_set *set,
                         const struct tensor *weight, const struct kernels *kernels,
                         hearth_error *err) {
    struct adapter_part part;
    *m = (struct merge){.cols = weight->dims[0]};
    for (size_t i = 0; set && i < set->count; i++) {
        const struct adapter *adapter = set->items[i].adapter;
        if (!adapter_find(adapter, weight->name, &part)) continue;
        float scale = set->items[i].scale * adapter->alpha / (float)part.a->dims[1];
        RETURN_IF_ERROR(add_term(m, &part, scale, weight, kernels, err));
    }
    return HEARTH_OK;
}

/* The row gets the length that its magnitude says; one of zeros stays so. */
static void set_length(const struct kernels *kernels, float magnitude, float *values, size_t n) {
    double sum = (double)kernels->sum_squares(values, n);
    kernels->scale(values, values, sum > 0 ? (float)((double)magnitude / sqrt(sum)) : 0, n);
}

void merge_row(const struct merge *m, const struct kernels *kernels, uint64_t row, float *values) {
    for (size_t i = 0; i < m->count; i++) {
        const struct merge_term *term = &m->terms[i];
        for (uint64_t k = 0; k < term->rank; k++)
            kernels->axpy(values, term->scale * term->b[row * term->rank + k],
                          term->a + k * m->cols, (size_t)m->cols);
        if (term->magnitude) set_length(kernels, term->magnitude[row], values, (size_t)m->cols);
    }
}

void merge_close(struct merge *m) {
    for (size_t i = 0; i < m->count; i++) {
        mem_free(m->terms[i].a);
        mem_free(m->terms[i].b);
        mem_free(m->terms[i].magnitude);
    }
    m->count = 0;
}
