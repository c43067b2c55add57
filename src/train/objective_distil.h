/* objective_distil.h - training towards what a larger model of the same vocabulary says
 * (Hinton et al., arXiv 1503.02531): every trained row has the teacher's likeliest tokens and
 * their probabilities beside the token of the data; see struct soft_targets and
 * OP_CROSS_ENTROPY for the loss.
 *
 * The teacher reads the batches as a model that answers: sequence by sequence, forward only,
 * with quantised activations where its weights are quantised. What is beyond its top_k tokens
 * is left out and the rest made to sum to 1. Evaluations are without it, so that their loss
 * compares with that of other runs. One thread; no step allocates. */
#ifndef HEARTH_TRAIN_OBJECTIVE_DISTIL_H
#define HEARTH_TRAIN_OBJECTIVE_DISTIL_H

#include "token/tokenizer.h"
#include "train/graph.h"
#include "train/objective.h"

struct distil_options {
    const struct model *teacher;       /* NULL: none */
    const struct tokenizer *tokenizer; /* the teacher's */
    uint32_t top_k;
    float temperature;
    float share; /* of the teacher in the loss, 0 to 1 */
};

/* No teacher; 64 tokens, temperature 1, share 0.5. */
struct distil_options distil_defaults(void);

/* HEARTH_ERROR_ARGUMENT, naming the first difference, unless both vocabularies spell every
 * token that both have alike. */
hearth_status distil_check_vocabulary(const struct tokenizer *student,
                                      const struct tokenizer *teacher, hearth_error *err);

/* Memory for a teacher beside its weights, which stay in their file's mapping; about. */
uint64_t distil_bytes(const struct distil_options *options, uint32_t max_rows, uint32_t n_ctx);

struct distil;

/* For batches of up to max_rows rows, sequences of up to n_ctx. The graph, what the options
 * name and the device are borrowed. */
hearth_status distil_open(struct distil **out, struct graph *graph, struct device *device,
                          uint32_t max_rows, uint32_t n_ctx, const struct distil_options *options,
                          hearth_error *err);
void distil_close(struct distil *distil); /* NULL is fine */
/* What the teacher says of a batch's trained rows, borrowed until the next call. */
hearth_status distil_ask(struct distil *distil, const struct train_batch *batch,
                         const struct soft_targets **out, hearth_error *err);
struct objective distil_objective(struct distil *distil);

#endif
