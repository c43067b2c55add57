/* Qwen 1.5, 2 and 2.5: biases on Q, K and V (found by name), half-split rotary pairs. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(qwen2) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    return HEARTH_OK;
}

const struct hf_family qwen2_hf = {
    .name = "qwen2",
    .architectures = "Qwen2ForCausalLM Qwen2Model",
    .model_types = "qwen2",
    .rules = {hf_embedding_rules, hf_norm_rules, hf_attention_rules, hf_mlp_rules},
};
