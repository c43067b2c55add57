#include "infer/importance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "format/imatrix.h"

enum { COLUMNS_AT_LEAST = 16 }; /* of a thread: a cache line of doubles and more */

struct watched {
    double *sums;     /* [matrices][columns]; NULL: not watched */
    uint64_t *counts; /* [matrices] */
};

struct importance {
    struct context *context;
    const struct directory *directory;
    struct watched *watched; /* [n_tensors of the directory] */
};

static bool is_watched(const struct tensor *tensor, bool output) {
    if (strcmp(tensor->name, "output.weight") == 0) return output;
    size_t length = strlen(tensor->name);
    return strncmp(tensor->name, "blk.", 4) == 0 && length > 7 &&
           strcmp(tensor->name + length - 7, ".weight") == 0 &&
           tensor->dims[1] * tensor->dims[2] > 1;
}

static void add_squares(double *sums, const float *row, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++)
        sums[i] += (double)row[i] * (double)row[i];
}

static void see(void *context, const struct tensor *weight, const struct device_input *input,
                unsigned thread, unsigned n_threads) {
    struct importance *importance = context;
    struct watched *w = &importance->watched[weight - importance->directory->tensors];
    size_t n_columns = input->op->w.cols, begin, end;
    if (!w->sums) return;
    pool_share(n_columns, COLUMNS_AT_LEAST, thread, n_threads, &begin, &end);
    for (size_t p = 0; p < input->n_pairs; p++) {
        size_t matrix = input->experts ? input->experts[p] : 0;
        add_squares(w->sums + matrix * n_columns, input->rows + p / input->share * input->stride,
                    begin, end);
        if (thread == 0) w->counts[matrix]++;
    }
}

static bool watch(struct watched *w, const struct tensor *tensor) {
    w->sums = mem_calloc(tensor->dims[0] * tensor->dims[2], sizeof *w->sums);
    w->counts = mem_calloc(tensor->dims[2], sizeof *w->counts);
    return w->sums && w->counts;
}

hearth_status importance_open(struct importance **out, struct context *context, bool output,
                              hearth_error *err) {
    const struct directory *dir = &context_model(context)->directory;
    struct importance *importance = mem_calloc(1, sizeof *importance);
    *out = NULL;
    if (!importance) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    *importance = (struct importance){.context = context, .directory = dir};
    importance->watched = mem_calloc(dir->n_tensors + 1, sizeof *importance->watched);
    bool enough = importance->watched != NULL;
    for (size_t i = 0; enough && i < dir->n_tensors; i++)
        if (is_watched(&dir->tensors[i], output))
            enough = watch(&importance->watched[i], &dir->tensors[i]);
    if (!enough) {
        importance_close(importance);
        return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory for sums of the inputs");
    }
    context_observe(context, see, importance);
    *out = importance;
    return HEARTH_OK;
}

void importance_close(struct importance *importance) {
    if (!importance) return;
    context_observe(importance->context, NULL, NULL);
    for (size_t i = 0; importance->watched && i < importance->directory->n_tensors; i++) {
        mem_free(importance->watched[i].sums);
        mem_free(importance->watched[i].counts);
    }
    mem_free(importance->watched);
    mem_free(importance);
}

static uint64_t total_count(const struct watched *w, uint64_t n_matrices) {
    uint64_t total = 0;
    for (uint64_t i = 0; w->counts && i < n_matrices; i++)
        total += w->counts[i];
    return total;
}

static int compare_sums(const void *a, const void *b) {
    const struct imatrix_sums *s = a, *t = b;
    return strcmp(s->weight, t->weight);
}

hearth_status importance_write(const struct importance *importance, const char *path,
                               const char *dataset, uint32_t n_chunks, uint32_t chunk_size,
                               hearth_error *err) {
    const struct directory *dir = importance->directory;
    struct imatrix_sums *sums = mem_calloc(dir->n_tensors + 1, sizeof *sums);
    size_t n = 0;
    if (!sums) return error_set(err, HEARTH_ERROR_NO_MEMORY, "no memory");
    hearth_status status = HEARTH_OK;
    for (size_t i = 0; status == HEARTH_OK && i < dir->n_tensors; i++) {
        const struct tensor *tensor = &dir->tensors[i];
        const struct watched *w = &importance->watched[i];
        if (total_count(w, tensor->dims[2]) == 0) continue;
        for (uint64_t j = 0; j < tensor->dims[0] * tensor->dims[2]; j++)
            if (!isfinite((float)w->sums[j]))
                status = error_set(err, HEARTH_ERROR_FORMAT,
                                   "the input of '%s' is not finite: the model is damaged",
                                   tensor->name);
        sums[n++] = (struct imatrix_sums){tensor->name, tensor->dims[0], tensor->dims[2], w->sums,
                                          w->counts};
    }
    qsort(sums, n, sizeof *sums, compare_sums);
    if (status == HEARTH_OK)
        status = imatrix_write(path, sums, n, dataset, n_chunks, chunk_size, err);
    mem_free(sums);
    return status;
}
