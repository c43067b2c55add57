/* graph.h - forward and backward of a model: batches in, losses and gradients out.
 *
 * The recipe that answers questions is the one that is trained: its plan is taken from an
 * executor, its operations are differentiated one by one (tape.h). All memory is taken when a
 * graph is opened; a step allocates nothing.
 *
 * Invariants: (1) losses and gradients do not depend on the number of threads, nor on
 * checkpointing; a sequence never sees another one of its batch; (2) gradients are added to
 * what is there until graph_clear_gradients; (3) values of parameters may be changed between
 * steps (device_write, device_adamw), and the next step uses them. One thread at a time. */
#ifndef HEARTH_TRAIN_GRAPH_H
#define HEARTH_TRAIN_GRAPH_H

#include "device/device.h"
#include "model/adapter.h"
#include "model/model.h"
#include "train/pass_parts.h"
#include "train/train_batch.h"

struct graph;

enum train_method {
    TRAIN_FULL, /* every weight, as float32 copies that the graph owns */
    TRAIN_LORA  /* adapters of linear layers (arXiv 2106.09685); the model may have any type */
};

struct lora_options {
    uint32_t rank;
    float alpha;
    bool rank_stabilised;       /* alpha / sqrt(rank) instead of alpha / rank (arXiv 2312.03732) */
    const char *const *modules; /* stems ("attn_q"), ended by NULL; NULL: every linear layer of
                                   the blocks but routers of experts */
    float dropout;              /* of what an adapter reads, in steps only; 0 to 0.99 */
    bool decomposed; /* DoRA (arXiv 2402.09353): magnitudes of rows are trained besides; the
                        lengths they are divided by count as constants (section 4.3) */
};

/* What this process keeps its share of only (shards.h), as one of several; zero: it keeps all.
 * Whoever observes the passes brings the rest. */
struct graph_sharing {
    int rank, count;
    bool weights, gradients;
};

struct graph_options {
    enum train_method method;
    uint32_t max_rows;  /* tokens of a batch; at most the device's max_tokens */
    uint32_t n_ctx;     /* the longest sequence; 0: max_rows */
    bool checkpointing; /* keep the residual stream only, compute layers twice; without it
                           TRAIN_LORA computes norms and activations twice, which cost little */
    bool exact;         /* float32 products; otherwise bfloat16 where the level has them */
    struct lora_options lora;
    bool train_embeddings, train_output; /* with TRAIN_LORA: also these, whole */
    float neftune_alpha;                 /* of noise on embeddings in steps; 0: none */
    uint64_t seed; /* of the adapters' first values, and with a batch's number of all noise */
    struct graph_sharing sharing;
};

/* `model` and `device` must outlive the graph; the model's file is not changed. */
hearth_status graph_open(struct graph **out, const struct model *model, struct device *device,
                         const struct graph_options *options, hearth_error *err);
void graph_close(struct graph *graph);

/* What a graph with these options allocates: trained weights, gradients, saved values. Not in
 * it: frozen weights, which stay in their file's mapping, and scratch memory of the device. Of
 * what is shared it counts this process's share, and the most of the rest that a pass has at a
 * time. */
hearth_status graph_bytes(const struct model *model, const struct graph_options *options,
                          uint64_t *bytes, hearth_error *err);

/* Valid until graph_close, in the order in which the model uses them. */
const struct parameter *graph_parameters(const struct graph *graph, size_t *n);
/* The model with its trained weights as they are now: names, shapes and float32 values. */
const struct model *graph_model(const struct graph *graph);
/* The adapter as it is now, "<weight>.lora_a", ".lora_b" and, decomposed, ".lora_magnitude";
 * NULL with TRAIN_FULL. */
const struct adapter *graph_adapter(const struct graph *graph);

/* Forward and backward of sequences one after the other, each from position 0: adds
 * gradient_scale times the gradient of loss->sum, the sum of the rows' weights times -log of
 * their targets' probabilities; loss->weight is the sum of the weights. row_losses [n_rows],
 * without their weights, 0 where nothing is trained; may be NULL. */
hearth_status graph_step(struct graph *graph, const struct train_batch *batch, float gradient_scale,
                         struct train_loss *loss, float *row_losses, hearth_error *err);
/* Forward only. */
hearth_status graph_evaluate(struct graph *graph, const struct train_batch *batch,
                             struct train_loss *loss, float *row_losses, hearth_error *err);
/* Whether the model is still there without what is trained: when that is an adapter alone. */
bool graph_has_base(const struct graph *graph);
/* As graph_evaluate, without the adapter; HEARTH_ERROR_ARGUMENT unless graph_has_base. */
hearth_status graph_evaluate_base(struct graph *graph, const struct train_batch *batch,
                                  struct train_loss *loss, float *row_losses, hearth_error *err);

/* For objectives whose row weights depend on the rows' losses: between forward and backward
 * `weigh` gets the losses and fills the weights. */
struct row_weigher {
    void *context;
    void (*weigh)(void *context, const float *row_losses, float *row_weights);
    float *row_losses, *row_weights; /* [max_rows], the caller's memory */
};
/* Adds the gradient of the weighted sum as if the weights were constants; the batch's own
 * weights are not used. */
hearth_status graph_step_weighed(struct graph *graph, const struct train_batch *batch,
                                 const struct row_weigher *weigher, hearth_error *err);
void graph_clear_gradients(struct graph *graph);

/* Where passes can be cut, for `observer`, who is told of every one from now on but those of
 * graph_evaluate_base. A step that fails has told it nothing, unless the observer failed it. */
const struct pass_parts *graph_pass_parts(const struct graph *graph);
void graph_observe(struct graph *graph, const struct pass_observer *observer);
/* Tells the observer of a pass that this process has no batch for: of an evaluation, or of any
 * kind of step. */
hearth_status graph_take_part(struct graph *graph, bool step, hearth_error *err);

#endif
