/* Gemma 3 (arXiv 2503.19786): norms on Q and K, five local layers with their own rotary base
 * to one global layer. */
#include <math.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(gemma3) {
    (void)err;
    enum { LAYERS_OF_27B = 62, PERIOD = 6 };
    config->rope_neox = true;
    config->activation = ACTIVATION_GELU;
    config->qk_norm = true;
    config->mixer_post_norm = "post_attention_norm";
    config->ffn_post_norm = "post_ffw_norm";
    config->embedding_scale = sqrtf((float)config->n_embd);
    if (config->n_layer == LAYERS_OF_27B)
        config->attention_scale =
            1.0f / sqrtf((float)config->n_embd / (float)config->layers[0].n_head);
    if (!config_f32(source, "rope.freq_base_swa", &config->rope_local.base))
        config->rope_local.base = 10000.0f;
    config->rope_local.factor = 1.0f;
    config_set_windows(config, source, PERIOD);
    return HEARTH_OK;
}

/* The norms multiply by 1 + w. */
static const struct hf_rule gemma3_rules[] = {
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
    {.from = "layers.#.self_attn.q_norm.weight",
     .to = "blk.#.attn_q_norm.weight",
     .value = hf_plus_one},
    {.from = "layers.#.self_attn.k_norm.weight",
     .to = "blk.#.attn_k_norm.weight",
     .value = hf_plus_one},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"final_logit_softcapping", "final_logit_softcapping", HF_FLOAT},
    {NULL, NULL, HF_UINT},
};

static void set_default(struct hf_config *c, const char *key, uint32_t value) {
    if (!hf_has_key(c, key)) hf_set_u32(c, key, value);
}

/* The folders leave out what equals the defaults of Gemma3TextConfig. */
static void metadata(struct hf_config *c) {
    bool local[CONFIG_MAX_LAYERS];
    uint32_t window = 4096, n_layer = hf_need_u32(c, "num_hidden_layers");
    set_default(c, "context_length", 131072);
    set_default(c, "attention.head_count", 8);
    set_default(c, "attention.head_count_kv", 4);
    set_default(c, "attention.key_length", 256);
    set_default(c, "attention.value_length", 256);
    set_default(c, "rope.dimension_count", 256);
    set_default(c, "vocab_size", 262208);
    if (!hf_has_key(c, "attention.layer_norm_rms_epsilon"))
        hf_set_f64(c, "attention.layer_norm_rms_epsilon", 1e-6);
    if (!hf_has_key(c, "rope.freq_base")) hf_set_f64(c, "rope.freq_base", 1e6);
    hf_get_u32(c, "sliding_window", &window);
    hf_set_u32(c, "attention.sliding_window", window);
    if (n_layer <= CONFIG_MAX_LAYERS &&
        hf_layer_kinds(c, "layer_types", "sliding_attention", local, n_layer))
        hf_set_layer_flags(c, "attention.sliding_window_pattern", local, n_layer);
}

const struct hf_family gemma3_hf = {
    .name = "gemma3",
    .architectures = "Gemma3ForCausalLM Gemma3ForConditionalGeneration",
    .model_types = "gemma3 gemma3_text",
    .keys = keys,
    .rules = {gemma3_rules, hf_attention_rules, hf_mlp_rules},
    .ignored = "lm_head.weight",
    .metadata = metadata,
};
