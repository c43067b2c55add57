/* optimizer.h - AdamW over a list of parameters: owns their moments, clips gradients,
 * counts steps.
 *
 * Of several ranks, each calls optimizer_step with its own gradients; the step is along their
 * sum, and all have the same values afterwards (at ZERO_VALUES: each its share of them). What
 * ranks exchange during passes is pass_exchange.h's.
 *
 * Invariants: (1) a step is applied whole or not at all: gradients that are not finite
 * change nothing; (2) after a step the gradients are zero. */
#ifndef HEARTH_TRAIN_OPTIMIZER_H
#define HEARTH_TRAIN_OPTIMIZER_H

#include "train/pass_exchange.h"

struct optimizer_options {
    float beta1, beta2, epsilon, weight_decay;
    float max_norm; /* gradients are scaled down to this norm; 0: never */
    enum moment_format moments;
    struct ranks *ranks;            /* borrowed; NULL: one */
    enum zero_stage stage;          /* what each rank has only its share of (shards.h) */
    enum ranks_wire wire;           /* of gradients */
    const struct pass_parts *parts; /* of the graph whose parameters these are, borrowed; NULL:
                                       nothing is exchanged during passes */
};

/* 0.9, 0.999, 1e-8, no weight decay, norm 1, 32-bit moments. */
struct optimizer_options optimizer_defaults(void);

struct optimizer;

/* `parameters` and `device` are borrowed until optimizer_close. */
hearth_status optimizer_open(struct optimizer **out, struct device *device,
                             const struct parameter *parameters, size_t n_parameters,
                             const struct optimizer_options *options, hearth_error *err);
void optimizer_close(struct optimizer *optimizer);
/* What opening takes from the device. */
uint64_t optimizer_bytes(const struct parameter *parameters, size_t n_parameters,
                         const struct optimizer_options *options);
/* What a rank keeps of all that is trained: values, gradients and moments. */
uint64_t optimizer_state_bytes(const struct parameter *parameters, size_t n_parameters,
                               const struct optimizer_options *options);

/* For graph_observe; without functions where there is one rank. */
struct pass_observer optimizer_observer(struct optimizer *optimizer);
/* Whether every rank must go through every pass, even without a batch. */
bool optimizer_shares_passes(const struct optimizer *optimizer);
/* Whether that is so of evaluations, too. */
bool optimizer_shares_evaluations(const struct optimizer *optimizer);
/* The next pass is this rank's last before the step. */
void optimizer_expect_last(struct optimizer *optimizer);
/* After all passes of a step, before the caller uses the ranks: gradients become the sums of
 * all ranks'. */
hearth_status optimizer_sum_gradients(struct optimizer *optimizer, hearth_error *err);

/* One step along the gradients times `gradient_scale`; `norm` is theirs after that scale,
 * before clipping. HEARTH_ERROR_ARGUMENT, on all ranks, when it is not finite. */
hearth_status optimizer_step(struct optimizer *optimizer, float rate, float gradient_scale,
                             double *norm, hearth_error *err);
/* Not while passes are under way. */
hearth_status optimizer_clear_gradients(struct optimizer *optimizer, hearth_error *err);

/* For checkpoints: the parameters, their tensors with moments (of this rank's share from
 * ZERO_MOMENTS on), the count of steps. */
const struct parameter *optimizer_parameters(const struct optimizer *optimizer, size_t *n);
const struct trained_tensor *optimizer_tensors(const struct optimizer *optimizer);
const struct optimizer_options *optimizer_settings(const struct optimizer *optimizer);
struct device *optimizer_device(const struct optimizer *optimizer);
uint64_t optimizer_steps(const struct optimizer *optimizer);
void optimizer_set_steps(struct optimizer *optimizer, uint64_t steps);

#endif
