/* Granite 4 hybrids: Mamba-2 where a layer has no key/value heads, attention elsewhere. */
#include <string.h>

#include "model/family.h"
#include "model/hf_granite.h"

FAMILY_CONFIGURE(granite_hybrid) {
    bool rope = true;
    config_flag(source, "rope.scaling.finetuned", &rope);
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].rope = rope;
    return config_set_mamba2(config, source, err);
}

static void metadata(struct hf_config *c) {
    bool attention[CONFIG_MAX_LAYERS];
    uint32_t heads[CONFIG_MAX_LAYERS], n_layer = hf_need_u32(c, "num_hidden_layers");
    uint32_t n_head = hf_need_u32(c, "mamba_n_heads"), d_head = hf_need_u32(c, "mamba_d_head");
    uint32_t n_kv = hf_need_u32(c, "num_key_value_heads");
    const char *positions = hf_get_string(c, "position_embedding_type");
    bool rope = positions && strcmp(positions, "rope") == 0;
    if (c->status != HEARTH_OK || n_layer > CONFIG_MAX_LAYERS || n_head > CONFIG_MAX_WIDTH ||
        d_head > CONFIG_MAX_HEADS ||
        !hf_layer_kinds(c, "layer_types", "attention", attention, n_layer))
        return;
    for (uint32_t i = 0; i < n_layer; i++)
        heads[i] = attention[i] ? n_kv : 0;
    hf_set_layers(c, "attention.head_count_kv", heads, n_layer);
    hf_set_u32(c, "ssm.conv_kernel", hf_need_u32(c, "mamba_d_conv"));
    hf_set_u32(c, "ssm.state_size", hf_need_u32(c, "mamba_d_state"));
    hf_set_u32(c, "ssm.group_count", hf_need_u32(c, "mamba_n_groups"));
    hf_set_u32(c, "ssm.inner_size", n_head * d_head);
    hf_set_u32(c, "ssm.time_step_rank", n_head);
    hf_set_flag(c, "rope.scaling.finetuned", rope);
}

static bool is_dense(struct hf_config *c) {
    return granite_has_mamba(c) && !granite_has_experts(c);
}

static bool is_expert(struct hf_config *c) {
    return granite_has_mamba(c) && granite_has_experts(c);
}

const struct hf_family granite_hybrid_hf = {
    .name = "granitehybrid",
    .architectures = "GraniteMoeHybridForCausalLM",
    .model_types = "granitemoehybrid",
    .keys = granite_keys,
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules, granite_mlp_rules,
              hf_mamba2_rules},
    .metadata = metadata,
    .is = is_dense,
};

const struct hf_family granite_hybrid_moe_hf = {
    .name = "granitehybrid",
    .architectures = "GraniteMoeHybridForCausalLM",
    .model_types = "granitemoehybrid",
    .keys = granite_keys,
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules,
              granite_experts_rules, hf_mamba2_rules},
    .metadata = metadata,
    .is = is_expert,
};
