/* OLMo 2: norms after the mixer and the feed-forward part only, and over the whole of Q and K. */
#include "model/family.h"

FAMILY_CONFIGURE(olmo2) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->qk_norm = true;
    config->mixer_norm = NULL;
    config->ffn_norm = NULL;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    return HEARTH_OK;
}
