/* Qwen 1.5 and 2 with experts: weights of the chosen are not renormalised, the shared
 * expert has a gate. */
#include "model/family.h"

FAMILY_CONFIGURE(qwen2moe) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->experts.normalise = false;
    config->experts.gated_shared = true;
    return HEARTH_OK;
}
