/* Granite 3 and its expert variant: Llama with four multipliers, all read from the metadata. */
#include "model/family.h"

FAMILY_CONFIGURE(granite) {
    (void)source;
    (void)err;
    config->rope_neox = false;
    return HEARTH_OK;
}
