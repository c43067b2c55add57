/* Gemma 2 (arXiv 2408.00118): norms before and after, soft caps, every other layer local. */
#include <math.h>

#include "model/family.h"

FAMILY_CONFIGURE(gemma2) {
    (void)err;
    enum { LAYERS_OF_27B = 46 };
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    config->embedding_scale = sqrtf((float)config->n_embd);
    if (config->n_layer == LAYERS_OF_27B)
        config->attention_scale =
            1.0f / sqrtf((float)config->n_embd / (float)config->layers[0].n_head);
    config_set_windows(config, source, 2);
    return HEARTH_OK;
}
