/* gpt-oss: attention sinks (found by name), every other layer local, clamped SwiGLU experts. */
#include "model/family.h"

FAMILY_CONFIGURE(gpt_oss) {
    (void)err;
    config->rope_neox = true;
    config->ffn_norm = "post_attention_norm";
    config->activation = ACTIVATION_SWIGLU_OAI;
    config->experts.gating = GATING_SOFTMAX_OF_CHOSEN;
    config->experts.normalise = false;
    config_set_windows(config, source, 2);
    config->rope_local = config->rope;
    return HEARTH_OK;
}
