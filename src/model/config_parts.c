/* Settings that several families share. */
#include "model/family.h"

hearth_status config_set_mamba2(struct config *config, const struct config_source *source,
                                hearth_error *err) {
    uint32_t inner = 0, heads = 0, groups = 0, d_state = 0, kernel = 0;
    config_u32(source, "ssm.inner_size", &inner);
    config_u32(source, "ssm.time_step_rank", &heads);
    config_u32(source, "ssm.group_count", &groups);
    config_u32(source, "ssm.state_size", &d_state);
    config_u32(source, "ssm.conv_kernel", &kernel);
    if (heads == 0 || groups == 0 || heads % groups != 0 || inner == 0 || inner % heads != 0 ||
        inner > CONFIG_MAX_WIDTH || d_state == 0 || d_state > CONFIG_MAX_WIDTH || kernel < 2 ||
        kernel > 64)
        return error_set(
            err, HEARTH_ERROR_FORMAT,
            "impossible state space: inner %u, heads %u, groups %u, state %u, kernel %u", inner,
            heads, groups, d_state, kernel);
    config->mamba.n_head = heads;
    config->mamba.d_head = inner / heads;
    config->mamba.n_group = groups;
    config->mamba.d_state = d_state;
    config->mamba.conv_kernel = kernel;
    for (uint32_t i = 0; i < config->n_layer; i++)
        if (config->layers[i].n_head_kv == 0) config->layers[i].mixer = MIXER_MAMBA2;
    return HEARTH_OK;
}

void config_set_encoder(struct config *config) {
    config->norm = NORM_LAYER;
    config->embedding_norm = "token_embd_norm";
    config->mixer_norm = NULL;
    config->ffn_norm = NULL;
    config->output_norm = NULL;
    config->mixer_post_norm = "attn_output_norm";
    config->ffn_post_norm = "layer_output_norm";
    config->norm_after_residual = true;
    config_set_bidirectional(config);
}

void config_set_bidirectional(struct config *config) {
    config->causal = false;
    config->embeds = true;
    /* Nothing is kept between batches, so one layer's cache serves all of the same shape. */
    const struct layer_config *first = &config->layers[0];
    for (uint32_t i = 1; i < config->n_layer; i++) {
        struct layer_config *layer = &config->layers[i];
        if (layer->n_head_kv == first->n_head_kv && layer->d_k == first->d_k &&
            layer->d_v == first->d_v)
            layer->kv_layer = 0;
    }
}
