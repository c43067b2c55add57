/* Qwen 3.5, dense and expert, and Qwen 3 Next before it: gated delta nets (arXiv 2412.06464) with
 * full attention at every n-th layer, whose heads are gated and partly rotated. */
#include "model/family.h"
#include "model/hf_family.h"

FAMILY_CONFIGURE(qwen35) {
    uint32_t interval = 4, inner = 0, heads = 0, groups = 0, d_state = 0, kernel = 0;
    config_u32(source, "full_attention_interval", &interval);
    config_u32(source, "ssm.inner_size", &inner);
    config_u32(source, "ssm.time_step_rank", &heads);
    config_u32(source, "ssm.group_count", &groups);
    config_u32(source, "ssm.state_size", &d_state);
    config_u32(source, "ssm.conv_kernel", &kernel);
    if (interval == 0 || heads == 0 || groups == 0 || heads % groups != 0 || inner % heads != 0 ||
        d_state == 0 || d_state > CONFIG_MAX_WIDTH || inner > CONFIG_MAX_WIDTH || kernel < 2 ||
        kernel > 64)
        return error_set(err, HEARTH_ERROR_FORMAT,
                         "impossible delta net: inner %u, heads %u, groups %u, state %u, kernel %u",
                         inner, heads, groups, d_state, kernel);
    config->rope_neox = true;
    config->qk_norm = true;
    config->gated_attention = true;
    config->ffn_norm = "post_attention_norm";
    config->experts.gated_shared = true;
    config->delta.n_head_k = groups;
    config->delta.n_head_v = heads;
    config->delta.d_k = d_state;
    config->delta.d_v = inner / heads;
    config->delta.conv_kernel = kernel;
    const struct meta_array *recurrent = config_array(source, "attention.recurrent_layers");
    for (uint32_t i = 0; i < config->n_layer; i++) {
        bool delta = (i + 1) % interval != 0;
        if (recurrent) delta = i < recurrent->count && meta_array_int(recurrent, i) != 0;
        if (delta) config->layers[i].mixer = MIXER_DELTA_NET;
    }
    return HEARTH_OK;
}

FAMILY_CONFIGURE(qwen3next) {
    RETURN_IF_ERROR(qwen35_configure(config, source, err));
    config->delta.grouped = true;
    return HEARTH_OK;
}

/* Hugging Face groups value heads by the key head they share, [k0 v0, k0 v1, k1 v0 ...];
 * the recipe repeats the key heads, [k0 v0, k1 v0, k0 v1 ...]. */
static uint64_t value_head(const struct config *config, uint64_t head) {
    uint64_t n_key = config->delta.n_head_k, shared = config->delta.n_head_v / n_key;
    return head % n_key * shared + head / n_key;
}

static uint64_t value_row(const struct config *config, uint64_t row) {
    return value_head(config, row / config->delta.d_v) * config->delta.d_v +
           row % config->delta.d_v;
}

static uint64_t qkv_row(const struct config *config, uint64_t row) {
    uint64_t first = 2 * (uint64_t)config->delta.n_head_k * config->delta.d_k;
    return row < first ? row : first + value_row(config, row - first);
}

#define DELTA(part) "layers.#.linear_attn." part
static const struct hf_rule qwen35_rules[] = {
    {.from = "embed_tokens.weight", .to = "token_embd.weight", .needed = true},
    {.from = "norm.weight", .to = "output_norm.weight", .value = hf_plus_one, .needed = true},
    {.from = "lm_head.weight", .to = "output.weight"},
    {.from = "layers.#.input_layernorm.weight",
     .to = "blk.#.attn_norm.weight",
     .value = hf_plus_one,
     .needed = true},
    {.from = "layers.#.post_attention_layernorm.weight",
     .to = "blk.#.post_attention_norm.weight",
     .value = hf_plus_one,
     .needed = true},
    {.from = "layers.#.self_attn.q_norm.weight",
     .to = "blk.#.attn_q_norm.weight",
     .value = hf_plus_one},
    {.from = "layers.#.self_attn.k_norm.weight",
     .to = "blk.#.attn_k_norm.weight",
     .value = hf_plus_one},
    {.from = DELTA("in_proj_qkv.weight"), .to = "blk.#.attn_qkv.weight", .row = qkv_row},
    {.from = DELTA("in_proj_z.weight"), .to = "blk.#.attn_gate.weight", .row = value_row},
    {.from = DELTA("in_proj_a.weight"), .to = "blk.#.ssm_alpha.weight", .row = value_head},
    {.from = DELTA("in_proj_b.weight"), .to = "blk.#.ssm_beta.weight", .row = value_head},
    {.from = DELTA("dt_bias"), .to = "blk.#.ssm_dt.bias", .row = value_head},
    {.from = DELTA("A_log"), .to = "blk.#.ssm_a", .row = value_head, .value = hf_minus_exp},
    {.from = DELTA("conv1d.weight"), .to = "blk.#.ssm_conv1d.weight", .row = qkv_row, .f32 = true},
    {.from = DELTA("norm.weight"), .to = "blk.#.ssm_norm.weight"},
    {.from = DELTA("out_proj.weight"), .to = "blk.#.ssm_out.weight", .column = value_row},
    {.from = NULL},
};

#define SHARED(part) "layers.#.mlp.shared_expert" part
static const struct hf_rule qwen35_experts_rules[] = {
    {.from = SHARED(".gate_proj.weight"), .to = "blk.#.ffn_gate_shexp.weight"},
    {.from = SHARED(".up_proj.weight"), .to = "blk.#.ffn_up_shexp.weight"},
    {.from = SHARED(".down_proj.weight"), .to = "blk.#.ffn_down_shexp.weight"},
    {.from = SHARED("_gate.weight"), .to = "blk.#.ffn_gate_inp_shexp.weight", .f32 = true},
    {.from = NULL},
};

static const struct hf_key keys[] = {
    {"linear_conv_kernel_dim", "ssm.conv_kernel", HF_UINT},
    {"linear_key_head_dim", "ssm.state_size", HF_UINT},
    {"linear_num_key_heads", "ssm.group_count", HF_UINT},
    {"linear_num_value_heads", "ssm.time_step_rank", HF_UINT},
    {"full_attention_interval", "full_attention_interval", HF_UINT},
    {"shared_expert_intermediate_size", "expert_shared_feed_forward_length", HF_UINT},
    {NULL, NULL, HF_UINT},
};

/* The layers with full attention, from their list where there is one. */
static void interval_of_layers(struct hf_config *c) {
    bool full[CONFIG_MAX_LAYERS];
    uint32_t interval = 0, n_layer = hf_need_u32(c, "num_hidden_layers");
    if (n_layer > CONFIG_MAX_LAYERS ||
        !hf_layer_kinds(c, "layer_types", "full_attention", full, n_layer))
        return;
    while (interval < n_layer && !full[interval])
        interval++;
    interval++;
    for (uint32_t i = 0; i < n_layer; i++)
        if (full[i] != ((i + 1) % interval == 0))
            hf_fail(c, HEARTH_ERROR_UNSUPPORTED,
                    "config.json: 'layer_types' has full attention at uneven distances");
    hf_set_u32(c, "full_attention_interval", interval);
}

/* Sections of the rotary dimensions for time, height and width; text has one position. */
static void rope_sections(struct hf_config *c) {
    uint32_t sections[4] = {11, 11, 10, 0};
    const json_t *list = json_object_get(hf_rope(c), "mrope_section");
    if (json_is_array(list))
        for (size_t i = 0; i < 4; i++) {
            json_int_t n = json_integer_value(json_array_get(list, i));
            sections[i] = n > 0 && n < CONFIG_MAX_WIDTH ? (uint32_t)n : 0;
        }
    if (c->status == HEARTH_OK) hf_set_layers(c, "rope.dimension_sections", sections, 4);
}

static void metadata(struct hf_config *c) {
    uint32_t heads = hf_need_u32(c, "linear_num_value_heads");
    uint32_t width = hf_need_u32(c, "linear_value_head_dim");
    if (heads <= CONFIG_MAX_HEADS && width <= CONFIG_MAX_HEADS)
        hf_set_u32(c, "ssm.inner_size", heads * width);
    interval_of_layers(c);
    rope_sections(c);
}

const struct hf_family qwen35_hf = {
    .name = "qwen35",
    .architectures = "Qwen3_5ForConditionalGeneration Qwen3_5ForCausalLM",
    .model_types = "qwen3_5 qwen3_5_text",
    .keys = keys,
    .rules = {qwen35_rules, hf_attention_rules, hf_mlp_rules},
    .metadata = metadata,
};

const struct hf_family qwen35_moe_hf = {
    .name = "qwen35moe",
    .architectures = "Qwen3_5MoeForConditionalGeneration Qwen3_5MoeForCausalLM",
    .model_types = "qwen3_5_moe qwen3_5_moe_text",
    .keys = keys,
    .rules = {qwen35_rules, hf_attention_rules, hf_experts_rules, qwen35_experts_rules},
    .metadata = metadata,
};
