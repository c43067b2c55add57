#include <string.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "train/shards.h"
#include "train/trained_weights.h"

enum { ALIGNMENT = 64 };

static size_t values_of(const struct tensor *t) {
    return (size_t)(t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]);
}

static size_t room_for(const struct tensor *t) {
    return (values_of(t) * sizeof(float) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static bool is_named(const struct tensor *t, const char *name) {
    return strcmp(t->name, name) == 0;
}

/* Tensors that are no weights (rotary factors) are copied like the others and not changed. */
static bool is_trained(const struct model *base, const struct tensor *t,
                       const struct graph_options *options) {
    if (t->dtype != DTYPE_ELEM || !kernels_for(CPU_SCALAR)->dequantize[t->type]) return false;
    if (options->method == TRAIN_FULL) return true;
    bool tied = !directory_find(&base->directory, "output.weight");
    if (is_named(t, "token_embd.weight"))
        return options->train_embeddings || (tied && options->train_output);
    return is_named(t, "output.weight") && options->train_output;
}

/* Of matrices that others have parts of, this process's share is kept. */
static void keep_share(float *values, size_t n, const struct graph_sharing *sharing) {
    struct share share = share_of(n, sharing->rank, sharing->count);
    size_t end = (size_t)(share.first + share.n);
    mem_pages_drop(values, (size_t)share.first * sizeof *values);
    mem_pages_drop(values + end, (n - end) * sizeof *values);
}

static void take_copy(struct tensor *t, uint8_t *to, const struct graph_sharing *sharing,
                      bool fill) {
    size_t n = values_of(t);
    if (fill) kernels_for(CPU_SCALAR)->dequantize[t->type](t->data, (float *)(void *)to, n);
    if (fill && sharing->weights && t->n_dims == 2) keep_share((float *)(void *)to, n, sharing);
    t->data = to;
    t->type = ELEM_F32;
    t->size_bytes = n * sizeof(float);
}

hearth_status trained_model_open(struct trained_model *out, const struct model *base,
                                 const struct graph_options *options, bool fill,
                                 hearth_error *err) {
    size_t n = base->directory.n_tensors, at = 0;
    *out = (struct trained_model){.model = *base};
    struct tensor *tensors = mem_alloc_array(n, sizeof *tensors);
    out->tensors = out->model.directory.tensors = tensors;
    out->trained = mem_calloc(n, sizeof *out->trained);
    if (!tensors || !out->trained)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu tensors", n);
    memcpy(tensors, base->directory.tensors, n * sizeof *tensors);
    for (size_t i = 0; i < n; i++) {
        out->trained[i] = is_trained(base, &tensors[i], options);
        if (out->trained[i]) out->size_bytes += room_for(&tensors[i]);
    }
    if (out->size_bytes == 0) return HEARTH_OK;
    out->pages = mem_pages_alloc(out->size_bytes);
    if (!out->pages)
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for %zu bytes of weights",
                         out->size_bytes);
    for (size_t i = 0; i < n; i++) {
        if (!out->trained[i]) continue;
        uint8_t *to = (uint8_t *)out->pages + at;
        at += room_for(&tensors[i]);
        take_copy(&tensors[i], to, &options->sharing, fill);
    }
    return HEARTH_OK;
}

void trained_model_close(struct trained_model *model) {
    mem_pages_free(model->pages, model->size_bytes);
    mem_free(model->trained);
    mem_free(model->tensors);
    *model = (struct trained_model){0};
}
