/* Qwen 3, dense and expert: norms on every head of Q and K. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(qwen3) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->qk_norm = true;
    return HEARTH_OK;
}

static const struct hf_key moe_keys[] = {
    {"norm_topk_prob", "expert_weights_norm", HF_FLAG},
    {NULL, NULL, HF_UINT},
};

const struct hf_family qwen3_hf = {
    .name = "qwen3",
    .architectures = "Qwen3ForCausalLM Qwen3Model",
    .model_types = "qwen3",
    .rules = {hf_embedding_rules, hf_norm_rules, hf_attention_rules, hf_qk_norm_rules,
              hf_mlp_rules},
};

const struct hf_family qwen3_moe_hf = {
    .name = "qwen3moe",
    .architectures = "Qwen3MoeForCausalLM",
    .model_types = "qwen3_moe",
    .keys = moe_keys,
    .rules = {hf_embedding_rules, hf_norm_rules, hf_attention_rules, hf_qk_norm_rules,
              hf_experts_rules},
};
