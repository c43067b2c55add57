/* train_batch.h - the rows of one forward and backward pass, and their loss. */
#ifndef HEARTH_TRAIN_TRAIN_BATCH_H
#define HEARTH_TRAIN_TRAIN_BATCH_H

#include <stdint.h>

#include "device/plan.h"

/* Sequences one after the other, each from position 0. */
struct train_batch {
    uint32_t n_rows;
    const int32_t *tokens;    /* [n_rows] */
    const int32_t *targets;   /* [n_rows] the token that follows; -1: not trained */
    const float *row_weights; /* [n_rows] of the rows' losses, may be negative; NULL: 1 */
    const uint32_t *starts;   /* [n_sequences + 1] first rows; the last is n_rows */
    uint32_t n_sequences;
    const struct soft_targets *soft; /* of the rows with a target, in their order; NULL: none */
    uint64_t number; /* tells the batches of a run apart: what a step's noise depends on */
};

struct train_loss {
    double sum;    /* of weight times -log of the target's probability */
    double weight; /* sum of the weights */
    /* Of preference pairs, sums as well; 0 for other objectives. */
    double margin;  /* reward of the chosen less that of the rejected */
    double correct; /* 1 for each pair whose margin is positive */
};

#endif
