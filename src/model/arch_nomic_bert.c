/* Nomic Embed: BERT with rotary positions and a gated feed-forward part. */
#include "model/family.h"

FAMILY_CONFIGURE(nomic_bert) {
    (void)source;
    (void)err;
    config_set_encoder(config);
    config->rope_neox = true;
    return HEARTH_OK;
}
