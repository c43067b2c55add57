/* lower.h - turns a recipe into a plan: what the blocks share while they emit
 * operations.
 *
 * Lowering runs twice over the same blocks: the first pass only measures how wide
 * each scratch buffer must be (the plan is dropped), then the buffers are allocated
 * and the second pass emits. The first failure sticks in `status`; after it every
 * call does nothing, so blocks need not check each step. */
#ifndef HEARTH_MODEL_LOWER_H
#define HEARTH_MODEL_LOWER_H

#include "device/row_norm.h"
#include "model/adapter.h"
#include "model/cache.h"
#include "model/model.h"

/* Scratch buffers, one row per batch row. X is the residual stream. */
enum scratch {
    SCRATCH_X,
    SCRATCH_NORM,
    SCRATCH_Q,
    SCRATCH_K,
    SCRATCH_V,
    SCRATCH_MIX,
    SCRATCH_A,
    SCRATCH_B,
    SCRATCH_C,
    SCRATCH_OUT,
    SCRATCH_LAYER_INPUTS, /* n_layer x n_layer_input values, kept through all layers */
    SCRATCH_LORA,
    SCRATCH_ROUTER,
    SCRATCH_EXPERT_A, /* these three: n_used rows per batch row */
    SCRATCH_EXPERT_B,
    SCRATCH_EXPERT_OUT,
    SCRATCH_FINAL,  /* output rows */
    SCRATCH_LOGITS, /* output rows */
    SCRATCH_COUNT
};

/* Row norms that operations of the plans read, and somebody computes before they run. */
struct row_norm_list {
    struct row_norm *norms; /* each has a buffer of its own */
    size_t count;
};

struct lowering {
    const struct model *model;
    const struct config *config;
    struct device *device;
    const struct cache *cache;
    const struct adapter_item *adapters; /* op.adapter i + 1 is adapters[i] */
    size_t n_adapters;
    struct row_norm_list *norms; /* of decomposed adapters; grows */
    struct plan *plan;
    struct plan late; /* what adapters add to the last layers: after others with the same input */
    device_buffer *weights; /* by tensor number; 0: not imported yet */
    device_buffer *split;   /* [n_layer][2] K and V parts of fused latent weights */
    device_buffer scratch[SCRATCH_COUNT];
    uint32_t widths[SCRATCH_COUNT];
    device_buffer rope[2]; /* global, local */
    float rope_magnitude[2];
    bool measuring;
    enum op_rows rows; /* of the operations being emitted */
    uint32_t layer;
    hearth_status status;
    hearth_error *err;
};

/* A view of [T, width] at the start of a scratch buffer. */
struct view lower_scratch(struct lowering *l, enum scratch which, uint32_t width);
struct view view_columns(struct view view, uint32_t first);

/* The tensor "blk.<layer>.<stem>.<suffix>" (or "<stem>.<suffix>" outside layers) as
 * a weight of cols x rows; 0 rows accepts any. `lower_find` returns buffer 0 when
 * there is none. Experts: n_experts > 0. */
#define OUTSIDE_LAYERS NO_LAYER
struct weight lower_find(struct lowering *l, uint32_t layer, const char *stem, const char *suffix,
                         uint32_t cols, uint32_t rows, uint32_t n_experts);
struct weight lower_need(struct lowering *l, uint32_t layer, const char *stem, const char *suffix,
                         uint32_t cols, uint32_t rows, uint32_t n_experts);
/* The same for what operations read as plain floats: norms, biases, convolution
 * kernels; refuses other element types. */
struct weight lower_floats(struct lowering *l, uint32_t layer, const char *stem, const char *suffix,
                           uint32_t cols, uint32_t rows, bool needed);
static inline struct weight lower_vector(struct lowering *l, uint32_t layer, const char *stem,
                                         const char *suffix, uint32_t n, bool needed) {
    return lower_floats(l, layer, stem, suffix, n, 1, needed);
}

/* Whether the file has "blk.<layer>.<stem>.weight", of whatever shape. */
bool lower_has(const struct lowering *l, uint32_t layer, const char *stem);

void lower_emit(struct lowering *l, const struct op *op);
/* Emits what was put off; at the end of a plan. */
void lower_late(struct lowering *l);
void lower_fail(struct lowering *l, hearth_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* out = stem(in), bias when the file has one, adapters added for rows that use them; returns the
 * rows. */
uint32_t lower_linear(struct lowering *l, const char *stem, struct view in, uint32_t cols,
                      struct view out, uint32_t rows);
/* Norm of n_groups groups of width; `stem` NULL: copies nothing and returns `in`;
 * NORM_WITHOUT_WEIGHT: neither weight nor bias. */
struct view lower_norm(struct lowering *l, uint32_t layer, const char *stem, struct view in,
                       struct view out, uint32_t width, uint32_t n_groups);
void lower_simple(struct lowering *l, enum op_kind kind, struct view in, struct view in2,
                  struct view out, uint32_t width, float scale, enum activation activation);
void lower_rope(struct lowering *l, struct view x, uint32_t n_head, uint32_t head_dim);
void lower_copy(struct lowering *l, struct view in, uint32_t in_stride, struct view out,
                uint32_t out_stride, uint32_t width, uint32_t n_groups);

/* Blocks: read `in` [T, n_embd], leave their result in `out` [T, n_embd]. */
void block_attention(struct lowering *l, struct view in, struct view out);
void block_latent_attention(struct lowering *l, struct view in, struct view out);
void block_delta_net(struct lowering *l, struct view in, struct view out);
void block_mamba2(struct lowering *l, struct view in, struct view out);
void block_short_conv(struct lowering *l, struct view in, struct view out);
void block_ffn(struct lowering *l, struct view in, struct view out);
void block_experts(struct lowering *l, struct view in, struct view out);
void block_gated_and_experts(struct lowering *l, struct view in, struct view out);

/* The up-projections of latent attention, [n_head] matrices each: k maps n_nope values of
 * a query to the latent ones, v maps latent values to a head's. */
struct latent_weights {
    struct weight k, v;
};
struct latent_weights latent_weights(struct lowering *l, uint32_t n_nope);

/* Layer l->layer: x <- x + mixer(norm(x)), x <- x + feed_forward(norm(x)), on SCRATCH_X. */
void lower_layer(struct lowering *l);
/* SCRATCH_LOGITS = stem(in), by the embedding where there is no such matrix. */
void lower_logits(struct lowering *l, uint32_t layer, const char *stem, struct view in);
/* The head that predicts a further token: after a batch, whose last hidden rows are in
 * SCRATCH_X, what its cache holds of it; and one row of its own, into SCRATCH_LOGITS. */
void lower_next_cache(struct lowering *l);
void lower_next_token(struct lowering *l);

/* The embeddings that layers have for themselves: once after the embedding of the
 * tokens, then at the end of every layer. */
void lower_layer_inputs(struct lowering *l);
void block_layer_input(struct lowering *l);

#endif
