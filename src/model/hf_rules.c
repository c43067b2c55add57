/* What the tensor tables of the families share. */
#include "model/hf_family.h"

#include <math.h>

float hf_plus_one(float x) {
    return x + 1.0f;
}

float hf_minus_exp(float x) {
    return -expf(x);
}

/* Hugging Face pairs value i of a head with value i + d/2, the interleaved layout pairs
 * neighbours: result value 2i + j of a head is source value j d/2 + i. */
uint64_t hf_rotary_row(const struct config *config, uint64_t row) {
    uint64_t d = 0;
    for (uint32_t i = 0; i < config->n_layer && d == 0; i++)
        d = config->layers[i].d_k;
    if (d < 2) return row;
    uint64_t head = row / d, k = row % d;
    return head * d + k % 2 * (d / 2) + k / 2;
}

void hf_first_half(const struct config *config, struct hf_slice *slice) {
    (void)config;
    slice->n_rows /= 2;
}

void hf_second_half(const struct config *config, struct hf_slice *slice) {
    (void)config;
    slice->n_rows /= 2;
    slice->first = slice->n_rows;
}

void hf_even_rows(const struct config *config, struct hf_slice *slice) {
    (void)config;
    slice->n_rows /= 2;
    slice->stride = 2;
}

void hf_odd_rows(const struct config *config, struct hf_slice *slice) {
    hf_even_rows(config, slice);
    slice->first = 1;
}

void hf_squeeze(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]) {
    (void)config;
    unsigned n = 0;
    for (unsigned i = 0; i < TENSOR_MAX_DIMS; i++)
        if (dims[i] != 1) dims[n++] = dims[i];
    while (n < TENSOR_MAX_DIMS)
        dims[n++] = 1;
}

void hf_column_vector(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]) {
    (void)config;
    dims[1] = dims[0] * dims[1] * dims[2];
    dims[0] = dims[2] = 1;
}

void hf_mamba_groups(const struct config *config, uint64_t dims[TENSOR_MAX_DIMS]) {
    uint64_t groups = config->mamba.n_group;
    if (groups == 0 || dims[0] % groups != 0) return;
    dims[0] /= groups;
    dims[1] = groups;
}

const struct hf_rule hf_embedding_rules[] = {
    {.from = "embed_tokens.weight", .to = "token_embd.weight", .needed = true},
    {.from = "norm.weight", .to = "output_norm.weight", .needed = true},
    {.from = "lm_head.weight", .to = "output.weight"},
    {.from = NULL},
};

const struct hf_rule hf_norm_rules[] = {
    {.from = "layers.#.input_layernorm.weight", .to = "blk.#.attn_norm.weight", .needed = true},
    {.from = "layers.#.post_attention_layernorm.weight",
     .to = "blk.#.ffn_norm.weight",
     .needed = true},
    {.from = NULL},
};

const struct hf_rule hf_attention_rules[] = {
    {.from = "layers.#.self_attn.q_proj.weight", .to = "blk.#.attn_q.weight"},
    {.from = "layers.#.self_attn.q_proj.bias", .to = "blk.#.attn_q.bias"},
    {.from = "layers.#.self_attn.k_proj.weight", .to = "blk.#.attn_k.weight"},
    {.from = "layers.#.self_attn.k_proj.bias", .to = "blk.#.attn_k.bias"},
    {.from = "layers.#.self_attn.v_proj.weight", .to = "blk.#.attn_v.weight"},
    {.from = "layers.#.self_attn.v_proj.bias", .to = "blk.#.attn_v.bias"},
    {.from = "layers.#.self_attn.o_proj.weight", .to = "blk.#.attn_output.weight"},
    {.from = "layers.#.self_attn.o_proj.bias", .to = "blk.#.attn_output.bias"},
    {.from = NULL},
};

const struct hf_rule hf_interleaved_attention_rules[] = {
    {.from = "layers.#.self_attn.q_proj.weight", .to = "blk.#.attn_q.weight", .row = hf_rotary_row},
    {.from = "layers.#.self_attn.q_proj.bias", .to = "blk.#.attn_q.bias", .row = hf_rotary_row},
    {.from = "layers.#.self_attn.k_proj.weight", .to = "blk.#.attn_k.weight", .row = hf_rotary_row},
    {.from = "layers.#.self_attn.k_proj.bias", .to = "blk.#.attn_k.bias", .row = hf_rotary_row},
    {.from = "layers.#.self_attn.v_proj.weight", .to = "blk.#.attn_v.weight"},
    {.from = "layers.#.self_attn.v_proj.bias", .to = "blk.#.attn_v.bias"},
    {.from = "layers.#.self_attn.o_proj.weight", .to = "blk.#.attn_output.weight"},
    {.from = "layers.#.self_attn.o_proj.bias", .to = "blk.#.attn_output.bias"},
    {.from = NULL},
};

const struct hf_rule hf_qk_norm_rules[] = {
    {.from = "layers.#.self_attn.q_norm.weight", .to = "blk.#.attn_q_norm.weight"},
    {.from = "layers.#.self_attn.k_norm.weight", .to = "blk.#.attn_k_norm.weight"},
    {.from = NULL},
};

const struct hf_rule hf_mlp_rules[] = {
    {.from = "layers.#.mlp.gate_proj.weight", .to = "blk.#.ffn_gate.weight"},
    {.from = "layers.#.mlp.gate_proj.bias", .to = "blk.#.ffn_gate.bias"},
    {.from = "layers.#.mlp.up_proj.weight", .to = "blk.#.ffn_up.weight"},
    {.from = "layers.#.mlp.up_proj.bias", .to = "blk.#.ffn_up.bias"},
    {.from = "layers.#.mlp.down_proj.weight", .to = "blk.#.ffn_down.weight"},
    {.from = "layers.#.mlp.down_proj.bias", .to = "blk.#.ffn_down.bias"},
    {.from = NULL},
};

/* Experts one by one, or all in one tensor as transformers 5 saves them. */
const struct hf_rule hf_experts_rules[] = {
    {.from = "layers.#.mlp.gate.weight", .to = "blk.#.ffn_gate_inp.weight", .f32 = true},
    {.from = "layers.#.mlp.experts.@.gate_proj.weight", .to = "blk.#.ffn_gate_exps.weight"},
    {.from = "layers.#.mlp.experts.@.up_proj.weight", .to = "blk.#.ffn_up_exps.weight"},
    {.from = "layers.#.mlp.experts.@.down_proj.weight", .to = "blk.#.ffn_down_exps.weight"},
    {.from = "layers.#.mlp.experts.gate_up_proj",
     .to = "blk.#.ffn_gate_exps.weight",
     .slice = hf_first_half},
    {.from = "layers.#.mlp.experts.gate_up_proj",
     .to = "blk.#.ffn_up_exps.weight",
     .slice = hf_second_half},
    {.from = "layers.#.mlp.experts.down_proj", .to = "blk.#.ffn_down_exps.weight"},
    {.from = NULL},
};

#define MAMBA2(part) "layers.#.mamba." part
const struct hf_rule hf_mamba2_rules[] = {
    {.from = MAMBA2("in_proj.weight"), .to = "blk.#.ssm_in.weight"},
    {.from = MAMBA2("conv1d.weight"),
     .to = "blk.#.ssm_conv1d.weight",
     .reshape = hf_squeeze,
     .f32 = true},
    {.from = MAMBA2("conv1d.bias"), .to = "blk.#.ssm_conv1d.bias"},
    {.from = MAMBA2("dt_bias"), .to = "blk.#.ssm_dt.bias"},
    {.from = MAMBA2("A_log"),
     .to = "blk.#.ssm_a",
     .value = hf_minus_exp,
     .reshape = hf_column_vector},
    {.from = MAMBA2("D"), .to = "blk.#.ssm_d", .reshape = hf_column_vector, .f32 = true},
    {.from = MAMBA2("norm.weight"),
     .to = "blk.#.ssm_norm.weight",
     .reshape = hf_mamba_groups,
     .f32 = true},
    {.from = MAMBA2("out_proj.weight"), .to = "blk.#.ssm_out.weight"},
    {.from = NULL},
};
