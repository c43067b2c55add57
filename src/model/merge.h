/* merge.h - one weight with its active adapters inside: W + sum of scale (alpha / rank) B A, after
 * what a decomposed one makes of W (adapter.h). */
#ifndef HEARTH_MODEL_MERGE_H
#define HEARTH_MODEL_MERGE_H

#include "kernels/kernels.h"
#include "model/adapter.h"

struct merge_term {
    float *a, *b;     /* [rank][cols], [rows][rank] */
    float *magnitude; /* [rows]; NULL: not decomposed */
    uint64_t rank;
    float scale;
};

struct merge {
    struct merge_term terms[ADAPTER_SET_MAX]; /* the decomposed one first */
    size_t count;
    uint64_t cols;
};

/* Whether an adapter of the set changes the weight. */
bool merge_changes(const struct adapter_set *set, const char *weight_name);
/* `set` may be NULL. The result holds copies; merge_close ends it, also after a failure. */
hearth_status merge_open(struct merge *merge, const struct adapter_set *set,
                         const struct tensor *weight, const struct kernels *kernels,
                         hearth_error *err);
/* The values [cols] of one row become what the terms say. */
void merge_row(const struct merge *merge, const struct kernels *kernels, uint64_t row,
               float *values);
void merge_close(struct merge *merge);

#endif
