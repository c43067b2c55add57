/* pass_exchange.h - what ranks exchange while they compute: gradients as soon as they are
 * complete, weights just before they are needed.
 *
 * A thread of its own (base/worker.h) carries out what is posted, in order. All ranks' passes go
 * through the same parts (pass_parts.h), so that they exchange the same in the same order;
 * whoever has no batch goes through the parts all the same (graph_take_part).
 *
 * Invariants: (1) sums of gradients and gathered values are those of shards.h, whatever is
 * computed meanwhile; (2) between passes, and when exchange_finish has returned, nothing of
 * values is under way, and of gradients nothing after exchange_finish: only then may the caller
 * use the ranks itself. */
#ifndef HEARTH_TRAIN_PASS_EXCHANGE_H
#define HEARTH_TRAIN_PASS_EXCHANGE_H

#include "train/pass_parts.h"
#include "train/shards.h"

struct exchange_options {
    enum zero_stage stage;
    enum ranks_wire wire;           /* of gradients */
    const struct pass_parts *parts; /* NULL: gradients are exchanged by exchange_finish */
};

struct exchange;

/* `tensors`: whole. All is borrowed until exchange_close; at ZERO_VALUES all but this rank's
 * share of the values is dropped. */
hearth_status exchange_open(struct exchange **out, struct ranks *ranks, struct device *device,
                            const struct trained_tensor *tensors, size_t n_tensors,
                            const struct exchange_options *options, hearth_error *err);
void exchange_close(struct exchange *exchange); /* NULL is fine */

/* For graph_observe. */
struct pass_observer exchange_observer(struct exchange *exchange);
/* The next pass is this rank's last one before exchange_finish: below ZERO_GRADIENTS, where
 * gradients of several passes are exchanged at once, it is the one during which they are. */
void exchange_expect_last(struct exchange *exchange);
/* Gradients are the sums of all ranks', of all passes: of this rank's share from ZERO_MOMENTS
 * on. Exchanges what has not been, and waits. */
hearth_status exchange_finish(struct exchange *exchange, hearth_error *err);
/* After a step on this rank's share, below ZERO_VALUES: all have all values. */
hearth_status exchange_values(struct exchange *exchange, hearth_error *err);
/* From ZERO_GRADIENTS on: gradients that are not this rank's become zero. */
hearth_status exchange_drop_gradients(struct exchange *exchange, hearth_error *err);

#endif
