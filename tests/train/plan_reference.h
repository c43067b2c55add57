/* plan_reference.h - the plans of inference carried out in double precision, one value at a
 * time, straight from the formulas: the loss of packed sequences as a function of the
 * weights, smooth enough for central differences. */
#ifndef HEARTH_TESTS_TRAIN_PLAN_REFERENCE_H
#define HEARTH_TESTS_TRAIN_PLAN_REFERENCE_H

#include "train/graph.h"

struct plan_reference;

/* `model` and `adapter` (may be NULL) as a graph holds them, on the graph's device: a weight's
 * handle is that of the graph's parameter. */
struct plan_reference *plan_reference_open(struct device *device, const struct model *model,
                                           const struct adapter *adapter, uint32_t n_ctx,
                                           const struct train_batch *batch);
void plan_reference_close(struct plan_reference *reference);
/* The values of a weight, [n], to be changed. */
double *plan_reference_weight(struct plan_reference *reference, device_buffer weight, size_t n);
/* From now on what adapters read is dropped, and embeddings get NEFTune's noise, as in a step
 * whose batch has this noise (plan.h). */
void plan_reference_disturb(struct plan_reference *reference, uint64_t noise, float dropout,
                            float neftune_alpha);
/* From now on losses are those of OP_CROSS_ENTROPY with a teacher (borrowed). */
void plan_reference_teach(struct plan_reference *reference, const struct soft_targets *soft);
/* Sum of the rows' weighted losses; row_losses [n_rows] may be NULL. */
double plan_reference_loss(struct plan_reference *reference, double *row_losses);

#endif
