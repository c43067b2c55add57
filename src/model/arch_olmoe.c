/* OLMoE: norms over the whole of Q and K; expert weights are not renormalised. */
#include "model/family.h"

FAMILY_CONFIGURE(olmoe) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->qk_norm = true;
    config->experts.normalise = false;
    return HEARTH_OK;
}
