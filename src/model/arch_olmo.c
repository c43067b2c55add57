/* OLMo 1 (arXiv 2402.00838): Llama's graph under LayerNorms without weights. */
#include "model/family.h"

FAMILY_CONFIGURE(olmo) {
    float clamp = 0;
    config->norm = NORM_LAYER;
    config->mixer_norm = NORM_WITHOUT_WEIGHT;
    config->ffn_norm = NORM_WITHOUT_WEIGHT;
    config->output_norm = NORM_WITHOUT_WEIGHT;
    if (config_f32(source, "attention.clamp_kqv", &clamp) && clamp > 0)
        return error_set(err, HEARTH_ERROR_UNSUPPORTED,
                         "this olmo model clamps queries, keys and values to %g, which is not "
                         "supported; OLMo 2 works",
                         (double)clamp);
    return HEARTH_OK;
}
