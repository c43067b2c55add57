/* EXAONE 3 of LG AI Research (arXiv 2408.03541): Llama's graph; EXAONE 4 (arXiv 2507.11407):
 * norms after both parts and on Q and K; in the 32B global layers are not rotated. */
#include "model/family.h"

FAMILY_CONFIGURE(exaone) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    return HEARTH_OK;
}

FAMILY_CONFIGURE(exaone4) {
    (void)err;
    enum { PERIOD = 4 };
    uint32_t window = 0;
    config->rope_neox = true;
    config->qk_norm = true;
    config->mixer_norm = NULL;
    config->ffn_norm = NULL;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    if (!config_u32(source, "attention.sliding_window", &window) || window == 0) return HEARTH_OK;
    config_set_windows(config, source, PERIOD);
    config->rope_local = config->rope;
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].rope = config->layers[i].window != 0;
    return HEARTH_OK;
}
