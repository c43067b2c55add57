/* Mamba-2 layers (arXiv 2405.21060): one projection gives the gate z, the scanned
 * values x with their B and C, and the step sizes dt. */
#include "model/lower.h"

void block_mamba2(struct lowering *l, struct view in, struct view out) {
    const struct config *config = l->config;
    uint32_t n_head = config->mamba.n_head, inner = n_head * config->mamba.d_head;
    uint32_t shared = config->mamba.n_group * config->mamba.d_state;
    uint32_t conv_width = inner + 2 * shared, total = inner + conv_width + n_head;
    const struct layer_cache *cache = &l->cache->layers[l->layer];
    struct view z = lower_scratch(l, SCRATCH_Q, total);
    struct view xbc = view_columns(z, inner), dt = view_columns(xbc, conv_width);
    lower_linear(l, "ssm_in", in, config->n_embd, z, total);
    struct op conv = {.kind = OP_CONV,
                      .in = xbc,
                      .out = xbc,
                      .width = conv_width,
                      .activation = ACTIVATION_SILU,
                      .conv = {config->mamba.conv_kernel, cache->conv}};
    conv.w = lower_floats(l, l->layer, "ssm_conv1d", "weight", config->mamba.conv_kernel,
                          conv_width, true);
    conv.bias = lower_vector(l, l->layer, "ssm_conv1d", "bias", conv_width, false);
    lower_emit(l, &conv);
    struct op bias = {.kind = OP_ADD_ROW, .in = dt, .out = dt, .width = n_head};
    bias.w = lower_vector(l, l->layer, "ssm_dt", "bias", n_head, true);
    lower_emit(l, &bias);
    lower_simple(l, OP_ACTIVATE, dt, (struct view){0}, dt, n_head, 1.0f, ACTIVATION_SOFTPLUS);
    struct op scan = {.kind = OP_MAMBA2,
                      .in = xbc,
                      .in2 = view_columns(xbc, inner),
                      .in3 = view_columns(xbc, inner + shared),
                      .in4 = dt,
                      .out = lower_scratch(l, SCRATCH_MIX, inner),
                      .mamba2 = {n_head, config->mamba.d_head, config->mamba.n_group,
                                 config->mamba.d_state, cache->state}};
    scan.w = lower_vector(l, l->layer, "ssm_a", "", n_head, true);
    scan.bias = lower_vector(l, l->layer, "ssm_d", "", n_head, true);
    lower_emit(l, &scan);
    lower_simple(l, OP_GATED, z, scan.out, scan.out, inner, 1.0f, ACTIVATION_SILU);
    struct op norm = {.kind = OP_NORM,
                      .in = scan.out,
                      .out = scan.out,
                      .width = inner / config->mamba.n_group,
                      .norm = {NORM_RMS, config->mamba.n_group, config->norm_eps}};
    norm.w = lower_floats(l, l->layer, "ssm_norm", "weight", inner / config->mamba.n_group,
                          config->mamba.n_group, false);
    if (norm.w.buffer) lower_emit(l, &norm);
    lower_linear(l, "ssm_out", scan.out, inner, out, config->n_embd);
}
