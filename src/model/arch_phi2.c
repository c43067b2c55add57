/* Phi 1, 1.5 and 2: one LayerNorm feeds attention and a plain GELU part at once; heads are
 * partly rotated. */
#include "model/family.h"

FAMILY_CONFIGURE(phi2) {
    (void)source;
    (void)err;
    config->norm = NORM_LAYER;
    config->rope_neox = true;
    config->parallel = true;
    config->activation = ACTIVATION_GELU;
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].ffn = FFN_PLAIN;
    return HEARTH_OK;
}
