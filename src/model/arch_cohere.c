/* Cohere Command R, R+ and Aya (LayerNorm without bias, both parts of a layer at once),
 * and Command R7B and A, whose local layers are rotated and whose global ones are not. */
#include "model/family.h"

FAMILY_CONFIGURE(command_r) {
    (void)err;
    enum { LAYERS_OF_PLUS = 64 };
    config->norm = NORM_LAYER;
    config->parallel = true;
    config->qk_norm = config->n_layer >= LAYERS_OF_PLUS;
    config_f32(source, "logit_scale", &config->logit_scale);
    return HEARTH_OK;
}

FAMILY_CONFIGURE(cohere2) {
    (void)err;
    enum { PERIOD = 4 };
    config->norm = NORM_LAYER;
    config->parallel = true;
    config_f32(source, "logit_scale", &config->logit_scale);
    config_set_windows(config, source, PERIOD);
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].rope = config->layers[i].window != 0;
    return HEARTH_OK;
}
