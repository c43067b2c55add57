/* StarCoder 2 (arXiv 2402.19173): LayerNorm, biases everywhere, a plain GELU part. */
#include "model/family.h"

FAMILY_CONFIGURE(starcoder2) {
    (void)source;
    (void)err;
    config->norm = NORM_LAYER;
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].ffn = FFN_PLAIN;
    return HEARTH_OK;
}
