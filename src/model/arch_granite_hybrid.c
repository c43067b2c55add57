/* Granite 4 hybrids: Mamba-2 where a layer has no key/value heads, attention elsewhere. */
#include "model/family.h"

FAMILY_CONFIGURE(granite_hybrid) {
    bool rope = true;
    config_flag(source, "rope.scaling.finetuned", &rope);
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].rope = rope;
    return config_set_mamba2(config, source, err);
}
