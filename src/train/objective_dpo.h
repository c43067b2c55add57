/* objective_dpo.h - direct preference optimisation (Rafailov et al., arXiv 2305.18290): makes
 * the chosen answer of a pair likelier than the rejected one, measured against the model as it
 * was before training, the reference.
 *
 *   r(y) = log p(y) - log p_reference(y), sums over the trained tokens of a sequence
 *   z    = beta (r(chosen) - r(rejected))
 *   loss = -(1 - e) log sigmoid(z) - e log sigmoid(-z) - a log p(chosen) / |chosen|
 *
 * e: label smoothing (Mitchell, "A note on DPO with noisy preferences & relationship to IPO",
 * 2023); a: the share of likelihood (Pang et al., arXiv 2404.19733). With length normalisation
 * each r is divided by the number of its tokens.
 *
 * The reference is the same graph without its adapter. Where weights of the model itself are
 * trained it is not there any more: its log-probabilities are taken before the first step
 * (dpo_remember) and found again by a sequence's content.
 *
 * Sequences 2 i and 2 i + 1 of a batch are the chosen and the rejected one of a pair; a loss's
 * weight is the number of pairs. One thread; no step allocates. */
#ifndef HEARTH_TRAIN_OBJECTIVE_DPO_H
#define HEARTH_TRAIN_OBJECTIVE_DPO_H

#include "train/graph.h"
#include "train/objective.h"

struct dpo_options {
    float beta;
    float label_smoothing; /* 0 to under 0.5 */
    bool length_normalised;
    float sft_weight; /* a */
};

/* beta 0.1 and nothing else. */
struct dpo_options dpo_defaults(void);

struct dpo;

/* `graph` is borrowed; batches have up to max_rows rows. */
hearth_status dpo_open(struct dpo **out, struct graph *graph, uint32_t max_rows,
                       const struct dpo_options *options, hearth_error *err);
void dpo_close(struct dpo *dpo); /* NULL is fine */
/* Whether every pair must have been remembered before it is trained: not graph_has_base. */
bool dpo_needs_memory(const struct dpo *dpo);
/* Takes the graph as it is now as the reference of these pairs; 16 to 32 bytes a sequence. */
hearth_status dpo_remember(struct dpo *dpo, const struct train_batch *batch, hearth_error *err);
struct objective dpo_objective(struct dpo *dpo);

#endif
