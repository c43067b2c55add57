/* Gemma (arXiv 2403.08295): Llama's graph with GELU and a scaled embedding. */
#include <math.h>

#include "model/family.h"

FAMILY_CONFIGURE(gemma) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    config->embedding_scale = sqrtf((float)config->n_embd);
    return HEARTH_OK;
}
