/* StableLM 3B and 2 (arXiv 2402.17834): LayerNorm, partly rotated heads; the 12B feeds
 * both parts of a layer at once and norms every head of Q and K with a weight of its own. */
#include "model/family.h"

FAMILY_CONFIGURE(stablelm) {
    (void)source;
    (void)err;
    enum { LAYERS_OF_12B = 40 };
    config->norm = NORM_LAYER;
    config->rope_neox = true;
    config->parallel = config->n_layer == LAYERS_OF_12B;
    config->qk_norm = config->parallel;
    return HEARTH_OK;
}
