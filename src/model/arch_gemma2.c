/* Gemma 2 (arXiv 2408.00118): norms before and after, soft caps, every other layer local. */
#include <math.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(gemma2) {
    (void)err;
    enum { LAYERS_OF_27B = 46 };
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    config->embedding_scale = sqrtf((float)config->n_embd);
    if (config->n_layer == LAYERS_OF_27B)
        config->attention_scale =
            1.0f / sqrtf((float)config->n_embd / (float)config->layers[0].n_head);
    config_set_windows(config, source, 2);
    return HEARTH_OK;
}

/* The norms multiply by 1 + w. */
static const struct hf_rule gemma2_rules[] = {
    {.from = "embed_tokens.weight", .to = "token_embd.weight", .needed = true},
    {.from = "norm.weight", .to = "output_norm.weight", .value = hf_plus_one, .needed = true},
    {.from = "layers.#.input_layernorm.weight",
     .to = "blk.#.attn_norm.weight",
     .value = hf_plus_one},
    {.from = "layers.#.post_attention_layernorm.weight",
     .to = "blk.#.post_attention_norm.weight",
     .value = hf_plus_one},
    {.from = "layers.#.pre_feedforward_layernorm.weight",
     .to = "blk.#.ffn_norm.weight",
     .value = hf_plus_one},
    {.from = "layers.#.post_feedforward_layernorm.weight",
     .to = "blk.#.post_ffw_norm.weight",
     .value = hf_plus_one},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"attn_logit_softcapping", "attn_logit_softcapping", HF_FLOAT},
    {"final_logit_softcapping", "final_logit_softcapping", HF_FLOAT},
    {"sliding_window", "attention.sliding_window", HF_UINT},
    {NULL, NULL, HF_UINT},
};

const struct hf_family gemma2_hf = {
    .name = "gemma2",
    .architectures = "Gemma2ForCausalLM",
    .model_types = "gemma2",
    .keys = keys,
    .rules = {gemma2_rules, hf_attention_rules, hf_mlp_rules},
    .ignored = "lm_head.weight",
};
