/* Qwen 3.5, dense and expert, and Qwen 3 Next before it: gated delta nets (arXiv 2412.06464) with
 * full attention at every n-th layer, whose heads are gated and partly rotated. */
#include "model/family.h"

FAMILY_CONFIGURE(qwen35) {
    uint32_t interval = 4, inner = 0, heads = 0, groups = 0, d_state = 0, kernel = 0;
    config_u32(source, "full_attention_interval", &interval);
    config_u32(source, "ssm.inner_size", &inner);
    config_u32(source, "ssm.time_step_rank", &heads);
    config_u32(source, "ssm.group_count", &groups);
    config_u32(source, "ssm.state_size", &d_state);
    config_u32(source, "ssm.conv_kernel", &kernel);
    if (interval == 0 || heads == 0 || groups == 0 || heads % groups != 0 || inner % heads != 0 ||
        d_state == 0 || d_state > CONFIG_MAX_WIDTH || inner > CONFIG_MAX_WIDTH || kernel < 2 ||
        kernel > 64)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "impossible delta net: inner %u, heads %u, groups %u, state %u, kernel %u",
                         inner, heads, groups, d_state, kernel);
    config->rope_neox = true;
    config->qk_norm = true;
    config->gated_attention = true;
    config->ffn_norm = "post_attention_norm";
    config->experts.gated_shared = true;
    config->delta.n_head_k = groups;
    config->delta.n_head_v = heads;
    config->delta.d_k = d_state;
    config->delta.d_v = inner / heads;
    config->delta.conv_kernel = kernel;
    const struct meta_array *recurrent = config_array(source, "attention.recurrent_layers");
    for (uint32_t i = 0; i < config->n_layer; i++) {
        bool delta = (i + 1) % interval != 0;
        if (recurrent) delta = i < recurrent->count && meta_array_int(recurrent, i) != 0;
        if (delta) config->layers[i].mixer = MIXER_DELTA_NET;
    }
    return HEARTH_OK;
}

FAMILY_CONFIGURE(qwen3next) {
    RETURN_IF_ERROR(qwen35_configure(config, source, err));
    config->delta.grouped = true;
    return HEARTH_OK;
}
