/* LFM2, dense and expert: short convolutions where a layer has no key/value heads. */
#include <math.h>
#include <string.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(lfm2) {
    uint32_t kernel = 0;
    config->rope_neox = true;
    config->qk_norm = true;
    config->output_norm = "token_embd_norm";
    config_u32(source, "shortconv.l_cache", &kernel);
    if (kernel < 2 || kernel > 64)
        return error_set(err, HEARTH_ERROR_FORMAT, "metadata '%s.shortconv.l_cache' is %u; 2 to 64",
                         config->family, kernel);
    config->short_conv_kernel = kernel;
    for (uint32_t i = 0; i < config->n_layer; i++)
        if (config->layers[i].n_head_kv == 0) config->layers[i].mixer = MIXER_SHORT_CONV;
    return HEARTH_OK;
}

#define OPERATOR(part) "layers.#.self_attn." part
static const struct hf_rule lfm2_rules[] = {
    {.from = "embed_tokens.weight", .to = "token_embd.weight", .needed = true},
    {.from = "embedding_norm.weight", .to = "token_embd_norm.weight", .needed = true},
    {.from = "lm_head.weight", .to = "output.weight"},
    {.from = "layers.#.operator_norm.weight", .to = "blk.#.attn_norm.weight", .needed = true},
    {.from = "layers.#.ffn_norm.weight", .to = "blk.#.ffn_norm.weight", .needed = true},
    {.from = OPERATOR("q_proj.weight"), .to = "blk.#.attn_q.weight"},
    {.from = OPERATOR("k_proj.weight"), .to = "blk.#.attn_k.weight"},
    {.from = OPERATOR("v_proj.weight"), .to = "blk.#.attn_v.weight"},
    {.from = OPERATOR("out_proj.weight"), .to = "blk.#.attn_output.weight"},
    {.from = OPERATOR("q_layernorm.weight"), .to = "blk.#.attn_q_norm.weight"},
    {.from = OPERATOR("k_layernorm.weight"), .to = "blk.#.attn_k_norm.weight"},
    {.from = "layers.#.conv.in_proj.weight", .to = "blk.#.shortconv.in_proj.weight"},
    {.from = "layers.#.conv.conv.weight", .to = "blk.#.shortconv.conv.weight", .f32 = true},
    {.from = "layers.#.conv.out_proj.weight", .to = "blk.#.shortconv.out_proj.weight"},
    {.from = "layers.#.feed_forward.w1.weight", .to = "blk.#.ffn_gate.weight"},
    {.from = "layers.#.feed_forward.w2.weight", .to = "blk.#.ffn_down.weight"},
    {.from = "layers.#.feed_forward.w3.weight", .to = "blk.#.ffn_up.weight"},
    {.from = NULL},
};

#define EXPERTS(part) "layers.#.feed_forward." part
static const struct hf_rule lfm2_experts_rules[] = {
    {.from = EXPERTS("gate.weight"), .to = "blk.#.ffn_gate_inp.weight", .f32 = true},
    {.from = EXPERTS("expert_bias"), .to = "blk.#.exp_probs_b.bias"},
    {.from = EXPERTS("experts.@.w1.weight"), .to = "blk.#.ffn_gate_exps.weight"},
    {.from = EXPERTS("experts.@.w2.weight"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = EXPERTS("experts.@.w3.weight"), .to = "blk.#.ffn_up_exps.weight"},
    {.from = EXPERTS("experts.gate_up_proj"),
     .to = "blk.#.ffn_gate_exps.weight",
     .slice = hf_first_half},
    {.from = EXPERTS("experts.gate_up_proj"),
     .to = "blk.#.ffn_up_exps.weight",
     .slice = hf_second_half},
    {.from = EXPERTS("experts.down_proj"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"conv_L_cache", "shortconv.l_cache", HF_UINT},
    {"num_dense_layers", "leading_dense_block_count", HF_UINT},
    {"norm_topk_prob", "expert_weights_norm", HF_FLAG},
    {"routed_scaling_factor", "expert_weights_scale", HF_FLOAT},
    {NULL, NULL, HF_UINT},
};

/* Older folders list the attention layers, newer ones the kind of every layer. */
static bool attention_layers(struct hf_config *c, bool *attention, uint32_t n_layer) {
    if (hf_layer_kinds(c, "layer_types", "full_attention", attention, n_layer)) return true;
    const json_t *list = hf_get_list(c, "full_attn_idxs");
    memset(attention, 0, n_layer * sizeof *attention);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t layer = json_integer_value(json_array_get(list, i));
        if (layer >= 0 && layer < n_layer) attention[layer] = true;
    }
    return list != NULL;
}

static void metadata(struct hf_config *c) {
    bool attention[CONFIG_MAX_LAYERS];
    uint32_t heads[CONFIG_MAX_LAYERS], n_layer = hf_need_u32(c, "num_hidden_layers");
    uint32_t n_kv = hf_need_u32(c, "num_key_value_heads");
    if (n_layer > CONFIG_MAX_LAYERS) return; /* refused when the metadata is read */
    if (!attention_layers(c, attention, n_layer))
        hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: 'layer_types' is missing");
    for (uint32_t i = 0; i < n_layer && c->status == HEARTH_OK; i++)
        heads[i] = attention[i] ? n_kv : 0;
    hf_set_layers(c, "attention.head_count_kv", heads, n_layer);
}

/* The dense variant's width is two thirds of what the file says, rounded up, unless it
 * says that it is final; defaults of Lfm2Config. */
static void dense_metadata(struct hf_config *c) {
    double width = 0, multiplier = 1.0;
    uint32_t multiple = 256;
    bool adjust = true;
    metadata(c);
    if (!hf_get_f64(c, "block_ff_dim|intermediate_size", &width)) return;
    hf_get_flag(c, "block_auto_adjust_ff_dim", &adjust);
    hf_get_f64(c, "block_ffn_dim_multiplier", &multiplier);
    hf_get_u32(c, "block_multiple_of", &multiple);
    if (adjust && multiple > 0)
        width = ceil(floor(multiplier * floor(2 * width / 3)) / multiple) * multiple;
    if (width >= 1 && width <= CONFIG_MAX_WIDTH)
        hf_set_u32(c, "feed_forward_length", (uint32_t)width);
}

static void moe_metadata(struct hf_config *c) {
    enum { SIGMOID = 2 };
    metadata(c);
    hf_set_u32(c, "expert_gating_func", SIGMOID);
}

const struct hf_family lfm2_hf = {
    .name = "lfm2",
    .architectures = "Lfm2ForCausalLM LFM2ForCausalLM",
    .model_types = "lfm2",
    .keys = keys,
    .rules = {lfm2_rules},
    .metadata = dense_metadata,
};

const struct hf_family lfm2_moe_hf = {
    .name = "lfm2moe",
    .architectures = "Lfm2MoeForCausalLM",
    .model_types = "lfm2_moe",
    .keys = keys,
    .rules = {lfm2_rules, lfm2_experts_rules},
    .metadata = moe_metadata,
};
