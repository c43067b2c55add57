/* Feed-forward parts: plain, gated (Shazeer, "GLU Variants", arXiv 2002.05202) and
 * mixtures of experts with an optional shared expert. */
#include <math.h>

#include "model/lower.h"

/* Finds how wide the layer's hidden part is, from the tensor itself. */
static uint32_t hidden_width(struct lowering *l, const char *stem) {
    return lower_need(l, l->layer, stem, "weight", l->config->n_embd, 0, 0).rows;
}

static void gated(struct lowering *l, struct view in, const char *gate_stem, const char *up_stem,
                  const char *down_stem, struct view out) {
    const struct config *config = l->config;
    bool fused = !lower_find(l, l->layer, gate_stem, "weight", config->n_embd, 0, 0).buffer;
    uint32_t rows = hidden_width(l, up_stem), n_ff = fused ? rows / 2 : rows;
    struct view up = lower_scratch(l, SCRATCH_B, rows), gate = up;
    if (!fused) {
        gate = lower_scratch(l, SCRATCH_A, n_ff);
        lower_linear(l, gate_stem, in, config->n_embd, gate, n_ff);
    }
    lower_linear(l, up_stem, in, config->n_embd, up, rows);
    struct view hidden = lower_scratch(l, SCRATCH_C, n_ff);
    lower_simple(l, OP_GATED, gate, fused ? view_columns(up, n_ff) : up, hidden, n_ff, 1.0f,
                 config->activation);
    lower_linear(l, down_stem, hidden, n_ff, out, config->n_embd);
}

static void plain(struct lowering *l, struct view in, const char *up_stem, const char *down_stem,
                  struct view out) {
    uint32_t n_ff = hidden_width(l, up_stem);
    struct view hidden = lower_scratch(l, SCRATCH_A, n_ff);
    lower_linear(l, up_stem, in, l->config->n_embd, hidden, n_ff);
    lower_simple(l, OP_ACTIVATE, hidden, (struct view){0}, hidden, n_ff, 1.0f,
                 l->config->activation);
    lower_linear(l, down_stem, hidden, n_ff, out, l->config->n_embd);
}

void block_ffn(struct lowering *l, struct view in, struct view out) {
    if (l->config->layers[l->layer].ffn == FFN_PLAIN)
        plain(l, in, "ffn_up", "ffn_down", out);
    else
        gated(l, in, "ffn_gate", "ffn_up", "ffn_down", out);
}

/* Chooses experts by the router's logits. */
static void choose(struct lowering *l, struct view logits) {
    const struct expert_config *e = &l->config->experts;
    struct op op = {.kind = OP_EXPERT_ROUTE,
                    .in = logits,
                    .scale = e->scale,
                    .route = {.n_expert = e->n_expert,
                              .n_used = e->n_used,
                              .n_group = e->n_group,
                              .n_group_used = e->n_group_used,
                              .gating = e->gating,
                              .normalise = e->normalise}};
    op.bias = lower_vector(l, l->layer, "exp_probs_b", "bias", e->n_expert, false);
    op.w = lower_vector(l, l->layer, "ffn_down_exps", "scale", e->n_expert, false);
    lower_emit(l, &op);
}

static void route(struct lowering *l, struct view in) {
    uint32_t n_expert = l->config->experts.n_expert;
    struct view logits = lower_scratch(l, SCRATCH_ROUTER, n_expert);
    lower_linear(l, "ffn_gate_inp", in, l->config->n_embd, logits, n_expert);
    choose(l, logits);
}

static struct view expert_linear(struct lowering *l, const char *stem, struct view in,
                                 uint32_t cols, uint32_t rows, enum scratch to, bool per_expert) {
    uint32_t n_expert = l->config->experts.n_expert;
    struct op op = {.kind = OP_EXPERT_LINEAR,
                    .in = in,
                    .expert = {.n_used = l->config->experts.n_used, .per_expert_rows = per_expert}};
    op.w = lower_need(l, l->layer, stem, "weight", cols, rows, n_expert);
    op.bias = lower_floats(l, l->layer, stem, "bias", op.w.rows, n_expert, false);
    op.out = lower_scratch(l, to, op.w.rows);
    lower_emit(l, &op);
    return op.out;
}

static void shared_expert(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    if (!lower_find(l, l->layer, "ffn_up_shexp", "weight", config->n_embd, 0, 0).buffer) return;
    struct view result = lower_scratch(l, SCRATCH_Q, config->n_embd);
    if (lower_find(l, l->layer, "ffn_gate_shexp", "weight", config->n_embd, 0, 0).buffer)
        gated(l, in, "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp", result);
    else
        plain(l, in, "ffn_up_shexp", "ffn_down_shexp", result);
    if (config->experts.gated_shared) {
        struct view gate = lower_scratch(l, SCRATCH_ROUTER, 1);
        lower_linear(l, "ffn_gate_inp_shexp", in, config->n_embd, gate, 1);
        struct view spread = lower_scratch(l, SCRATCH_K, config->n_embd);
        lower_copy(l, gate, 0, spread, 1, 1, config->n_embd);
        lower_simple(l, OP_GATED, spread, result, result, config->n_embd, 1.0f, ACTIVATION_SIGMOID);
    }
    lower_simple(l, OP_ADD, out, result, out, config->n_embd, 1.0f, ACTIVATION_NONE);
}

/* act(gate x) * up x, or act(up x): [n_used rows a row, n_ff]. */
static struct view expert_hidden(struct lowering *l, struct view in) {
    const struct config *config = l->config;
    uint32_t n_expert = config->experts.n_expert;
    struct op act = {
        .kind = OP_GATED, .row_factor = config->experts.n_used, .activation = config->activation};
    if (lower_has(l, l->layer, "ffn_gate_up_exps")) {
        act.in =
            expert_linear(l, "ffn_gate_up_exps", in, config->n_embd, 0, SCRATCH_EXPERT_B, false);
        act.width = act.in.stride / 2;
        act.in2 = view_columns(act.in, act.width);
        act.out = lower_scratch(l, SCRATCH_EXPERT_A, act.width);
        lower_emit(l, &act);
        return act.out;
    }
    struct view up =
        expert_linear(l, "ffn_up_exps", in, config->n_embd, 0, SCRATCH_EXPERT_B, false);
    uint32_t n_ff = up.stride;
    act.kind = OP_ACTIVATE;
    act.in = act.out = up;
    act.width = n_ff;
    if (lower_find(l, l->layer, "ffn_gate_exps", "weight", config->n_embd, n_ff, n_expert).buffer) {
        act.kind = OP_GATED;
        act.in =
            expert_linear(l, "ffn_gate_exps", in, config->n_embd, n_ff, SCRATCH_EXPERT_A, false);
        act.in2 = up;
    }
    lower_emit(l, &act);
    return up;
}

static void routed_experts(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    struct view hidden = expert_hidden(l, in);
    struct view down = expert_linear(l, "ffn_down_exps", hidden, hidden.stride, config->n_embd,
                                     SCRATCH_EXPERT_OUT, true);
    lower_emit(l,
               &(struct op){.kind = OP_EXPERT_SUM,
                            .in = down,
                            .out = out,
                            .width = config->n_embd,
                            .expert = {.n_used = config->experts.n_used, .per_expert_rows = true}});
}

void block_experts(struct lowering *l, struct view in, struct view out) {
    route(l, in);
    routed_experts(l, in, out);
    shared_expert(l, in, out);
}

/* The router of Gemma 4 sees the residual stream under a norm of its own. */
static void route_residual(struct lowering *l, struct view x) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd, n_expert = config->experts.n_expert;
    struct view in = lower_scratch(l, SCRATCH_MIX, n);
    struct view logits = lower_scratch(l, SCRATCH_ROUTER, n_expert);
    struct op norm = {.kind = OP_NORM,
                      .in = x,
                      .out = in,
                      .width = n,
                      .norm = {config->norm, 1, config->norm_eps}};
    norm.w = lower_vector(l, l->layer, "ffn_gate_inp", "scale", n, true);
    lower_emit(l, &norm);
    lower_simple(l, OP_SCALE, in, (struct view){0}, in, n, 1.0f / sqrtf((float)n), ACTIVATION_NONE);
    lower_linear(l, "ffn_gate_inp", in, n, logits, n_expert);
    choose(l, logits);
}

void block_gated_and_experts(struct lowering *l, struct view in, struct view out) {
    uint32_t n = l->config->n_embd;
    struct view x = lower_scratch(l, SCRATCH_X, n), routed = lower_scratch(l, SCRATCH_Q, n);
    gated(l, in, "ffn_gate", "ffn_up", "ffn_down", out);
    lower_norm(l, l->layer, "post_ffw_norm_1", out, out, n, 1);
    route_residual(l, x);
    struct view normed = lower_scratch(l, SCRATCH_MIX, n);
    lower_norm(l, l->layer, "pre_ffw_norm_2", x, normed, n, 1);
    routed_experts(l, normed, routed);
    lower_norm(l, l->layer, "post_ffw_norm_2", routed, routed, n, 1);
    lower_simple(l, OP_ADD, out, routed, out, n, 1.0f, ACTIVATION_NONE);
}
