/* gpt-oss: attention sinks (found by name), every other layer local, clamped SwiGLU experts. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(gpt_oss) {
    (void)err;
    config->rope_neox = true;
    config->ffn_norm = "post_attention_norm";
    config->activation = ACTIVATION_SWIGLU_OAI;
    config->experts.gating = GATING_SOFTMAX_OF_CHOSEN;
    config->experts.normalise = false;
    config_set_windows(config, source, 2);
    config->rope_local = config->rope;
    return HEARTH_OK;
}

/* Gate and up rows alternate. Weights that are not packed are stored as [in, out]. */
#define EXPERTS(part) "layers.#.mlp.experts." part
static const struct hf_rule gpt_oss_rules[] = {
    {.from = "layers.#.input_layernorm.weight", .to = "blk.#.attn_norm.weight", .needed = true},
    {.from = "layers.#.post_attention_layernorm.weight",
     .to = "blk.#.post_attention_norm.weight",
     .needed = true},
    {.from = "layers.#.self_attn.sinks",
     .to = "blk.#.attn_sinks.weight",
     .f32 = true,
     .needed = true},
    {.from = "layers.#.mlp.router.weight",
     .to = "blk.#.ffn_gate_inp.weight",
     .f32 = true,
     .needed = true},
    {.from = "layers.#.mlp.router.bias", .to = "blk.#.ffn_gate_inp.bias", .needed = true},
    {.from = EXPERTS("gate_up_proj_blocks"),
     .to = "blk.#.ffn_gate_exps.weight",
     .slice = hf_even_rows},
    {.from = EXPERTS("gate_up_proj_blocks"),
     .to = "blk.#.ffn_up_exps.weight",
     .slice = hf_odd_rows},
    {.from = EXPERTS("down_proj_blocks"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = EXPERTS("gate_up_proj"),
     .to = "blk.#.ffn_gate_exps.weight",
     .slice = hf_even_rows,
     .transpose = HF_TRANSPOSED},
    {.from = EXPERTS("gate_up_proj"),
     .to = "blk.#.ffn_up_exps.weight",
     .slice = hf_odd_rows,
     .transpose = HF_TRANSPOSED},
    {.from = EXPERTS("down_proj"), .to = "blk.#.ffn_down_exps.weight", .transpose = HF_TRANSPOSED},
    {.from = EXPERTS("gate_up_proj_bias"), .to = "blk.#.ffn_gate_exps.bias", .slice = hf_even_rows},
    {.from = EXPERTS("gate_up_proj_bias"), .to = "blk.#.ffn_up_exps.bias", .slice = hf_odd_rows},
    {.from = EXPERTS("down_proj_bias"), .to = "blk.#.ffn_down_exps.bias"},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"sliding_window", "attention.sliding_window", HF_UINT},
    {"num_experts_per_tok|experts_per_token", "expert_used_count", HF_UINT},
    {"intermediate_size", "expert_feed_forward_length", HF_UINT},
    {NULL, NULL, HF_UINT},
};

const struct hf_family gpt_oss_hf = {
    .name = "gpt-oss",
    .architectures = "GptOssForCausalLM",
    .model_types = "gpt_oss",
    .keys = keys,
    .rules = {hf_embedding_rules, hf_attention_rules, gpt_oss_rules},
};
