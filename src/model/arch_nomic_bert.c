/* Nomic Embed v1 (arXiv 2402.01613): BERT with rotary positions and a gated feed-forward
 * part; v2 (arXiv 2502.07972): a plain one, and experts in every other layer. Jina
 * Embeddings v3 (arXiv 2409.10173): the plain one everywhere. */
#include "model/family.h"

static void set_plain(struct config *config) {
    config->activation = ACTIVATION_GELU_ERF;
    for (uint32_t i = 0; i < config->n_layer; i++)
        config->layers[i].ffn = FFN_PLAIN;
}

FAMILY_CONFIGURE(nomic_bert) {
    (void)source;
    (void)err;
    config_set_encoder(config);
    config->rope_neox = true;
    return HEARTH_OK;
}

FAMILY_CONFIGURE(jina_bert_v3) {
    (void)source;
    (void)err;
    config_set_encoder(config);
    config->rope_neox = true;
    set_plain(config);
    return HEARTH_OK;
}

FAMILY_CONFIGURE(nomic_bert_moe) {
    uint32_t every = 0;
    (void)err;
    config_set_encoder(config);
    config->rope_neox = true;
    config->experts.normalise = false;
    set_plain(config);
    config_u32(source, "moe_every_n_layers", &every);
    for (uint32_t i = 1; i < config->n_layer && every > 0 && config->experts.n_expert > 0;
         i += every)
        config->layers[i].ffn = FFN_EXPERTS;
    return HEARTH_OK;
}
