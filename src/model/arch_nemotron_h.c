/* Nemotron-H: each layer is one thing only: attention without rotation, Mamba-2, or a
 * feed-forward part with squared ReLU. */
#include <string.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(nemotron_h) {
    config->activation = ACTIVATION_RELU2;
    config->ffn_norm = config->mixer_norm;
    RETURN_IF_ERROR(config_set_mamba2(config, source, err));
    for (uint32_t i = 0; i < config->n_layer; i++) {
        struct layer_config *layer = &config->layers[i];
        uint32_t n_ff = 0;
        config_layer_u32(source, "feed_forward_length", i, &n_ff);
        layer->rope = false;
        if (n_ff > 0) {
            layer->mixer = MIXER_NONE;
            if (layer->ffn != FFN_EXPERTS) layer->ffn = FFN_PLAIN;
        } else
            layer->ffn = FFN_NONE;
    }
    return HEARTH_OK;
}

#define MIXER(part) "layers.#.mixer." part
static const struct hf_rule nemotron_rules[] = {
    {.from = "embeddings.weight", .to = "token_embd.weight", .needed = true},
    {.from = "norm_f.weight", .to = "output_norm.weight", .needed = true},
    {.from = "lm_head.weight", .to = "output.weight"},
    {.from = "layers.#.norm.weight", .to = "blk.#.attn_norm.weight", .needed = true},
    {.from = MIXER("q_proj.weight"), .to = "blk.#.attn_q.weight"},
    {.from = MIXER("k_proj.weight"), .to = "blk.#.attn_k.weight"},
    {.from = MIXER("v_proj.weight"), .to = "blk.#.attn_v.weight"},
    {.from = MIXER("o_proj.weight"), .to = "blk.#.attn_output.weight"},
    {.from = MIXER("in_proj.weight"), .to = "blk.#.ssm_in.weight"},
    {.from = MIXER("conv1d.weight"), .to = "blk.#.ssm_conv1d.weight", .f32 = true},
    {.from = MIXER("conv1d.bias"), .to = "blk.#.ssm_conv1d.bias"},
    {.from = MIXER("dt_bias"), .to = "blk.#.ssm_dt.bias"},
    {.from = MIXER("A_log"),
     .to = "blk.#.ssm_a",
     .value = hf_minus_exp,
     .reshape = hf_column_vector},
    {.from = MIXER("D"), .to = "blk.#.ssm_d", .reshape = hf_column_vector, .f32 = true},
    {.from = MIXER("norm.weight"),
     .to = "blk.#.ssm_norm.weight",
     .reshape = hf_mamba_groups,
     .f32 = true},
    {.from = MIXER("out_proj.weight"), .to = "blk.#.ssm_out.weight"},
    {.from = MIXER("up_proj.weight"), .to = "blk.#.ffn_up.weight"},
    {.from = MIXER("down_proj.weight"), .to = "blk.#.ffn_down.weight"},
    {.from = NULL},
};

static const struct hf_rule nemotron_experts_rules[] = {
    {.from = MIXER("gate.weight"), .to = "blk.#.ffn_gate_inp.weight", .f32 = true},
    {.from = MIXER("gate.e_score_correction_bias"), .to = "blk.#.exp_probs_b.bias"},
    {.from = MIXER("experts.@.up_proj.weight"), .to = "blk.#.ffn_up_exps.weight"},
    {.from = MIXER("experts.@.down_proj.weight"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = MIXER("experts.up_proj"), .to = "blk.#.ffn_up_exps.weight"},
    {.from = MIXER("experts.down_proj"), .to = "blk.#.ffn_down_exps.weight"},
    {.from = MIXER("shared_experts.up_proj.weight"), .to = "blk.#.ffn_up_shexp.weight"},
    {.from = MIXER("shared_experts.down_proj.weight"), .to = "blk.#.ffn_down_shexp.weight"},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"conv_kernel", "ssm.conv_kernel", HF_UINT},
    {"ssm_state_size", "ssm.state_size", HF_UINT},
    {"n_groups", "ssm.group_count", HF_UINT},
    {"mamba_num_heads", "ssm.time_step_rank", HF_UINT},
    {"head_dim|attention_head_dim", "attention.key_length", HF_UINT},
    {"head_dim|attention_head_dim", "attention.value_length", HF_UINT},
    {.from = "rms_norm_eps|layer_norm_epsilon|norm_eps",
     .to = "attention.layer_norm_rms_epsilon",
     HF_FLOAT},
    {.from = "moe_shared_expert_intermediate_size",
     .to = "expert_shared_feed_forward_length",
     HF_UINT},
    {"n_shared_experts", "expert_shared_count", HF_UINT},
    {"norm_topk_prob", "expert_weights_norm", HF_FLAG},
    {"routed_scaling_factor", "expert_weights_scale", HF_FLOAT},
    {NULL, NULL, HF_UINT},
};

/* One character for each layer: M Mamba-2, * attention, - feed-forward, E experts. */
static void layers_of_pattern(struct hf_config *c, const char *n_ff_key) {
    uint32_t heads[CONFIG_MAX_LAYERS], widths[CONFIG_MAX_LAYERS];
    uint32_t n_layer = hf_need_u32(c, "num_hidden_layers"), n_ff = hf_need_u32(c, n_ff_key);
    uint32_t n_kv = hf_need_u32(c, "num_key_value_heads");
    const char *pattern = hf_get_string(c, "hybrid_override_pattern");
    if (c->status != HEARTH_OK || n_layer > CONFIG_MAX_LAYERS) return;
    if (!pattern || strlen(pattern) != n_layer || strspn(pattern, "M*-E") != n_layer) {
        hf_fail(c, HEARTH_ERROR_FORMAT,
                "config.json: 'hybrid_override_pattern' should have one of M * - E for each of %u "
                "layers",
                n_layer);
        return;
    }
    for (uint32_t i = 0; i < n_layer; i++) {
        heads[i] = pattern[i] == '*' ? n_kv : 0;
        widths[i] = pattern[i] == '-' || pattern[i] == 'E' ? n_ff : 0;
    }
    hf_set_layers(c, "attention.head_count_kv", heads, n_layer);
    hf_set_layers(c, "feed_forward_length", widths, n_layer);
}

static void mamba_size(struct hf_config *c) {
    uint32_t n_head = hf_need_u32(c, "mamba_num_heads"), d_head = hf_need_u32(c, "mamba_head_dim");
    if (n_head <= CONFIG_MAX_HEADS && d_head <= CONFIG_MAX_HEADS)
        hf_set_u32(c, "ssm.inner_size", n_head * d_head);
}

static void metadata(struct hf_config *c) {
    mamba_size(c);
    layers_of_pattern(c, "intermediate_size");
}

static void moe_metadata(struct hf_config *c) {
    enum { SIGMOID = 2 };
    mamba_size(c);
    layers_of_pattern(c, "moe_intermediate_size");
    hf_set_u32(c, "expert_gating_func", SIGMOID);
}

static bool has_experts(struct hf_config *c) {
    uint32_t n = 0;
    return hf_get_u32(c, "n_routed_experts", &n) && n > 0 &&
           hf_get_u32(c, "num_experts_per_tok", &n);
}

static bool is_dense(struct hf_config *c) {
    const char *pattern = hf_get_string(c, "hybrid_override_pattern");
    return !has_experts(c) || (pattern && !strchr(pattern, 'E'));
}

const struct hf_family nemotron_h_hf = {
    .name = "nemotron_h",
    .architectures = "NemotronHForCausalLM",
    .model_types = "nemotron_h",
    .keys = keys,
    .rules = {nemotron_rules},
    .metadata = metadata,
    .is = is_dense,
};

const struct hf_family nemotron_h_moe_hf = {
    .name = "nemotron_h_moe",
    .architectures = "NemotronHForCausalLM",
    .model_types = "nemotron_h",
    .keys = keys,
    .rules = {nemotron_rules, nemotron_experts_rules},
    .metadata = moe_metadata,
    .is = has_experts,
};
