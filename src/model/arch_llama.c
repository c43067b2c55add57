/* Llama 1-3, Mistral, Mixtral, SmolLM 1-2 and others that use its graph. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(llama) {
    (void)source;
    (void)err;
    config->rope_neox = false;
    return HEARTH_OK;
}

/* Mixtral names its experts after the paper's w1 (gate), w2 (down) and w3 (up). */
#define MIXTRAL(part) "layers.#.block_sparse_moe." part
static const struct hf_rule mixtral_rules[] = {
    {.from = MIXTRAL("gate.weight"), .to = "blk.#.ffn_gate_inp.weight", .f32 = true},
    {.from = MIXTRAL("experts.@.w1.weight"), .to = "blk.#.ffn_gate_exps.weight"},
    {.from = MIXTRAL("experts.@.w2.weight"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = MIXTRAL("experts.@.w3.weight"), .to = "blk.#.ffn_up_exps.weight"},
    {.from = NULL},
};

const struct hf_family llama_hf = {
    .name = "llama",
    .architectures = "LlamaForCausalLM LLaMAForCausalLM LlamaModel MistralForCausalLM "
                     "MixtralForCausalLM",
    .model_types = "llama mistral mixtral",
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules, hf_mlp_rules,
              mixtral_rules, hf_experts_rules},
};
