/* Seed-OSS (ByteDance): Llama's graph with biases on Q, K and V, under other names. */
#include "model/family.h"

FAMILY_CONFIGURE(seed_oss) {
    (void)source;
    (void)err;
    config->rope_neox = true;
    config->ffn_norm = "post_attention_norm";
    return HEARTH_OK;
}
