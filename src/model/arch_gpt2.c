/* GPT-2: learned positions, LayerNorm with bias, fused Q/K/V, a plain GELU feed-forward part. */
#include "model/family.h"

FAMILY_CONFIGURE(gpt2) {
    (void)source;
    (void)err;
    config->norm = NORM_LAYER;
    config->learned_positions = true;
    config->activation = ACTIVATION_GELU;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        config->layers[i].rope = false;
        config->layers[i].ffn = FFN_PLAIN;
    }
    return HEARTH_OK;
}
