/* hf_cases.h - the tiny models of testdata/arch as transformers would save them: names,
 * layouts and config.json. */
#ifndef HEARTH_TESTS_MODEL_HF_CASES_H
#define HEARTH_TESTS_MODEL_HF_CASES_H

#include "model/hf_reverse.h"

#define LAYER "model.layers.#."
static const struct reverse llama_table[] = {
    {"token_embd.weight", "model.embed_tokens.weight", AS_IS, 0, 0, NULL},
    {"output_norm.weight", "model.norm.weight", AS_IS, 0, 0, NULL},
    {"output.weight", "lm_head.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_norm.weight", LAYER "input_layernorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_norm.weight", LAYER "post_attention_layernorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q.weight", LAYER "self_attn.q_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k.weight", LAYER "self_attn.k_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_v.weight", LAYER "self_attn.v_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.weight", LAYER "self_attn.o_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q.bias", LAYER "self_attn.q_proj.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k.bias", LAYER "self_attn.k_proj.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_v.bias", LAYER "self_attn.v_proj.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.bias", LAYER "self_attn.o_proj.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q_norm.weight", LAYER "self_attn.q_norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k_norm.weight", LAYER "self_attn.k_norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate.weight", LAYER "mlp.gate_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", LAYER "mlp.up_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", LAYER "mlp.down_proj.weight", AS_IS, 0, 0, NULL},
    {"rope_freqs.weight", NULL, AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse interleaved[] = {
    {"blk.#.attn_q.weight", LAYER "self_attn.q_proj.weight", HALVES, 32, 0, NULL},
    {"blk.#.attn_k.weight", LAYER "self_attn.k_proj.weight", HALVES, 32, 0, NULL},
    {0},
};

static const struct reverse experts[] = {
    {"blk.#.ffn_gate_inp.weight", LAYER "mlp.gate.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", LAYER "mlp.experts.@.gate_proj.weight", EXPERTS, 0, 0, NULL},
    {"blk.#.ffn_up_exps.weight", LAYER "mlp.experts.@.up_proj.weight", EXPERTS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", LAYER "mlp.experts.@.down_proj.weight", EXPERTS, 0, 0, NULL},
    {0},
};

#define MIXTRAL LAYER "block_sparse_moe."
static const struct reverse mixtral[] = {
    {"blk.#.ffn_gate_inp.weight", MIXTRAL "gate.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", MIXTRAL "experts.@.w1.weight", EXPERTS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", MIXTRAL "experts.@.w2.weight", EXPERTS, 0, 0, NULL},
    {"blk.#.ffn_up_exps.weight", MIXTRAL "experts.@.w3.weight", EXPERTS, 0, 0, NULL},
    {0},
};

static const struct reverse gemma[] = {
    {"output_norm.weight", "model.norm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.attn_norm.weight", LAYER "input_layernorm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.post_attention_norm.weight", LAYER "post_attention_layernorm.weight", MINUS_ONE, 0, 0,
     NULL},
    {"blk.#.ffn_norm.weight", LAYER "pre_feedforward_layernorm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.post_ffw_norm.weight", LAYER "post_feedforward_layernorm.weight", MINUS_ONE, 0, 0,
     NULL},
    {"blk.#.attn_q_norm.weight", LAYER "self_attn.q_norm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.attn_k_norm.weight", LAYER "self_attn.k_norm.weight", MINUS_ONE, 0, 0, NULL},
    {0},
};

static const struct reverse phi3[] = {
    {"blk.#.attn_qkv.weight", LAYER "self_attn.qkv_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", LAYER "mlp.gate_up_proj.weight", AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse olmo2[] = {
    {"blk.#.post_attention_norm.weight", LAYER "post_attention_layernorm.weight", AS_IS, 0, 0,
     NULL},
    {"blk.#.post_ffw_norm.weight", LAYER "post_feedforward_layernorm.weight", AS_IS, 0, 0, NULL},
    {0},
};

#define GPT2 "transformer.h.#."
static const struct reverse gpt2[] = {
    {"token_embd.weight", "transformer.wte.weight", AS_IS, 0, 0, NULL},
    {"position_embd.weight", "transformer.wpe.weight", AS_IS, 0, 0, NULL},
    {"output_norm.weight", "transformer.ln_f.weight", AS_IS, 0, 0, NULL},
    {"output_norm.bias", "transformer.ln_f.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_norm.weight", GPT2 "ln_1.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_norm.bias", GPT2 "ln_1.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_qkv.weight", GPT2 "attn.c_attn.weight", TURN, 0, 0, NULL},
    {"blk.#.attn_qkv.bias", GPT2 "attn.c_attn.bias", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.weight", GPT2 "attn.c_proj.weight", TURN, 0, 0, NULL},
    {"blk.#.attn_output.bias", GPT2 "attn.c_proj.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_norm.weight", GPT2 "ln_2.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_norm.bias", GPT2 "ln_2.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", GPT2 "mlp.c_fc.weight", TURN, 0, 0, NULL},
    {"blk.#.ffn_up.bias", GPT2 "mlp.c_fc.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", GPT2 "mlp.c_proj.weight", TURN, 0, 0, NULL},
    {"blk.#.ffn_down.bias", GPT2 "mlp.c_proj.bias", AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse mistral3[] = {
    {"token_embd.weight", "language_model.model.embed_tokens.weight", AS_IS, 0, 0, NULL},
    {"output_norm.weight", "language_model.model.norm.weight", AS_IS, 0, 0, NULL},
    {"output.weight", "language_model.lm_head.weight", AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse lfm2[] = {
    {"token_embd_norm.weight", "model.embedding_norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_norm.weight", LAYER "operator_norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_norm.weight", LAYER "ffn_norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.weight", LAYER "self_attn.out_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q_norm.weight", LAYER "self_attn.q_layernorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k_norm.weight", LAYER "self_attn.k_layernorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.shortconv.in_proj.weight", LAYER "conv.in_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.shortconv.conv.weight", LAYER "conv.conv.weight", CHANNELS, 0, 0, NULL},
    {"blk.#.shortconv.out_proj.weight", LAYER "conv.out_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate.weight", LAYER "feed_forward.w1.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", LAYER "feed_forward.w2.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", LAYER "feed_forward.w3.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_inp.weight", LAYER "feed_forward.gate.weight", AS_IS, 0, 0, NULL},
    {"blk.#.exp_probs_b.bias", LAYER "feed_forward.expert_bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", LAYER "feed_forward.experts.@.w1.weight", EXPERTS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", LAYER "feed_forward.experts.@.w2.weight", EXPERTS, 0, 0, NULL},
    {"blk.#.ffn_up_exps.weight", LAYER "feed_forward.experts.@.w3.weight", EXPERTS, 0, 0, NULL},
    {0},
};

static const struct reverse granite_hybrid[] = {
    {"blk.#.ffn_gate.weight", LAYER "shared_mlp.input_linear.weight", STACKED, 0, 0,
     "blk.#.ffn_up.weight"},
    {"blk.#.ffn_up.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", LAYER "shared_mlp.output_linear.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_in.weight", LAYER "mamba.in_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_conv1d.weight", LAYER "mamba.conv1d.weight", CHANNELS, 0, 0, NULL},
    {"blk.#.ssm_conv1d.bias", LAYER "mamba.conv1d.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_dt.bias", LAYER "mamba.dt_bias", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_a", LAYER "mamba.A_log", LOG, 0, 0, NULL},
    {"blk.#.ssm_d", LAYER "mamba.D", LIST, 0, 0, NULL},
    {"blk.#.ssm_norm.weight", LAYER "mamba.norm.weight", LIST, 0, 0, NULL},
    {"blk.#.ssm_out.weight", LAYER "mamba.out_proj.weight", AS_IS, 0, 0, NULL},
    {0},
};

#define MIXER "backbone.layers.#.mixer."
static const struct reverse nemotron[] = {
    {"token_embd.weight", "backbone.embeddings.weight", AS_IS, 0, 0, NULL},
    {"output_norm.weight", "backbone.norm_f.weight", AS_IS, 0, 0, NULL},
    {"output.weight", "lm_head.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_norm.weight", "backbone.layers.#.norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q.weight", MIXER "q_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k.weight", MIXER "k_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_v.weight", MIXER "v_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_output.weight", MIXER "o_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_in.weight", MIXER "in_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_conv1d.weight", MIXER "conv1d.weight", CHANNELS, 0, 0, NULL},
    {"blk.#.ssm_conv1d.bias", MIXER "conv1d.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_dt.bias", MIXER "dt_bias", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_a", MIXER "A_log", LOG, 0, 0, NULL},
    {"blk.#.ssm_d", MIXER "D", LIST, 0, 0, NULL},
    {"blk.#.ssm_norm.weight", MIXER "norm.weight", LIST, 0, 0, NULL},
    {"blk.#.ssm_out.weight", MIXER "out_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up.weight", MIXER "up_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", MIXER "down_proj.weight", AS_IS, 0, 0, NULL},
    {0},
};

#define TEXT "model.language_model."
#define DELTA TEXT "layers.#.linear_attn."
#define SHARED TEXT "layers.#.mlp.shared_expert"
static const struct reverse qwen35[] = {
    {"token_embd.weight", TEXT "embed_tokens.weight", AS_IS, 0, 0, NULL},
    {"output_norm.weight", TEXT "norm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.attn_norm.weight", TEXT "layers.#.input_layernorm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.post_attention_norm.weight", TEXT "layers.#.post_attention_layernorm.weight", MINUS_ONE,
     0, 0, NULL},
    {"blk.#.attn_q_norm.weight", TEXT "layers.#.self_attn.q_norm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.attn_k_norm.weight", TEXT "layers.#.self_attn.k_norm.weight", MINUS_ONE, 0, 0, NULL},
    {"blk.#.attn_qkv.weight", DELTA "in_proj_qkv.weight", GROUPED, 64, 256, NULL},
    {"blk.#.attn_gate.weight", DELTA "in_proj_z.weight", GROUPED, 64, 0, NULL},
    {"blk.#.ssm_alpha.weight", DELTA "in_proj_a.weight", GROUPED, 1, 0, NULL},
    {"blk.#.ssm_beta.weight", DELTA "in_proj_b.weight", GROUPED, 1, 0, NULL},
    {"blk.#.ssm_dt.bias", DELTA "dt_bias", GROUPED, 1, 0, NULL},
    {"blk.#.ssm_a", DELTA "A_log", GROUPED_LOG, 1, 0, NULL},
    {"blk.#.ssm_conv1d.weight", DELTA "conv1d.weight", GROUPED_CONV, 64, 256, NULL},
    {"blk.#.ssm_norm.weight", DELTA "norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ssm_out.weight", DELTA "out_proj.weight", GROUPED_COLUMNS, 64, 0, NULL},
    {"blk.#.ffn_gate_inp.weight", TEXT "layers.#.mlp.gate.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", TEXT "layers.#.mlp.experts.gate_up_proj", STACKED, 0, 0,
     "blk.#.ffn_up_exps.weight"},
    {"blk.#.ffn_up_exps.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", TEXT "layers.#.mlp.experts.down_proj", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_shexp.weight", SHARED ".gate_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up_shexp.weight", SHARED ".up_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down_shexp.weight", SHARED ".down_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_inp_shexp.weight", SHARED "_gate.weight", AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse gpt_oss[] = {
    {"blk.#.post_attention_norm.weight", LAYER "post_attention_layernorm.weight", AS_IS, 0, 0,
     NULL},
    {"blk.#.attn_sinks.weight", LAYER "self_attn.sinks", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_inp.weight", LAYER "mlp.router.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_inp.bias", LAYER "mlp.router.bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", LAYER "mlp.experts.gate_up_proj", WOVEN_TURN, 0, 0,
     "blk.#.ffn_up_exps.weight"},
    {"blk.#.ffn_up_exps.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.bias", LAYER "mlp.experts.gate_up_proj_bias", WOVEN, 0, 0,
     "blk.#.ffn_up_exps.bias"},
    {"blk.#.ffn_up_exps.bias", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", LAYER "mlp.experts.down_proj", TURN, 0, 0, NULL},
    {"blk.#.ffn_down_exps.bias", LAYER "mlp.experts.down_proj_bias", AS_IS, 0, 0, NULL},
    {0},
};

#define MLA LAYER "self_attn."
static const struct reverse deepseek2[] = {
    {"blk.#.attn_q_a.weight", MLA "q_a_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q_a_norm.weight", MLA "q_a_layernorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q_b.weight", MLA "q_b_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_kv_a_mqa.weight", MLA "kv_a_proj_with_mqa.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_kv_a_norm.weight", MLA "kv_a_layernorm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_k_b.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.attn_v_b.weight", MLA "kv_b_proj.weight", KV_B, 0, 0, "blk.#.attn_k_b.weight"},
    {"blk.#.exp_probs_b.bias", LAYER "mlp.gate.e_score_correction_bias", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_shexp.weight", LAYER "mlp.shared_experts.gate_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_up_shexp.weight", LAYER "mlp.shared_experts.up_proj.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down_shexp.weight", LAYER "mlp.shared_experts.down_proj.weight", AS_IS, 0, 0, NULL},
    {0},
};

/* What all configurations share but where they say otherwise. */
#define SHAPE                                                                                      \
    "\"vocab_size\": 128, \"max_position_embeddings\": 256, \"hidden_size\": 128, "                \
    "\"intermediate_size\": 192, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "         \
    "\"rope_theta\": 10000.0, "
#define EPS "\"rms_norm_eps\": 1e-05, "
#define ARCH(name, type) "{\"architectures\": [\"" name "\"], \"model_type\": \"" type "\", "
#define LAYERS(n) "\"num_hidden_layers\": " #n
#define GRANITE                                                                                    \
    "\"attention_multiplier\": 0.25, \"embedding_multiplier\": 4.0, "                              \
    "\"residual_multiplier\": 0.7, \"logits_scaling\": 0.5, "
#define DELTA_NET                                                                                  \
    "\"head_dim\": 32, \"linear_conv_kernel_dim\": 4, \"linear_key_head_dim\": 64, "               \
    "\"linear_num_key_heads\": 2, \"linear_num_value_heads\": 4, \"linear_value_head_dim\": 64, "  \
    "\"layer_types\": [\"linear_attention\", \"full_attention\", \"linear_attention\", "           \
    "\"full_attention\"], \"rope_parameters\": {\"rope_type\": \"default\", "                      \
    "\"rope_theta\": 10000, \"partial_rotary_factor\": 0.5, \"mrope_section\": [3, 3, 2]}"

static const struct reverse_case cases[] = {
    {"llama-dense",
     "logits.f32",
     ARCH("LlamaForCausalLM", "llama") SHAPE EPS "\"head_dim\": 32, " LAYERS(2) "}",
     {interleaved, llama_table}},
    {"llama3-ropefreqs-dense",
     "logits.f32",
     ARCH("LlamaForCausalLM", "llama") SHAPE EPS
     "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
     "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}, " LAYERS(2) "}",
     {interleaved, llama_table}},
    {"llama-moe",
     "logits.f32",
     ARCH("MixtralForCausalLM", "mixtral") SHAPE EPS
     "\"num_local_experts\": 4, \"num_experts_per_tok\": 2, \"sliding_window\": null, " LAYERS(
         2) "}",
     {interleaved, mixtral, llama_table}},
    {"qwen2-dense",
     "logits.f32",
     ARCH("Qwen2ForCausalLM", "qwen2") SHAPE EPS "\"use_sliding_window\": false, " LAYERS(2) "}",
     {llama_table}},
    {"qwen3-dense",
     "logits.f32",
     ARCH("Qwen3ForCausalLM", "qwen3") EPS
     "\"vocab_size\": 128, \"max_position_embeddings\": 256, \"hidden_size\": 256, "
     "\"intermediate_size\": 512, \"num_attention_heads\": 4, \"num_key_value_heads\": 1, "
     "\"head_dim\": 64, \"rope_theta\": 10000, " LAYERS(2) "}",
     {llama_table}},
    {"qwen3moe-moe",
     "logits.f32",
     ARCH("Qwen3MoeForCausalLM", "qwen3_moe") SHAPE EPS
     "\"head_dim\": 32, \"num_experts\": 8, \"num_experts_per_tok\": 2, "
     "\"moe_intermediate_size\": 64, \"norm_topk_prob\": true, " LAYERS(2) "}",
     {experts, llama_table}},
    {"gemma2-dense",
     "logits_exact_gelu.f32",
     ARCH("Gemma2ForCausalLM", "gemma2") SHAPE EPS
     "\"head_dim\": 32, \"attn_logit_softcapping\": 50.0, \"final_logit_softcapping\": 30.0, "
     "\"sliding_window\": 32, \"query_pre_attn_scalar\": 32, " LAYERS(2) "}",
     {gemma, llama_table}},
    {"gemma3-dense",
     "logits_exact_gelu.f32",
     "{\"architectures\": [\"Gemma3ForConditionalGeneration\"], \"model_type\": \"gemma3\", "
     "\"text_config\": {\"model_type\": \"gemma3_text\", " SHAPE EPS
     "\"head_dim\": 32, \"sliding_window\": 32, \"rope_local_base_freq\": 1000.0, "
     "\"final_logit_softcapping\": null, \"layer_types\": [\"sliding_attention\", "
     "\"full_attention\", \"sliding_attention\", \"full_attention\"], " LAYERS(4) "}}",
     {gemma, llama_table}},
    {"phi3-dense",
     "logits.f32",
     ARCH("Phi3ForCausalLM", "phi3") SHAPE EPS
     "\"original_max_position_embeddings\": 256, \"rope_scaling\": null, "
     "\"sliding_window\": 2047, " LAYERS(2) "}",
     {phi3, llama_table}},
    {"smollm3-dense",
     "logits.f32",
     ARCH("SmolLM3ForCausalLM", "smollm3") SHAPE EPS
     "\"no_rope_layers\": [1, 1, 1, 0], " LAYERS(4) "}",
     {interleaved, llama_table}},
    {"olmo2-dense",
     "logits.f32",
     ARCH("Olmo2ForCausalLM", "olmo2") SHAPE EPS LAYERS(2) "}",
     {olmo2, llama_table}},
    {"olmoe-moe",
     "logits.f32",
     ARCH("OlmoeForCausalLM", "olmoe") EPS
     "\"vocab_size\": 128, \"max_position_embeddings\": 256, \"hidden_size\": 128, "
     "\"intermediate_size\": 192, \"num_attention_heads\": 4, \"num_key_value_heads\": 4, "
     "\"rope_theta\": 10000.0, \"num_experts\": 4, \"num_experts_per_tok\": 2, "
     "\"norm_topk_prob\": false, " LAYERS(2) "}",
     {experts, llama_table}},
    {"granite-dense",
     "logits.f32",
     ARCH("GraniteForCausalLM", "granite") SHAPE EPS GRANITE LAYERS(2) "}",
     {interleaved, llama_table}},
    {"granitehybrid-dense",
     "logits.f32",
     ARCH("GraniteMoeHybridForCausalLM", "granitemoehybrid") SHAPE EPS GRANITE
     "\"shared_intermediate_size\": 192, \"num_local_experts\": 0, \"num_experts_per_tok\": 0, "
     "\"position_embedding_type\": \"rope\", \"layer_types\": [\"attention\", \"mamba\", "
     "\"attention\", \"mamba\"], \"mamba_d_conv\": 4, \"mamba_d_state\": 64, "
     "\"mamba_n_groups\": 2, \"mamba_n_heads\": 4, \"mamba_d_head\": 64, \"mamba_expand\": "
     "2, " LAYERS(4) "}",
     {granite_hybrid, interleaved, llama_table}},
    {"gpt2-dense",
     "logits_exact_gelu.f32",
     ARCH("GPT2LMHeadModel",
          "gpt2") "\"vocab_size\": 128, \"n_positions\": 256, \"n_embd\": 128, "
                  "\"n_inner\": 192, \"n_head\": 4, \"n_layer\": 2, \"layer_norm_epsilon\": 1e-05}",
     {gpt2}},
    {"mistral3-dense",
     "logits.f32",
     "{\"architectures\": [\"Mistral3ForConditionalGeneration\"], \"model_type\": \"mistral3\", "
     "\"text_config\": {\"model_type\": \"ministral3\", " SHAPE EPS
     "\"head_dim\": 32, \"rope_parameters\": {\"beta_fast\": 32.0, \"beta_slow\": 1.0, "
     "\"factor\": 4.0, \"llama_4_scaling_beta\": 0.3, \"mscale\": 1.0, \"mscale_all_dim\": 1.0, "
     "\"original_max_position_embeddings\": 32, \"rope_theta\": 10000.0, \"rope_type\": \"yarn\", "
     "\"type\": \"yarn\"}, " LAYERS(2) "}}",
     {mistral3, interleaved, llama_table}},
    {"lfm2-dense",
     "logits.f32",
     ARCH("Lfm2ForCausalLM", "lfm2") SHAPE
     "\"norm_eps\": 1e-05, \"conv_L_cache\": 3, \"block_ff_dim\": 288, \"block_multiple_of\": 64, "
     "\"layer_types\": "
     "[\"full_attention\", \"conv\", \"full_attention\", \"conv\"], " LAYERS(4) "}",
     {lfm2, llama_table}},
    {"lfm2moe-moe",
     "logits.f32",
     ARCH("Lfm2MoeForCausalLM", "lfm2_moe") SHAPE
     "\"norm_eps\": 1e-05, \"conv_L_cache\": 3, \"num_dense_layers\": 1, \"num_experts\": 8, "
     "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 64, \"norm_topk_prob\": true, "
     "\"use_expert_bias\": true, \"routed_scaling_factor\": 1.0, \"layer_types\": "
     "[\"full_attention\", \"conv\", \"full_attention\", \"conv\"], " LAYERS(4) "}",
     {lfm2, llama_table}},
    {"nemotron_h-dense",
     "logits.f32",
     ARCH("NemotronHForCausalLM",
          "nemotron_h") "\"vocab_size\": 128, \"max_position_embeddings\": 256, \"hidden_size\": "
                        "128, "
                        "\"intermediate_size\": 192, \"num_attention_heads\": 4, "
                        "\"num_key_value_heads\": 2, "
                        "\"head_dim\": 32, \"layer_norm_epsilon\": 1e-05, "
                        "\"hybrid_override_pattern\": \"*M-M\", "
                        "\"conv_kernel\": 4, \"ssm_state_size\": 64, \"n_groups\": 2, "
                        "\"mamba_num_heads\": 4, "
                        "\"mamba_head_dim\": 64, " LAYERS(4) "}",
     {nemotron}},
    {"qwen35-dense",
     "logits.f32",
     "{\"architectures\": [\"Qwen3_5ForConditionalGeneration\"], \"text_config\": "
     "{\"model_type\": \"qwen3_5_text\", " SHAPE EPS DELTA_NET ", " LAYERS(4) "}}",
     {qwen35, llama_table}},
    {"qwen35moe-moe",
     "logits.f32",
     "{\"architectures\": [\"Qwen3_5MoeForConditionalGeneration\"], \"text_config\": "
     "{\"model_type\": \"qwen3_5_moe_text\", \"num_experts\": 8, \"num_experts_per_tok\": 2, "
     "\"moe_intermediate_size\": 64, \"shared_expert_intermediate_size\": 96, " SHAPE EPS DELTA_NET
     ", " LAYERS(4) "}}",
     {qwen35, llama_table}},
    {"gpt-oss-moe",
     "logits.f32",
     ARCH("GptOssForCausalLM", "gpt_oss") EPS
     "\"vocab_size\": 128, \"max_position_embeddings\": 256, \"hidden_size\": 128, "
     "\"intermediate_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
     "\"head_dim\": 32, \"rope_theta\": 10000, \"sliding_window\": 32, \"num_local_experts\": 8, "
     "\"num_experts_per_tok\": 2, \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 8.0, "
     "\"beta_fast\": 32.0, \"beta_slow\": 1.0, \"original_max_position_embeddings\": 32, "
     "\"truncate\": true}, " LAYERS(2) "}",
     {gpt_oss, llama_table}},
    {"deepseek2-moe",
     "logits.f32",
     ARCH("DeepseekV3ForCausalLM", "deepseek_v3") SHAPE EPS
     "\"q_lora_rank\": 96, \"kv_lora_rank\": 64, \"qk_nope_head_dim\": 32, "
     "\"qk_rope_head_dim\": 32, \"v_head_dim\": 48, \"n_routed_experts\": 8, "
     "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 64, \"n_shared_experts\": 1, "
     "\"first_k_dense_replace\": 1, \"scoring_func\": \"sigmoid\", \"norm_topk_prob\": true, "
     "\"routed_scaling_factor\": 1.5, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 8, "
     "\"original_max_position_embeddings\": 32, \"mscale\": 1.0, \"mscale_all_dim\": 1.0}, " LAYERS(
         3) "}",
     {deepseek2, experts, llama_table}},
    {"minicpm-dense",
     "logits.f32",
     ARCH("MiniCPMForCausalLM", "minicpm") SHAPE EPS
     "\"scale_emb\": 4, \"scale_depth\": 0.9899494936611666, \"dim_model_base\": 256, " LAYERS(
         2) "}",
     {interleaved, llama_table}},
};

/* ---- the same models in other layouts ---------------------------------------------- */

static const struct reverse granite_moe[] = {
    {"blk.#.ffn_gate_inp.weight", MIXTRAL "router.layer.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", MIXTRAL "input_linear.weight", STACKED, 0, 0,
     "blk.#.ffn_up_exps.weight"},
    {"blk.#.ffn_up_exps.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", MIXTRAL "output_linear.weight", AS_IS, 0, 0, NULL},
    {0},
};

/* Experts as transformers 5 saves them. */
static const struct reverse fused_experts[] = {
    {"blk.#.ffn_gate_inp.weight", LAYER "mlp.gate.weight", AS_IS, 0, 0, NULL},
    {"blk.#.ffn_gate_exps.weight", LAYER "mlp.experts.gate_up_proj", STACKED, 0, 0,
     "blk.#.ffn_up_exps.weight"},
    {"blk.#.ffn_up_exps.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down_exps.weight", LAYER "mlp.experts.down_proj", AS_IS, 0, 0, NULL},
    {0},
};

static const struct reverse shared_mlp[] = {
    {"blk.#.ffn_gate.weight", LAYER "shared_mlp.input_linear.weight", STACKED, 0, 0,
     "blk.#.ffn_up.weight"},
    {"blk.#.ffn_up.weight", NULL, AS_IS, 0, 0, NULL},
    {"blk.#.ffn_down.weight", LAYER "shared_mlp.output_linear.weight", AS_IS, 0, 0, NULL},
    {0},
};

/* A base model without the language model's "model." */
static const struct reverse bare[] = {
    {"token_embd.weight", "embed_tokens.weight", AS_IS, 0, 0, NULL},
    {"output_norm.weight", "norm.weight", AS_IS, 0, 0, NULL},
    {"blk.#.attn_q.weight", "layers.#.self_attn.q_proj.weight", AS_IS, 0, 0, NULL},
    {0},
};

#define ONES "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"
static const struct reverse_case variants[] = {
    {"llama-moe",
     "logits.f32",
     ARCH("GraniteMoeForCausalLM", "granitemoe") SHAPE EPS
     "\"num_local_experts\": 4, \"num_experts_per_tok\": 2, " LAYERS(2) "}",
     {granite_moe, interleaved, llama_table}},
    {"llama-moe",
     "logits.f32",
     ARCH("MixtralForCausalLM", "mixtral") SHAPE EPS
     "\"num_local_experts\": 4, \"num_experts_per_tok\": 2, " LAYERS(2) "}",
     {fused_experts, interleaved, llama_table}},
    {"qwen3moe-moe",
     "logits.f32",
     ARCH("Qwen3MoeForCausalLM", "qwen3_moe") SHAPE EPS
     "\"head_dim\": 32, \"num_experts\": 8, \"num_experts_per_tok\": 2, "
     "\"moe_intermediate_size\": 64, \"norm_topk_prob\": true, " LAYERS(2) "}",
     {fused_experts, llama_table}},
    {"granite-dense",
     "logits.f32",
     ARCH("GraniteMoeHybridForCausalLM", "granitemoehybrid") SHAPE EPS GRANITE
     "\"num_local_experts\": 0, \"shared_intermediate_size\": 192, "
     "\"position_embedding_type\": \"rope\", \"layer_types\": [\"attention\", "
     "\"attention\"], " LAYERS(2) "}",
     {shared_mlp, interleaved, llama_table}},
    {"qwen2-dense",
     "logits.f32",
     ARCH("Qwen2Model", "qwen2") SHAPE EPS LAYERS(2) "}",
     {bare, llama_table}},
    {"gemma3-dense",
     "logits_exact_gelu.f32",
     ARCH("Gemma3ForCausalLM",
          "gemma3_text") "\"vocab_size\": 128, \"max_position_embeddings\": 256, \"hidden_size\": "
                         "128, "
                         "\"intermediate_size\": 192, \"num_attention_heads\": 4, "
                         "\"num_key_value_heads\": 2, "
                         "\"head_dim\": 32, \"sliding_window\": 32, " EPS
                         "\"layer_types\": [\"sliding_attention\", \"full_attention\", "
                         "\"sliding_attention\", \"full_attention\"], \"rope_parameters\": "
                         "{\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": "
                         "10000.0}, "
                         "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": "
                         "1000.0}}, " LAYERS(4) "}",
     {gemma, llama_table}},
    {"phi3-dense",
     "logits.f32",
     ARCH("Phi3ForCausalLM", "phi3") SHAPE EPS
     "\"original_max_position_embeddings\": 256, \"rope_scaling\": {\"type\": "
     "\"longrope\", \"long_factor\": " ONES ", \"short_factor\": " ONES
     "}, \"sliding_window\": null, " LAYERS(2) "}",
     {phi3, llama_table}},
};

static inline const struct reverse_case *reverse_case_named(const char *folder) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(cases[i].folder, folder) == 0) return &cases[i];
    fail_msg("there is no case '%s'", folder);
    return NULL;
}

#endif
