/* OLMoE: norms over the whole of Q and K; expert weights are not renormalised. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(olmoe) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->qk_norm = true;
    config->experts.normalise = false;
    return HEARTH_OK;
}

const struct hf_family olmoe_hf = {
    .name = "olmoe",
    .architectures = "OlmoeForCausalLM",
    .model_types = "olmoe",
    .rules = {hf_embedding_rules, hf_norm_rules, hf_attention_rules, hf_qk_norm_rules,
              hf_experts_rules},
};
