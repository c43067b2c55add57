/* Llama 1-3, Mistral, Mixtral, SmolLM 1-2 and others that use its graph. */
#include "model/family.h"

FAMILY_CONFIGURE(llama) {
    (void)source;
    (void)err;
    config->rope_neox = false;
    return HEARTH_OK;
}
