/* GPT-2: learned positions, LayerNorm with bias, fused Q/K/V, a plain GELU feed-forward part. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(gpt2) {
    (void)source;
    (void)err;
    config->norm = NORM_LAYER;
    config->learned_positions = true;
    config->activation = ACTIVATION_GELU;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        config->layers[i].rope = false;
        config->layers[i].ffn = FFN_PLAIN;
    }
    return HEARTH_OK;
}

/* Its Conv1D layers store the weights as [in, out]. */
static const struct hf_rule gpt2_rules[] = {
    {.from = "wte.weight", .to = "token_embd.weight", .needed = true},
    {.from = "wpe.weight", .to = "position_embd.weight", .f32 = true, .needed = true},
    {.from = "ln_f.weight", .to = "output_norm.weight", .needed = true},
    {.from = "ln_f.bias", .to = "output_norm.bias", .needed = true},
    {.from = "lm_head.weight", .to = "output.weight"},
    {.from = "h.#.ln_1.weight", .to = "blk.#.attn_norm.weight", .needed = true},
    {.from = "h.#.ln_1.bias", .to = "blk.#.attn_norm.bias", .needed = true},
    {.from = "h.#.attn.c_attn.weight", .to = "blk.#.attn_qkv.weight", .transpose = HF_TRANSPOSED},
    {.from = "h.#.attn.c_attn.bias", .to = "blk.#.attn_qkv.bias"},
    {.from = "h.#.attn.c_proj.weight",
     .to = "blk.#.attn_output.weight",
     .transpose = HF_TRANSPOSED},
    {.from = "h.#.attn.c_proj.bias", .to = "blk.#.attn_output.bias"},
    {.from = "h.#.ln_2.weight", .to = "blk.#.ffn_norm.weight", .needed = true},
    {.from = "h.#.ln_2.bias", .to = "blk.#.ffn_norm.bias", .needed = true},
    {.from = "h.#.mlp.c_fc.weight", .to = "blk.#.ffn_up.weight", .transpose = HF_TRANSPOSED},
    {.from = "h.#.mlp.c_fc.bias", .to = "blk.#.ffn_up.bias"},
    {.from = "h.#.mlp.c_proj.weight", .to = "blk.#.ffn_down.weight", .transpose = HF_TRANSPOSED},
    {.from = "h.#.mlp.c_proj.bias", .to = "blk.#.ffn_down.bias"},
    {.from = NULL},
};

static void metadata(struct hf_config *c) {
    uint32_t n_embd = hf_need_u32(c, "hidden_size|n_embd");
    if (!hf_has_key(c, "feed_forward_length") && n_embd <= CONFIG_MAX_WIDTH)
        hf_set_u32(c, "feed_forward_length", 4 * n_embd);
}

const struct hf_family gpt2_hf = {
    .name = "gpt2",
    .architectures = "GPT2LMHeadModel GPT2Model",
    .model_types = "gpt2",
    .rules = {gpt2_rules},
    .ignored = "h.#.attn.bias h.#.attn.masked_bias", /* the causal mask */
    .metadata = metadata,
};
