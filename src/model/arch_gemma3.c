/* Gemma 3 (arXiv 2503.19786): norms on Q and K, five local layers with their own rotary base
 * to one global layer. */
#include <math.h>

#include "model/family.h"

FAMILY_CONFIGURE(gemma3) {
    (void)err;
    enum { LAYERS_OF_27B = 62, PERIOD = 6 };
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    config->qk_norm = true;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    config->embedding_scale = sqrtf((float)config->n_embd);
    if (config->n_layer == LAYERS_OF_27B)
        config->attention_scale =
            1.0f / sqrtf((float)config->n_embd / (float)config->layers[0].n_head);
    if (!config_f32(source, "rope.freq_base_swa", &config->rope_local.base))
        config->rope_local.base = 10000.0f;
    config->rope_local.factor = 1.0f;
    config_set_windows(config, source, PERIOD);
    return HEARTH_OK;
}
