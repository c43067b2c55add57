/* optimizer.h - AdamW over a list of parameters: owns their moments, clips gradients,
 * counts steps.
 *
 * Of several ranks, each calls optimizer_step with its own gradients; the step is along their
 * sum, and all have the same values afterwards.
 *
 * Invariants: (1) a step is applied whole or not at all: gradients that are not finite
 * change nothing; (2) after a step the gradients are zero. */
#ifndef HEARTH_TRAIN_OPTIMIZER_H
#define HEARTH_TRAIN_OPTIMIZER_H

#include "device/optimizer_step.h"
#include "train/parameter.h"
#include "train/ranks.h"

struct optimizer_options {
    float beta1, beta2, epsilon, weight_decay;
    float max_norm; /* gradients are scaled down to this norm; 0: never */
    enum moment_format moments;
    struct ranks *ranks;  /* borrowed; NULL: one */
    bool sharded;         /* each rank has the moments of its share (shards.h) only */
    enum ranks_wire wire; /* of gradients */
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

/* One step along the gradients times `gradient_scale`; `norm` is theirs after that scale,
 * before clipping. HEARTH_ERROR_ARGUMENT, on all ranks, when it is not finite. */
hearth_status optimizer_step(struct optimizer *optimizer, float rate, float gradient_scale,
                             double *norm, hearth_error *err);
void optimizer_clear_gradients(struct optimizer *optimizer);

/* For checkpoints: the parameters, their tensors with moments (of this rank's share when the
 * moments are sharded), the count of steps. */
const struct parameter *optimizer_parameters(const struct optimizer *optimizer, size_t *n);
const struct trained_tensor *optimizer_tensors(const struct optimizer *optimizer);
const struct optimizer_options *optimizer_settings(const struct optimizer *optimizer);
struct device *optimizer_device(const struct optimizer *optimizer);
uint64_t optimizer_steps(const struct optimizer *optimizer);
void optimizer_set_steps(struct optimizer *optimizer, uint64_t steps);

#endif
