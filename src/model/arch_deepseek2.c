/* DeepSeek V2, V2-Lite, V3 and R1: latent attention (arXiv 2405.04434), experts with a shared
 * one, group-limited sigmoid gating in V3 (arXiv 2412.19437). */
#include <math.h>
#include <string.h>

#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(deepseek2) {
    uint32_t q_rank = 0, d_k = 0, d_v = 0;
    config_u32(source, "attention.q_lora_rank", &q_rank);
    config_u32(source, "attention.kv_lora_rank", &config->kv_rank);
    if (config->kv_rank == 0 || config->kv_rank > CONFIG_MAX_WIDTH)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "metadata 'deepseek2.attention.kv_lora_rank' is %u", config->kv_rank);
    config->q_rank = q_rank;
    /* Older files give the whole heads and one attn_kv_b (model/latent_weights.c). */
    if (!config_u32(source, "attention.key_length_mla", &d_k)) d_k = config->layers[0].d_k;
    if (!config_u32(source, "attention.value_length_mla", &d_v)) d_v = config->layers[0].d_v;
    bool normalise = false;
    config_flag(source, "expert_weights_norm", &normalise);
    config->experts.normalise = normalise;
    for (uint32_t i = 0; i < config->n_layer; i++) {
        struct layer_config *layer = &config->layers[i];
        layer->mixer = MIXER_LATENT_ATTENTION;
        layer->n_head_kv = 1;
        layer->d_k = d_k;
        layer->d_v = d_v;
    }
    if (d_k <= config->rope.n_rot)
        return error_set(err, HEARTH_ERROR_FORMAT, "latent heads of %u values with %u rotary ones",
                         d_k, config->rope.n_rot);
    if (config->rope.scaling == ROPE_SCALING_YARN) {
        /* The file stores a tenth of mscale_all_dim; the softmax scale carries its square. */
        config->rope.log_multiplier *= 10.0f;
        float mscale = 1.0f + 0.1f * config->rope.log_multiplier * logf(config->rope.factor);
        config->attention_scale = mscale * mscale / sqrtf((float)d_k);
    }
    return HEARTH_OK;
}

/* kv_b_proj raises the compressed vector to keys and values of every head; the absorbed
 * form needs both apart, and the keys' part turned. */
static void key_part(const struct config *config, struct hf_slice *slice) {
    uint32_t n_nope = config->layers[0].d_k - config->rope.n_rot;
    slice->n_matrices = config->layers[0].n_head;
    slice->matrix_stride = n_nope + config->layers[0].d_v;
    slice->n_rows = n_nope;
}

static void value_part(const struct config *config, struct hf_slice *slice) {
    key_part(config, slice);
    slice->first = slice->n_rows;
    slice->n_rows = config->layers[0].d_v;
}

#define ATTENTION(part) "layers.#.self_attn." part
#define MLP(part) "layers.#.mlp." part
static const struct hf_rule deepseek2_rules[] = {
    {.from = ATTENTION("q_proj.weight"), .to = "blk.#.attn_q.weight"},
    {.from = ATTENTION("q_a_proj.weight"), .to = "blk.#.attn_q_a.weight"},
    {.from = ATTENTION("q_a_layernorm.weight"), .to = "blk.#.attn_q_a_norm.weight"},
    {.from = ATTENTION("q_b_proj.weight"), .to = "blk.#.attn_q_b.weight"},
    {.from = ATTENTION("kv_a_proj_with_mqa.weight"),
     .to = "blk.#.attn_kv_a_mqa.weight",
     .needed = true},
    {.from = ATTENTION("kv_a_layernorm.weight"),
     .to = "blk.#.attn_kv_a_norm.weight",
     .needed = true},
    {.from = ATTENTION("kv_b_proj.weight"),
     .to = "blk.#.attn_k_b.weight",
     .slice = key_part,
     .transpose = HF_SLICE_TRANSPOSED,
     .needed = true},
    {.from = ATTENTION("kv_b_proj.weight"),
     .to = "blk.#.attn_v_b.weight",
     .slice = value_part,
     .needed = true},
    {.from = ATTENTION("o_proj.weight"), .to = "blk.#.attn_output.weight", .needed = true},
    {.from = MLP("gate.e_score_correction_bias"), .to = "blk.#.exp_probs_b.bias"},
    {.from = MLP("shared_experts.gate_proj.weight"), .to = "blk.#.ffn_gate_shexp.weight"},
    {.from = MLP("shared_experts.up_proj.weight"), .to = "blk.#.ffn_up_shexp.weight"},
    {.from = MLP("shared_experts.down_proj.weight"), .to = "blk.#.ffn_down_shexp.weight"},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"q_lora_rank", "attention.q_lora_rank", HF_UINT},
    {"kv_lora_rank", "attention.kv_lora_rank", HF_UINT},
    {"qk_rope_head_dim", "rope.dimension_count", HF_UINT},
    {"v_head_dim", "attention.value_length_mla", HF_UINT},
    {"kv_lora_rank", "attention.value_length", HF_UINT},
    {"first_k_dense_replace", "leading_dense_block_count", HF_UINT},
    {"n_shared_experts", "expert_shared_count", HF_UINT},
    {"routed_scaling_factor", "expert_weights_scale", HF_FLOAT},
    {"norm_topk_prob", "expert_weights_norm", HF_FLAG},
    {NULL, NULL, HF_UINT},
};

static void metadata(struct hf_config *c) {
    enum { SIGMOID = 2 };
    uint32_t rank = hf_need_u32(c, "kv_lora_rank"), n_rot = hf_need_u32(c, "qk_rope_head_dim");
    uint32_t n_nope = hf_need_u32(c, "qk_nope_head_dim");
    const json_t *mscale = json_object_get(hf_rope(c), "mscale_all_dim");
    const char *name = json_string_value(json_array_get(hf_get_list(c, "architectures"), 0));
    if (rank > CONFIG_MAX_WIDTH || n_rot > CONFIG_MAX_WIDTH || n_nope > CONFIG_MAX_WIDTH)
        hf_fail(c, HEARTH_ERROR_FORMAT, "config.json: heads of %u + %u values, rank %u", n_nope,
                n_rot, rank);
    hf_set_u32(c, "attention.head_count_kv", 1);
    hf_set_u32(c, "attention.key_length", rank + n_rot);
    hf_set_u32(c, "attention.key_length_mla", n_nope + n_rot);
    if (json_is_number(mscale)) /* files store a tenth of it */
        hf_set_f64(c, "rope.scaling.yarn_log_multiplier", 0.1 * json_number_value(mscale));
    if (name && strcmp(name, "DeepseekV3ForCausalLM") == 0 && !hf_has_key(c, "expert_gating_func"))
        hf_set_u32(c, "expert_gating_func", SIGMOID);
}

const struct hf_family deepseek2_hf = {
    .name = "deepseek2",
    .architectures = "DeepseekV2ForCausalLM DeepseekV3ForCausalLM",
    .model_types = "deepseek_v2 deepseek_v3",
    .keys = keys,
    .rules = {hf_embedding_rules, hf_norm_rules, deepseek2_rules, hf_mlp_rules, hf_experts_rules},
    .metadata = metadata,
};
