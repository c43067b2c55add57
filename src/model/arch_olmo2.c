/* OLMo 2: norms after the mixer and the feed-forward part only, and over the whole of Q and K. */
#include "model/family.h"
#include "model/hf_family.h"

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

static const struct hf_rule olmo2_rules[] = {
    {.from = "layers.#.post_attention_layernorm.weight",
     .to = "blk.#.post_attention_norm.weight",
     .needed = true},
    {.from = "layers.#.post_feedforward_layernorm.weight",
     .to = "blk.#.post_ffw_norm.weight",
     .needed = true},
    {.from = NULL},
};

const struct hf_family olmo2_hf = {
    .name = "olmo2",
    .architectures = "Olmo2ForCausalLM",
    .model_types = "olmo2",
    .rules = {hf_embedding_rules, olmo2_rules, hf_attention_rules, hf_qk_norm_rules, hf_mlp_rules},
};
