/* tuned.h - what a checkpoint has trained: an adapter, weights of the model, or both. From the
 * file alone, without data or optimiser, so that a run can be exported long after it ended.
 *
 * Nothing is copied: tensors lie in the checkpoint's mapping. Opening checks that every one
 * fits a weight of the model. */
#ifndef HEARTH_TRAIN_TUNED_H
#define HEARTH_TRAIN_TUNED_H

#include "model/adapter.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/graph.h"

struct tuned {
    struct directory file;
    struct run_state state;
    struct adapter adapter; /* of no tensors: weights only */
    struct model model;     /* borrows all but its list of tensors; trained ones are float32 */
    size_t n_weights;       /* of the model that were trained */
};

/* `lora`: with which the run was made. HEARTH_ERROR_FORMAT names the tensor that does not fit.
 * tuned_close follows in every case. */
hearth_status tuned_open(struct tuned *out, const char *checkpoint, const struct model *model,
                         const struct lora_options *lora, hearth_error *err);
void tuned_close(struct tuned *tuned); /* zeroed is fine */

/* Which checkpoint of a run. */
enum { TUNED_LAST = 0 };
#define TUNED_BEST UINT64_MAX /* of the lowest evaluation loss; without evaluations the last */

/* The path of that checkpoint, or of the one after step `which`; given. HEARTH_ERROR_NOT_FOUND
 * says what there is instead. */
hearth_status tuned_find(const char *folder, uint64_t which, char **path, hearth_error *err);

#endif
