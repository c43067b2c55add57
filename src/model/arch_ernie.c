/* ERNIE 4.5 (Baidu): Llama's graph; with experts in every n-th layer and a bias for their
 * choice (found by name) in the larger models. */
#include "model/family.h"

FAMILY_CONFIGURE(ernie4_5) {
    (void)config;
    (void)source;
    (void)err;
    return HEARTH_OK;
}

FAMILY_CONFIGURE(ernie4_5_moe) {
    uint32_t step = 1;
    config_u32(source, "interleave_moe_layer_step", &step);
    if (step == 0)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata 'ernie4_5-moe.interleave_moe_layer_step' is 0");
    for (uint32_t i = 0; i < config->n_layer; i++)
        if ((i + 1) % step != 0) config->layers[i].ffn = FFN_GATED;
    return HEARTH_OK;
}
