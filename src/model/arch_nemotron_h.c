/* Nemotron-H: each layer is one thing only: attention without rotation, Mamba-2, or a
 * feed-forward part with squared ReLU. */
#include "model/family.h"

FAMILY_CONFIGURE(nemotron_h) {
    config->activation = ACTIVATION_RELU2;
    config->ffn_norm = config->mixer_norm;
    RETURN_IF_ERROR(config_set_mamba2(config, source, err));
    for (uint32_t i = 0; i < config->n_layer; i++) {
        struct layer_config *layer = &config->layers[i];
        uint32_t n_ff = 0;
        config_layer_u32(source, "feed_forward_length", i, &n_ff);
        layer->rope = false;
        if (n_ff > 0) {
            layer->mixer = MIXER_NONE;
            if (layer->ffn != FFN_EXPERTS) layer->ffn = FFN_PLAIN;
        } else
            layer->ffn = FFN_NONE;
    }
    return HEARTH_OK;
}
