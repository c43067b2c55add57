/* Nomic Embed v1 (arXiv 2402.01613): BERT with rotary positions and a gated feed-forward
 * part; v2 (arXiv 2502.07972): a plain one, and experts in every other layer. Jina
 * Embeddings v3 (arXiv 2409.10173): the plain one everywhere. */
#include "model/family.h"
#include "model/hf_family.h"

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

#define LAYER(part) "encoder.layers.#." part
static const struct hf_rule nomic_rules[] = {
    {.from = "embeddings.word_embeddings.weight", .to = "token_embd.weight", .needed = true},
    {.from = "embeddings.token_type_embeddings.weight", .to = "token_types.weight", .f32 = true},
    {.from = "emb_ln.weight", .to = "token_embd_norm.weight", .needed = true},
    {.from = "emb_ln.bias", .to = "token_embd_norm.bias", .needed = true},
    {.from = LAYER("attn.Wqkv.weight"), .to = "blk.#.attn_qkv.weight", .needed = true},
    {.from = LAYER("attn.out_proj.weight"), .to = "blk.#.attn_output.weight", .needed = true},
    {.from = LAYER("norm1.weight"), .to = "blk.#.attn_output_norm.weight", .needed = true},
    {.from = LAYER("norm1.bias"), .to = "blk.#.attn_output_norm.bias"},
    {.from = LAYER("mlp.fc11.weight"), .to = "blk.#.ffn_up.weight", .needed = true},
    {.from = LAYER("mlp.fc12.weight"), .to = "blk.#.ffn_gate.weight", .needed = true},
    {.from = LAYER("mlp.fc2.weight"), .to = "blk.#.ffn_down.weight", .needed = true},
    {.from = LAYER("norm2.weight"), .to = "blk.#.layer_output_norm.weight", .needed = true},
    {.from = LAYER("norm2.bias"), .to = "blk.#.layer_output_norm.bias"},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"rotary_emb_base", "rope.freq_base", HF_FLOAT},
    {NULL, NULL, HF_UINT},
};

const struct hf_family nomic_bert_hf = {
    .name = "nomic-bert",
    .architectures = "NomicBertModel",
    .model_types = "nomic_bert",
    .keys = keys,
    .rules = {nomic_rules},
    .ignored = "pooler.* cls.*",
    .metadata = hf_encoder_metadata,
};
