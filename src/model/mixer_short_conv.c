/* The gated short convolution of LFM2 (Liquid AI): out(C * conv(B * x)). */
#include "model/lower.h"

void block_short_conv(struct lowering *l, struct view in, struct view out) {
    uint32_t n = l->config->n_embd;
    struct view b = lower_scratch(l, SCRATCH_Q, 3 * n);
    struct view c = view_columns(b, n), x = view_columns(b, 2 * n);
    lower_linear(l, "shortconv.in_proj", in, n, b, 3 * n);
    lower_simple(l, OP_GATED, b, x, x, n, 1.0f, ACTIVATION_NONE);
    struct op conv = {.kind = OP_CONV,
                      .in = x,
                      .out = lower_scratch(l, SCRATCH_MIX, n),
                      .width = n,
                      .conv = {l->config->short_conv_kernel, l->cache->layers[l->layer].conv}};
    conv.w = lower_floats(l, l->layer, "shortconv.conv", "weight", l->config->short_conv_kernel, n,
                          true);
    lower_emit(l, &conv);
    lower_simple(l, OP_GATED, c, conv.out, conv.out, n, 1.0f, ACTIVATION_NONE);
    lower_linear(l, "shortconv.out_proj", conv.out, n, out, n);
}
