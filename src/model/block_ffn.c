/* Feed-forward parts: plain, gated (Shazeer, "GLU Variants", arXiv 2002.05202) and
 * mixtures of experts with an optional shared expert. */
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

static void route(struct lowering *l, struct view in) {
    const struct expert_config *e = &l->config->experts;
    struct view logits = lower_scratch(l, SCRATCH_ROUTER, e->n_expert);
    lower_linear(l, "ffn_gate_inp", in, l->config->n_embd, logits, e->n_expert);
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
    lower_emit(l, &op);
}

static struct view expert_linear(struct lowering *l, const char *stem, struct view in,
                                 uint32_t cols, uint32_t rows, enum scratch to, bool per_expert) {
    uint32_t n_expert = l->config->experts.n_expert;
    struct op op = {
        .kind = OP_EXPERT_LINEAR, .in = in, .expert = {l->config->experts.n_used, per_expert}};
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

void block_experts(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    uint32_t n_used = config->experts.n_used, n_expert = config->experts.n_expert;
    route(l, in);
    struct view up =
        expert_linear(l, "ffn_up_exps", in, config->n_embd, 0, SCRATCH_EXPERT_B, false);
    uint32_t n_ff = up.stride;
    struct op act = {.kind = OP_ACTIVATE,
                     .row_factor = n_used,
                     .in = up,
                     .out = up,
                     .width = n_ff,
                     .activation = config->activation};
    if (lower_find(l, l->layer, "ffn_gate_exps", "weight", config->n_embd, n_ff, n_expert).buffer) {
        act.kind = OP_GATED;
        act.in =
            expert_linear(l, "ffn_gate_exps", in, config->n_embd, n_ff, SCRATCH_EXPERT_A, false);
        act.in2 = up;
    }
    lower_emit(l, &act);
    struct view down =
        expert_linear(l, "ffn_down_exps", up, n_ff, config->n_embd, SCRATCH_EXPERT_OUT, true);
    lower_emit(l, &(struct op){.kind = OP_EXPERT_SUM,
                               .in = down,
                               .out = out,
                               .width = config->n_embd,
                               .expert = {n_used, true}});
    shared_expert(l, in, out);
}
