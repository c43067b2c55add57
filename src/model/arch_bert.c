/* BERT and its descendants (BGE, E5, MiniLM): an encoder whose norms follow the residual sums. */
#include "model/family.h"

FAMILY_CONFIGURE(bert) {
    (void)source;
    (void)err;
    config_set_encoder(config);
    config->learned_positions = true;
    config->activation = ACTIVATION_GELU_ERF;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        config->layers[i].rope = false;
        config->layers[i].ffn = FFN_PLAIN;
    }
    return HEARTH_OK;
}
