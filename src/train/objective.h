/* objective.h - what a run makes smaller, and where its batches come from: the two things a
 * trainer is given. */
#ifndef HEARTH_TRAIN_OBJECTIVE_H
#define HEARTH_TRAIN_OBJECTIVE_H

#include <stdbool.h>

#include "base/status.h"
#include "train/checkpoint.h"
#include "train/train_batch.h"

struct objective {
    void *context;
    /* Forward and backward: adds the gradient of the batch's `loss->sum` to the parameters'
     * and the batch's loss to `loss`. */
    hearth_status (*step)(void *context, const struct train_batch *batch, struct train_loss *loss,
                          hearth_error *err);
    /* Forward only: adds to `loss`. */
    hearth_status (*evaluate)(void *context, const struct train_batch *batch,
                              struct train_loss *loss, hearth_error *err);
    bool is_preference; /* fills `margin` and `correct` of losses, whose weight counts pairs */
};

/* An endless, reproducible stream of batches. */
struct batch_source {
    void *context;
    /* The next batch, valid until the next call; `*epoch_ended` when it was its epoch's last. */
    hearth_status (*next)(void *context, struct train_batch *batch, bool *epoch_ended,
                          hearth_error *err);
    /* Where the stream stands, and going there. */
    void (*save)(void *context, uint8_t state[SOURCE_STATE_BYTES]);
    hearth_status (*restore)(void *context, const uint8_t state[SOURCE_STATE_BYTES],
                             hearth_error *err);
};

#endif
