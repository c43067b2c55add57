/* Grouped-query attention (Ainslie et al., arXiv 2305.13245) in all the variants of
 * the supported families. */
#include <math.h>

#include "model/lower.h"

/* Q, K and V as views; from three projections, a fused one, or with gates. */
struct projections {
    struct view q, k, v, gate;
};

static struct projections project(struct lowering *l, struct view in) {
    const struct layer_config *layer = &l->config->layers[l->layer];
    uint32_t n_q = layer->n_head * layer->d_k, n_k = layer->n_head_kv * layer->d_k;
    uint32_t n_v = layer->n_head_kv * layer->d_v, n_embd = l->config->n_embd;
    struct projections p = {0};
    if (lower_find(l, l->layer, "attn_qkv", "weight", n_embd, n_q + n_k + n_v, 0).buffer) {
        struct view all = lower_scratch(l, SCRATCH_Q, n_q + n_k + n_v);
        lower_linear(l, "attn_qkv", in, n_embd, all, n_q + n_k + n_v);
        p.q = all;
        p.k = view_columns(all, n_q);
        p.v = view_columns(all, n_q + n_k);
        return p;
    }
    p.q = lower_scratch(l, SCRATCH_Q, n_q);
    p.k = lower_scratch(l, SCRATCH_K, n_k);
    p.v = lower_scratch(l, SCRATCH_V, n_v);
    if (l->config->gated_attention) {
        struct view both = lower_scratch(l, SCRATCH_A, 2 * n_q);
        p.gate = lower_scratch(l, SCRATCH_B, n_q);
        lower_linear(l, "attn_q", in, n_embd, both, 2 * n_q);
        lower_copy(l, both, 2 * layer->d_k, p.q, layer->d_k, layer->d_k, layer->n_head);
        lower_copy(l, view_columns(both, layer->d_k), 2 * layer->d_k, p.gate, layer->d_k,
                   layer->d_k, layer->n_head);
    } else
        lower_linear(l, "attn_q", in, n_embd, p.q, n_q);
    lower_linear(l, "attn_k", in, n_embd, p.k, n_k);
    lower_linear(l, "attn_v", in, n_embd, p.v, n_v);
    return p;
}

/* The norm weight's size says whether it covers one head or the whole projection. */
static void norm_heads(struct lowering *l, const char *stem, struct view x, uint32_t n_head,
                       uint32_t head_dim) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", l->layer, stem);
    const struct tensor *tensor = directory_find(&l->model->directory, name);
    bool whole = tensor && n_head > 1 && tensor->dims[0] == (uint64_t)n_head * head_dim;
    lower_norm(l, l->layer, stem, x, x, whole ? n_head * head_dim : head_dim, whole ? 1 : n_head);
}

void block_attention(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    if (layer->n_head == 0 || layer->n_head_kv == 0) {
        lower_fail(l, HEARTH_ERROR_FORMAT, "layer %u is an attention layer without heads",
                   l->layer);
        return;
    }
    struct projections p = project(l, in);
    uint32_t n_q = layer->n_head * layer->d_k, n_out = layer->n_head * layer->d_v;
    if (config->qk_norm) {
        norm_heads(l, "attn_q_norm", p.q, layer->n_head, layer->d_k);
        norm_heads(l, "attn_k_norm", p.k, layer->n_head_kv, layer->d_k);
    }
    if (layer->rope) {
        lower_rope(l, p.q, layer->n_head, layer->d_k);
        lower_rope(l, p.k, layer->n_head_kv, layer->d_k);
    }
    if (config->temperature_scale != 0.0f)
        lower_emit(l, &(struct op){.kind = OP_POSITION_SCALE,
                                   .in = p.q,
                                   .width = n_q,
                                   .scale = config->temperature_scale,
                                   .position_scale = {config->temperature_period}});
    struct op op = {.kind = OP_KV_WRITE,
                    .in = p.k,
                    .in2 = p.v,
                    .attention = {.layout = l->cache->layers[l->layer].kv,
                                  .n_head = layer->n_head,
                                  .window = layer->window,
                                  .softcap = config->attention_softcap,
                                  .causal = config->causal}};
    lower_emit(l, &op);
    op.kind = OP_ATTENTION;
    op.in = p.q;
    op.in2 = (struct view){0};
    op.out = lower_scratch(l, SCRATCH_MIX, n_out);
    op.scale =
        config->attention_scale != 0.0f ? config->attention_scale : 1.0f / sqrtf((float)layer->d_k);
    op.w = lower_vector(l, l->layer, "attn_sinks", "weight", layer->n_head, false);
    lower_emit(l, &op);
    if (config->gated_attention)
        lower_simple(l, OP_GATED, p.gate, op.out, op.out, n_out, 1.0f, ACTIVATION_SIGMOID);
    lower_linear(l, "attn_output", op.out, n_out, out, config->n_embd);
}
