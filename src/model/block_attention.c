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
    if (layer->reads_kv) {
        p.q = lower_scratch(l, SCRATCH_Q, n_q);
        lower_linear(l, "attn_q", in, n_embd, p.q, n_q);
        return p;
    }
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
    if (l->config->v_may_be_k && n_v == n_k && !lower_has(l, l->layer, "attn_v"))
        lower_copy(l, p.k, n_k, p.v, n_v, n_v, 1);
    else
        lower_linear(l, "attn_v", in, n_embd, p.v, n_v);
    return p;
}

/* The shape of the norm's weight says what it covers: any head, each head with a row of
 * its own, or the whole projection at once. */
static void norm_heads(struct lowering *l, const char *stem, struct view x, uint32_t n_head,
                       uint32_t head_dim) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", l->layer, stem);
    const struct tensor *tensor = directory_find(&l->model->directory, name);
    if (tensor && n_head > 1 && tensor->dims[0] == head_dim && tensor->dims[1] == n_head) {
        struct op op = {.kind = OP_NORM,
                        .in = x,
                        .out = x,
                        .width = head_dim,
                        .norm = {l->config->norm, n_head, l->config->norm_eps}};
        op.w = lower_floats(l, l->layer, stem, "weight", head_dim, n_head, true);
        lower_emit(l, &op);
        return;
    }
    bool whole = tensor && n_head > 1 && tensor->dims[0] == (uint64_t)n_head * head_dim;
    lower_norm(l, l->layer, stem, x, x, whole ? n_head * head_dim : head_dim, whole ? 1 : n_head);
}

static void norm_and_rotate(struct lowering *l, const char *norm, struct view x, uint32_t n_head) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    if (config->qk_norm && !config->qk_norm_last) norm_heads(l, norm, x, n_head, layer->d_k);
    if (layer->rope) lower_rope(l, x, n_head, layer->d_k);
    if (config->qk_norm && config->qk_norm_last) norm_heads(l, norm, x, n_head, layer->d_k);
}

/* Values first: they may be the keys before their norm. */
static void write_kv(struct lowering *l, const struct projections *p, struct op *op) {
    const struct config *config = l->config;
    const struct layer_config *layer = &config->layers[l->layer];
    if (config->v_norm)
        lower_norm(l, l->layer, NORM_WITHOUT_WEIGHT, p->v, p->v, layer->d_v, layer->n_head_kv);
    norm_and_rotate(l, "attn_k_norm", p->k, layer->n_head_kv);
    op->kind = OP_KV_WRITE;
    op->in = p->k;
    op->in2 = p->v;
    lower_emit(l, op);
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
    norm_and_rotate(l, "attn_q_norm", p.q, layer->n_head);
    if (config->temperature_scale != 0.0f)
        lower_emit(l, &(struct op){.kind = OP_POSITION_SCALE,
                                   .in = p.q,
                                   .out = p.q,
                                   .width = n_q,
                                   .scale = config->temperature_scale,
                                   .position_scale = {config->temperature_period}});
    struct op op = {.attention = {.layout = l->cache->layers[layer->kv_layer].kv,
                                  .n_head = layer->n_head,
                                  .window = layer->window,
                                  .softcap = config->attention_softcap,
                                  .causal = config->causal}};
    if (!layer->reads_kv) write_kv(l, &p, &op);
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
