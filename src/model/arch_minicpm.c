/* MiniCPM 1 and 2: Llama with scaled embedding, residuals and logits. */
#include <math.h>

#include "model/family.h"

FAMILY_CONFIGURE(minicpm) {
    (void)err;
    const float base_width = 256.0f;
    if (!config_f32(source, "embedding_scale", &config->embedding_scale))
        config->embedding_scale = 12.0f;
    if (!config_f32(source, "residual_scale", &config->residual_scale))
        config->residual_scale = 1.4f / sqrtf((float)config->n_layer);
    float divisor;
    if (!config_f32(source, "logit_scale", &divisor))
        config->logit_scale = base_width / (float)config->n_embd;
    return HEARTH_OK;
}
