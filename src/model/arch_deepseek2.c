/* DeepSeek V2, V2-Lite, V3 and R1: latent attention (arXiv 2405.04434), experts with a shared
 * one, group-limited sigmoid gating in V3 (arXiv 2412.19437). */
#include <math.h>

#include "model/family.h"

FAMILY_CONFIGURE(deepseek2) {
    uint32_t q_rank = 0, d_k = 0, d_v = 0;
    config_u32(source, "attention.q_lora_rank", &q_rank);
    config_u32(source, "attention.kv_lora_rank", &config->kv_rank);
    if (config->kv_rank == 0 || config->kv_rank > CONFIG_MAX_WIDTH)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata 'deepseek2.attention.kv_lora_rank' is %u", config->kv_rank);
    config->q_rank = q_rank;
    /* Older files give the whole heads and one attn_kv_b (model/latent_weights.c). */
    if (!config_u32(source, "attention.key_length_mla", &d_k)) d_k = config->layers[0].d_k;
    if (!config_u32(source, "attention.value_length_mla", &d_v)) d_v = config->layers[0].d_v;
    bool normalise = false;
    config_flag(source, "expert_weights_norm", &normalise);
    config->experts.normalise = normalise;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        struct layer_config *layer = &config->layers[i];
        layer->mixer = MIXER_LATENT_ATTENTION;
        layer->n_head_kv = 1;
        layer->d_k = d_k;
        layer->d_v = d_v;
    }
    if (d_k <= config->rope.n_rot)
        return error_set(err, HEARTH_ERROR_FORMAT, "latent heads of %u values with %u rotary ones",
                         d_k, config->rope.n_rot);
    if (config->rope.scaling == ROPE_SCALING_YARN) {
        /* The file stores a tenth of mscale_all_dim; the softmax scale carries its square. */
        config->rope.log_multiplier *= 10.0f;
        float mscale = 1.0f + 0.1f * config->rope.log_multiplier * logf(config->rope.factor);
        config->attention_scale = mscale * mscale / sqrtf((float)d_k);
    }
    return HEARTH_OK;
}
