/* BERT and its descendants (BGE, E5, MiniLM): an encoder whose norms follow the residual sums. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(bert) {
    (void)source;
    (void)err;
    config_set_encoder(config);
    config->learned_positions = true;
    config->activation = ACTIVATION_GELU_ERF;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        config->layers[i].rope = false;
        config->layers[i].ffn = FFN_PLAIN;
    }
    return HEARTH_OK;
}

#define EMBEDDINGS(part) "embeddings." part
#define LAYER(part) "encoder.layer.#." part
static const struct hf_rule bert_rules[] = {
    {.from = EMBEDDINGS("word_embeddings.weight"), .to = "token_embd.weight", .needed = true},
    {.from = EMBEDDINGS("position_embeddings.weight"),
     .to = "position_embd.weight",
     .f32 = true,
     .needed = true},
    {.from = EMBEDDINGS("token_type_embeddings.weight"), .to = "token_types.weight", .f32 = true},
    {.from = EMBEDDINGS("LayerNorm.weight"), .to = "token_embd_norm.weight", .needed = true},
    {.from = EMBEDDINGS("LayerNorm.bias"), .to = "token_embd_norm.bias", .needed = true},
    {.from = LAYER("attention.self.query.weight"), .to = "blk.#.attn_q.weight", .needed = true},
    {.from = LAYER("attention.self.query.bias"), .to = "blk.#.attn_q.bias"},
    {.from = LAYER("attention.self.key.weight"), .to = "blk.#.attn_k.weight", .needed = true},
    {.from = LAYER("attention.self.key.bias"), .to = "blk.#.attn_k.bias"},
    {.from = LAYER("attention.self.value.weight"), .to = "blk.#.attn_v.weight", .needed = true},
    {.from = LAYER("attention.self.value.bias"), .to = "blk.#.attn_v.bias"},
    {.from = LAYER("attention.output.dense.weight"),
     .to = "blk.#.attn_output.weight",
     .needed = true},
    {.from = LAYER("attention.output.dense.bias"), .to = "blk.#.attn_output.bias"},
    {.from = LAYER("attention.output.LayerNorm.weight"),
     .to = "blk.#.attn_output_norm.weight",
     .needed = true},
    {.from = LAYER("attention.output.LayerNorm.bias"), .to = "blk.#.attn_output_norm.bias"},
    {.from = LAYER("intermediate.dense.weight"), .to = "blk.#.ffn_up.weight", .needed = true},
    {.from = LAYER("intermediate.dense.bias"), .to = "blk.#.ffn_up.bias"},
    {.from = LAYER("output.dense.weight"), .to = "blk.#.ffn_down.weight", .needed = true},
    {.from = LAYER("output.dense.bias"), .to = "blk.#.ffn_down.bias"},
    {.from = LAYER("output.LayerNorm.weight"),
     .to = "blk.#.layer_output_norm.weight",
     .needed = true},
    {.from = LAYER("output.LayerNorm.bias"), .to = "blk.#.layer_output_norm.bias"},
    {.from = NULL},
};

const struct hf_family bert_hf = {
    .name = "bert",
    .architectures = "BertModel BertForMaskedLM",
    .model_types = "bert",
    .rules = {bert_rules},
    .ignored = "pooler.* cls.*",
    .metadata = hf_encoder_metadata,
};
