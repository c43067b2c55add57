/* Granite 3 and its expert variant: Llama with four multipliers, all read from the metadata. */
#include <string.h>

#include "model/family.h"
#include "model/hf_granite.h"

FAMILY_CONFIGURE(granite) {
    (void)source;
    (void)err;
    config->rope_neox = false;
    return HEARTH_OK;
}

const struct hf_key granite_keys[] = {
    {"attention_multiplier", "attention.scale", HF_FLOAT},
    {"embedding_multiplier", "embedding_scale", HF_FLOAT},
    {"residual_multiplier", "residual_scale", HF_FLOAT},
    {"logits_scaling", "logit_scale", HF_FLOAT},
    {"shared_intermediate_size", "expert_shared_feed_forward_length", HF_UINT},
    {NULL, NULL, HF_UINT},
};

/* Granite 4 without experts keeps its only feed-forward part under the name of the
 * shared one; both store gate and up as one matrix. */
const struct hf_rule granite_mlp_rules[] = {
    {.from = "layers.#.shared_mlp.input_linear.weight",
     .to = "blk.#.ffn_gate.weight",
     .slice = hf_first_half},
    {.from = "layers.#.shared_mlp.input_linear.weight",
     .to = "blk.#.ffn_up.weight",
     .slice = hf_second_half},
    {.from = "layers.#.shared_mlp.output_linear.weight", .to = "blk.#.ffn_down.weight"},
    {.from = NULL},
};

#define EXPERTS(part) "layers.#.block_sparse_moe." part
const struct hf_rule granite_experts_rules[] = {
    {.from = EXPERTS("router.layer.weight"), .to = "blk.#.ffn_gate_inp.weight", .f32 = true},
    {.from = EXPERTS("input_linear.weight"),
     .to = "blk.#.ffn_gate_exps.weight",
     .slice = hf_first_half},
    {.from = EXPERTS("input_linear.weight"),
     .to = "blk.#.ffn_up_exps.weight",
     .slice = hf_second_half},
    {.from = EXPERTS("output_linear.weight"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = "layers.#.shared_mlp.input_linear.weight",
     .to = "blk.#.ffn_gate_shexp.weight",
     .slice = hf_first_half},
    {.from = "layers.#.shared_mlp.input_linear.weight",
     .to = "blk.#.ffn_up_shexp.weight",
     .slice = hf_second_half},
    {.from = "layers.#.shared_mlp.output_linear.weight", .to = "blk.#.ffn_down_shexp.weight"},
    {.from = NULL},
};

bool granite_has_mamba(struct hf_config *c) {
    const json_t *list = hf_get_list(c, "layer_types");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *kind = json_string_value(json_array_get(list, i));
        if (kind && strcmp(kind, "mamba") == 0) return true;
    }
    return false;
}

bool granite_has_experts(struct hf_config *c) {
    uint32_t n = 0;
    return hf_get_u32(c, "num_local_experts", &n) && n > 0;
}

static bool is_dense(struct hf_config *c) {
    return !granite_has_mamba(c) && !granite_has_experts(c);
}

static bool is_expert(struct hf_config *c) {
    return !granite_has_mamba(c) && granite_has_experts(c);
}

const struct hf_family granite_hf = {
    .name = "granite",
    .architectures = "GraniteForCausalLM GraniteMoeHybridForCausalLM",
    .model_types = "granite granitemoehybrid",
    .keys = granite_keys,
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules, hf_mlp_rules,
              granite_mlp_rules},
    .is = is_dense,
};

const struct hf_family granite_moe_hf = {
    .name = "granitemoe",
    .architectures = "GraniteMoeForCausalLM GraniteMoeSharedForCausalLM "
                     "GraniteMoeHybridForCausalLM",
    .model_types = "granitemoe granitemoeshared granitemoehybrid",
    .keys = granite_keys,
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules,
              granite_experts_rules},
    .is = is_expert,
};
