/* train_batch.h - the rows of one forward and backward pass, and what it says of them. */
#ifndef HEARTH_TRAIN_TRAIN_BATCH_H
#define HEARTH_TRAIN_TRAIN_BATCH_H

#include <stdint.h>

struct train_batch {
    uint32_t n_rows;
    const int32_t *tokens, *targets; /* [n_rows]; target: the next token or -1, not trained */
    const float *row_weights;        /* [n_rows] of the rows' losses, may be negative; NULL: 1 */
    const uint32_t *starts;          /* [n_sequences + 1] first row of each sequence */
    uint32_t n_sequences;
};

/* A sum over trained rows and what to divide it by for their mean. */
struct train_loss {
    double sum, weight;
};

#endif
