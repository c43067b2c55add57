/* Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) in its
 * absorbed form: the cache holds one compressed vector and one rotary key for each
 * position, and the up-projections act on queries and on the result instead. */
#include <math.h>

#include "model/lower.h"

static struct view project_queries(struct lowering *l, struct view in, uint32_t n_q) {
    const struct config *config = l->config;
    struct view q = lower_scratch(l, SCRATCH_Q, n_q);
    if (config->q_rank == 0) {
        lower_linear(l, "attn_q", in, config->n_embd, q, n_q);
        return q;
    }
    struct view low = lower_scratch(l, SCRATCH_A, config->q_rank);
    lower_linear(l, "attn_q_a", in, config->n_embd, low, config->q_rank);
    lower_norm(l, l->layer, "attn_q_a_norm", low, low, config->q_rank, 1);
    lower_linear(l, "attn_q_b", low, config->q_rank, q, n_q);
    return q;
}

void block_latent_attention(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    uint32_t n_head = layer->n_head, n_rot = config->rope.n_rot, n_nope = layer->d_k - n_rot;
    uint32_t rank = config->kv_rank, latent = rank + n_rot;
    struct view q = project_queries(l, in, n_head * layer->d_k);
    struct view compressed = lower_scratch(l, SCRATCH_K, latent);
    lower_linear(l, "attn_kv_a_mqa", in, config->n_embd, compressed, latent);
    lower_norm(l, l->layer, "attn_kv_a_norm", compressed, compressed, rank, 1);
    lower_rope(l, view_columns(compressed, rank), 1, n_rot);

    /* A head's query: [absorbed rank values, rotated n_rot values]. */
    struct view wide = lower_scratch(l, SCRATCH_B, n_head * latent);
    struct op absorb = {
        .kind = OP_HEAD_LINEAR, .in = q, .out = wide, .head_linear = {n_head, layer->d_k, latent}};
    struct latent_weights weights = latent_weights(l, n_nope);
    absorb.w = weights.k;
    lower_emit(l, &absorb);
    struct view turned = lower_scratch(l, SCRATCH_C, n_head * n_rot);
    lower_copy(l, view_columns(q, n_nope), layer->d_k, turned, n_rot, n_rot, n_head);
    lower_rope(l, turned, n_head, n_rot);
    lower_copy(l, turned, n_rot, view_columns(wide, rank), latent, n_rot, n_head);

    struct op op = {.kind = OP_KV_WRITE,
                    .in = compressed,
                    .attention = {.layout = l->cache->layers[l->layer].kv,
                                  .n_head = n_head,
                                  .causal = config->causal}};
    lower_emit(l, &op);
    op.kind = OP_ATTENTION;
    op.in = wide;
    op.out = lower_scratch(l, SCRATCH_MIX, n_head * rank);
    op.scale =
        config->attention_scale != 0.0f ? config->attention_scale : 1.0f / sqrtf((float)layer->d_k);
    lower_emit(l, &op);
    struct view values = lower_scratch(l, SCRATCH_V, n_head * layer->d_v);
    struct op raise = {.kind = OP_HEAD_LINEAR,
                       .in = op.out,
                       .out = values,
                       .head_linear = {n_head, rank, layer->d_v}};
    raise.w = weights.v;
    lower_emit(l, &raise);
    lower_linear(l, "attn_output", values, n_head * layer->d_v, out, config->n_embd);
}
