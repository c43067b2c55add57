/* SmolLM3: Llama without rotation on every fourth layer (NoPE). */
#include "model/family.h"

FAMILY_CONFIGURE(smollm3) {
    (void)source;
    (void)err;
    enum { PERIOD = 4 };
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].rope = (i + 1) % PERIOD != 0;
    return HEARTH_OK;
}
