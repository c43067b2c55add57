/* trained_weights.h - memory for what training changes: float32 copies of a model's weights,
 * and the matrices of a new adapter. Both are directories of tensors like those of files, so
 * that lowering needs not know the difference. */
#ifndef HEARTH_TRAIN_TRAINED_WEIGHTS_H
#define HEARTH_TRAIN_TRAINED_WEIGHTS_H

#include "train/graph.h"

/* A model that shares everything with another one but the weights that are trained. */
struct trained_model {
    struct model model;     /* borrows all but its tensors */
    struct tensor *tensors; /* [n_tensors] */
    bool *trained;          /* [n_tensors] */
    void *pages;
    size_t size_bytes;
};

/* `fill` false: memory is reserved, but nothing copied (for measuring). */
hearth_status trained_model_open(struct trained_model *out, const struct model *base,
                                 const struct graph_options *options, bool fill, hearth_error *err);
void trained_model_close(struct trained_model *model); /* zeroed is fine */

struct trained_adapter {
    struct adapter adapter;
    char *names;
    void *pages;
    size_t size_bytes, used_bytes;
};

/* One pair of matrices for each linear layer of `plan` that the options name: A uniform in
 * +-1 / sqrt(inputs) as PEFT starts, B zero; decomposed, also magnitudes, which are zeros here.
 * `tensor_of(context, buffer)` is the tensor of a
 * weight's buffer. */
typedef const struct tensor *(*tensor_lookup)(const void *context, device_buffer buffer);
hearth_status trained_adapter_open(struct trained_adapter *out, const struct plan *plan,
                                   tensor_lookup tensor_of, const void *context,
                                   const struct graph_options *options, hearth_error *err);
void trained_adapter_close(struct trained_adapter *adapter); /* zeroed is fine */

#endif
