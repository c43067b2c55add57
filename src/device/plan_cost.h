/* plan_cost.h - what carrying out a plan over a batch takes at least: bytes out of
 * memory and arithmetic, for the roofline that a measured speed is judged against
 * (Williams, Waterman & Patterson, "Roofline: an insightful visual performance model",
 * 2009). A device may do worse; it cannot do with less.
 *
 * Counted is what grows with the model: weights once for the whole batch, of embeddings
 * the rows of the batch's tokens, of experts the matrices in use; keys and values once
 * for each sequence; recurrent states read and written. Not counted: activations, which
 * stay in the caches, and element-wise arithmetic. */
#ifndef HEARTH_DEVICE_PLAN_COST_H
#define HEARTH_DEVICE_PLAN_COST_H

#include "device/plan.h"

struct plan_cost {
    /* Set by the caller: how many experts of a layer the rows of a batch choose together;
     * 0: as many as they can choose at most. */
    double experts_in_use;
    /* Sums. */
    double weight_bytes, cache_bytes;
    double linear_ops, mixing_ops; /* mixing: attention and recurrent layers */
};

/* Adds the cost of one run of the plan. */
void plan_cost_add(struct plan_cost *cost, const struct plan *plan, const struct batch *batch);

#endif
