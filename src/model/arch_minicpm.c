/* MiniCPM 1 and 2: Llama with scaled embedding, residuals and logits. */
#include <math.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(minicpm) {
    (void)err;
    const float base_width = 256.0f;
    if (!config_f32(source, "embedding_scale", &config->embedding_scale))
        config->embedding_scale = 12.0f;
    if (!config_f32(source, "residual_scale", &config->residual_scale))
        config->residual_scale = 1.4f / sqrtf((float)config->n_layer);
    float divisor;
    if (!config_f32(source, "logit_scale", &divisor))
        config->logit_scale = base_width / (float)config->n_embd;
    return HEARTH_OK;
}

static const struct hf_key keys[] = {
    {"scale_emb", "embedding_scale", HF_FLOAT},
    {NULL, NULL, HF_UINT},
};

static void metadata(struct hf_config *c) {
    double depth, layers = hf_need_u32(c, "num_hidden_layers"), base;
    if (hf_get_f64(c, "scale_depth", &depth) && layers > 0)
        hf_set_f64(c, "residual_scale", depth / sqrt(layers));
    if (hf_get_f64(c, "dim_model_base", &base) && base > 0)
        hf_set_f64(c, "logit_scale", hf_need_u32(c, "hidden_size") / base);
}

const struct hf_family minicpm_hf = {
    .name = "minicpm",
    .architectures = "MiniCPMForCausalLM",
    .model_types = "minicpm",
    .keys = keys,
    .rules = {hf_embedding_rules, hf_norm_rules, hf_interleaved_attention_rules, hf_mlp_rules},
    .metadata = metadata,
};
