/* Falcon (arXiv 2311.16867): attention and a plain GELU part at once, from one LayerNorm
 * or, in the larger models, two (found by name); fused Q, K and V. */
#include "model/family.h"

FAMILY_CONFIGURE(falcon) {
    (void)source;
    (void)err;
    config->norm = NORM_LAYER;
    config->rope_neox = true;
    config->parallel = true;
    config->activation = ACTIVATION_GELU_ERF;
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].ffn = FFN_PLAIN;
    return HEARTH_OK;
}
