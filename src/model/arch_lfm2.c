/* LFM2, dense and expert: short convolutions where a layer has no key/value heads. */
#include "model/family.h"

FAMILY_CONFIGURE(lfm2) {
    uint32_t kernel = 0;
    config->rope_neox = true;
    config->qk_norm = true;
    config->output_norm = "token_embd_norm";
    config_u32(source, "shortconv.l_cache", &kernel);
    if (kernel < 2 || kernel > 64)
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata '%s.shortconv.l_cache' is %u; 2 to 64",
                         config->family, kernel);
    config->short_conv_kernel = kernel;
    for (uint32_t i = 0; i < config->n_layer; i++)
        if (config->layers[i].n_head_kv == 0) config->layers[i].mixer = MIXER_SHORT_CONV;
    return HEARTH_OK;
}
