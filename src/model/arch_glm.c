/* GLM of Zhipu AI: ChatGLM 3 and GLM-4 (arXiv 2406.12793), GLM-4-0414 with norms after
 * both parts too, GLM-4.5 and later with experts (arXiv 2508.06471). */
#include "model/family.h"

/* Rotary sections mean that the pairs were reordered into halves. */
static bool has_sections(const struct config_source *source) {
    const struct meta_array *sections = config_array(source, "rope.dimension_sections");
    for (size_t i = 0; sections && i < sections->count; i++)
        if (meta_array_int(sections, i) != 0) return true;
    return false;
}

FAMILY_CONFIGURE(chatglm) {
    (void)config;
    (void)source;
    (void)err;
    return HEARTH_OK;
}

FAMILY_CONFIGURE(glm4) {
    (void)err;
    config->rope_neox = has_sections(source);
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    return HEARTH_OK;
}

FAMILY_CONFIGURE(glm4moe) {
    (void)err;
    enum { LAYERS_OF_355B = 92 };
    uint32_t gating = 0;
    config->rope_neox = true;
    config->ffn_norm = "post_attention_norm";
    config->qk_norm = config->n_layer == LAYERS_OF_355B;
    if (!config_u32(source, "expert_gating_func", &gating) || gating == 0)
        config->experts.gating = GATING_SIGMOID;
    return HEARTH_OK;
}
