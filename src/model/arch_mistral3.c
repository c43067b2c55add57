/* Mistral 3 and Ministral 3: Llama with YaRN and an attention temperature that grows with
 * position. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(mistral3) {
    (void)err;
    config->temperature_period = config->rope.original_context;
    config_f32(source, "attention.temperature_scale", &config->temperature_scale);
    return HEARTH_OK;
}

static void metadata(struct hf_config *c) {
    static const char *const keys[][2] = {
        {"mscale_all_dim", "rope.scaling.yarn_log_multiplier"},
        {"llama_4_scaling_beta", "attention.temperature_scale"},
    };
    for (int i = 0; i < 2; i++) {
        const json_t *value = json_object_get(hf_rope(c), keys[i][0]);
        if (json_is_number(value)) hf_set_f64(c, keys[i][1], json_number_value(value));
    }
}

const struct hf_family mistral3_hf = {
    .name = "mistral3",
    .architectures = "Mistral3ForConditionalGeneration Ministral3ForCausalLM",
    .model_types = "ministral3 mistral3",
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules, hf_mlp_rules},
    .metadata = metadata,
};
