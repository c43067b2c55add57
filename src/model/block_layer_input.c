/* Per-layer embeddings (Gemma 3n and 4): next to its embedding, a token has a small
 * vector for every layer, mixed with a projection of the embedding; at the end of a
 * layer the residual stream gates that vector and takes it up. */
#include <math.h>

#include "model/lower.h"

/* [T, n_layer * n_layer_input]: (embedding of the token + norm(projection)) / sqrt(2). */
void lower_layer_inputs(struct lowering *l) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd, n_each = config->n_layer_input, width = config->n_layer * n_each;
    struct view inputs = lower_scratch(l, SCRATCH_LAYER_INPUTS, width);
    struct view projected = lower_scratch(l, SCRATCH_A, width);
    struct op embed = {.kind = OP_EMBED, .out = inputs, .scale = sqrtf((float)n_each)};
    embed.w =
        lower_need(l, OUTSIDE_LAYERS, "per_layer_token_embd", "weight", width, config->n_vocab, 0);
    lower_emit(l, &embed);
    struct op project = {.kind = OP_LINEAR,
                         .in = lower_scratch(l, SCRATCH_X, n),
                         .out = projected,
                         .scale = 1.0f / sqrtf((float)n)};
    project.w = lower_need(l, OUTSIDE_LAYERS, "per_layer_model_proj", "weight", n, width, 0);
    lower_emit(l, &project);
    lower_norm(l, OUTSIDE_LAYERS, "per_layer_proj_norm", projected, projected, n_each,
               config->n_layer);
    lower_simple(l, OP_ADD, projected, inputs, inputs, width, 1.0f, ACTIVATION_NONE);
    lower_simple(l, OP_SCALE, inputs, (struct view){0}, inputs, width, sqrtf(0.5f),
                 ACTIVATION_NONE);
}

/* x <- x + norm(proj(act(gate x) * input of the layer)) */
void block_layer_input(struct lowering *l) {
    const struct config *config = l->config;
    uint32_t n = config->n_embd, n_each = config->n_layer_input;
    struct view x = lower_scratch(l, SCRATCH_X, n), out = lower_scratch(l, SCRATCH_OUT, n);
    struct view inputs = lower_scratch(l, SCRATCH_LAYER_INPUTS, config->n_layer * n_each);
    struct view gate = lower_scratch(l, SCRATCH_A, n_each);
    lower_linear(l, "inp_gate", x, n, gate, n_each);
    lower_simple(l, OP_GATED, gate, view_columns(inputs, l->layer * n_each), gate, n_each, 1.0f,
                 config->activation);
    lower_linear(l, "proj", gate, n_each, out, n);
    lower_norm(l, l->layer, "post_norm", out, out, n, 1);
    lower_simple(l, OP_ADD, x, out, x, n, 1.0f, ACTIVATION_NONE);
}
