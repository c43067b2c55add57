/* Gated delta net layers as Qwen 3.5 builds them: a fused projection and a short
 * convolution make Q, K and V; two small ones make the decay and the write
 * strength; the result is normed for each head and gated. */
#include <math.h>

#include "model/lower.h"

static void norm_l2(struct lowering *l, struct view x, uint32_t width, uint32_t n_groups) {
    lower_emit(l, &(struct op){.kind = OP_NORM,
                               .in = x,
                               .out = x,
                               .width = width,
                               .norm = {NORM_L2, n_groups, l->config->norm_eps}});
}

/* qkv [T, Q K V] and the gate z [T, n_value]. The first Qwen 3 Next files have one matrix,
 * whose rows are q, k, its v and its z for one key head after the other. */
static void project_values(struct lowering *l, struct view in, struct view qkv, struct view z) {
    const struct config *config = l->config;
    uint32_t heads = config->delta.n_head_k, d_k = config->delta.d_k, n_key = heads * d_k;
    uint32_t n_value = config->delta.n_head_v * config->delta.d_v;
    if (!lower_has(l, l->layer, "ssm_in")) {
        lower_linear(l, "attn_qkv", in, config->n_embd, qkv, 2 * n_key + n_value);
        lower_linear(l, "attn_gate", in, config->n_embd, z, n_value);
        return;
    }
    uint32_t d_each = n_value / heads, stride = 2 * d_k + 2 * d_each;
    struct view mixed = lower_scratch(l, SCRATCH_C, heads * stride);
    lower_linear(l, "ssm_in", in, config->n_embd, mixed, heads * stride);
    lower_copy(l, mixed, stride, qkv, d_k, d_k, heads);
    lower_copy(l, view_columns(mixed, d_k), stride, view_columns(qkv, n_key), d_k, d_k, heads);
    lower_copy(l, view_columns(mixed, 2 * d_k), stride, view_columns(qkv, 2 * n_key), d_each,
               d_each, heads);
    lower_copy(l, view_columns(mixed, 2 * d_k + d_each), stride, z, d_each, d_each, heads);
}

/* alpha and beta [T, n_head_v], into SCRATCH_A and SCRATCH_B; from one matrix whose rows
 * are the betas and the alphas of one key head after the other, or from two. */
static void project_rates(struct lowering *l, struct view in) {
    const struct config *config = l->config;
    uint32_t n = config->delta.n_head_v, n_group = n / config->delta.n_head_k;
    struct view alpha = lower_scratch(l, SCRATCH_A, n), beta = lower_scratch(l, SCRATCH_B, n);
    if (!lower_has(l, l->layer, "ssm_ba")) {
        lower_linear(l, "ssm_alpha", in, config->n_embd, alpha, n);
        lower_linear(l, "ssm_beta", in, config->n_embd, beta, n);
        return;
    }
    struct view both = lower_scratch(l, SCRATCH_C, 2 * n);
    lower_linear(l, "ssm_ba", in, config->n_embd, both, 2 * n);
    lower_copy(l, both, 2 * n_group, beta, n_group, n_group, config->delta.n_head_k);
    lower_copy(l, view_columns(both, n_group), 2 * n_group, alpha, n_group, n_group,
               config->delta.n_head_k);
}

/* log decay = A softplus(alpha + dt_bias), with A < 0 stored as such. */
static struct view log_decay(struct lowering *l) {
    uint32_t heads = l->config->delta.n_head_v;
    struct view g = lower_scratch(l, SCRATCH_A, heads);
    struct op op = {.kind = OP_ADD_ROW, .in = g, .out = g, .width = heads};
    op.w = lower_vector(l, l->layer, "ssm_dt", "bias", heads, true);
    lower_emit(l, &op);
    lower_simple(l, OP_ACTIVATE, g, (struct view){0}, g, heads, 1.0f, ACTIVATION_SOFTPLUS);
    op.kind = OP_MUL_ROW;
    op.w = lower_vector(l, l->layer, "ssm_a", "", heads, true);
    lower_emit(l, &op);
    return g;
}

void block_delta_net(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    uint32_t n_key = config->delta.n_head_k * config->delta.d_k;
    uint32_t n_value = config->delta.n_head_v * config->delta.d_v, width = 2 * n_key + n_value;
    const struct layer_cache *cache = &l->cache->layers[l->layer];
    struct view qkv = lower_scratch(l, SCRATCH_Q, width), z = lower_scratch(l, SCRATCH_V, n_value);
    project_values(l, in, qkv, z);
    project_rates(l, in);
    struct view g = log_decay(l);
    struct view beta = lower_scratch(l, SCRATCH_B, config->delta.n_head_v);
    lower_simple(l, OP_ACTIVATE, beta, (struct view){0}, beta, config->delta.n_head_v, 1.0f,
                 ACTIVATION_SIGMOID);
    struct op conv = {.kind = OP_CONV,
                      .in = qkv,
                      .out = qkv,
                      .width = width,
                      .activation = ACTIVATION_SILU,
                      .conv = {config->delta.conv_kernel, cache->conv}};
    conv.w =
        lower_floats(l, l->layer, "ssm_conv1d", "weight", config->delta.conv_kernel, width, true);
    lower_emit(l, &conv);
    struct view k = view_columns(qkv, n_key), v = view_columns(qkv, 2 * n_key);
    norm_l2(l, qkv, config->delta.d_k, config->delta.n_head_k);
    norm_l2(l, k, config->delta.d_k, config->delta.n_head_k);
    struct view mix = lower_scratch(l, SCRATCH_MIX, n_value);
    lower_emit(
        l, &(struct op){.kind = OP_DELTA_NET,
                        .in = qkv,
                        .in2 = k,
                        .in3 = v,
                        .in4 = g,
                        .in5 = beta,
                        .out = mix,
                        .scale = 1.0f / sqrtf((float)config->delta.d_k),
                        .delta = {config->delta.n_head_k, config->delta.n_head_v, config->delta.d_k,
                                  config->delta.d_v, config->delta.grouped, cache->state}});
    lower_norm(l, l->layer, "ssm_norm", mix, mix, config->delta.d_v, config->delta.n_head_v);
    lower_simple(l, OP_GATED, z, mix, mix, n_value, 1.0f, ACTIVATION_SILU);
    lower_linear(l, "ssm_out", mix, n_value, out, config->n_embd);
}
