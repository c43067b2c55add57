/* Phi-3 and Phi-4: fused Q/K/V and gate/up (found by name), LongRoPE. */
#include "model/family.h"

FAMILY_CONFIGURE(phi3) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    return HEARTH_OK;
}
