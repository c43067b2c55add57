/* Families that vary the plain transformer, on tiny random models: each line of the table
 * says what the family's paper or published code does; the expected logits come from a
 * plain implementation of that (reference_decoder.c), not from another engine. */
#include "tiny_model.h"

#include "reference_decoder.h"

#define PRE .mixer_norm = "attn_norm", .ffn_norm = "ffn_norm"
#define POST .mixer_post = "post_attention_norm", .ffn_post = "post_ffw_norm"

static const struct reference_family families[] = {
    {"gemma", "gemma", PRE, .halves = true, .n_kv = 1, .activation = GELU_TANH,
     .scaled_embedding = true},
    {"qwen2moe", "qwen2moe", PRE, .halves = true, .n_kv = 2, .qkv_bias = true, .n_expert = 8,
     .n_shared = 1, .gated_shared = true, .own_output = true},
    {"stablelm 3B", "stablelm", PRE, .layer_norm = true, .norm_bias = true, .halves = true,
     .n_kv = 4, .n_rot = 4, .own_output = true},
    {"stablelm 12B", "stablelm", .mixer_norm = "attn_norm", .layer_norm = true, .norm_bias = true,
     .halves = true, .n_kv = 2, .n_rot = 4, .parallel = true, .qk_norm = QK_OWN, .n_layer = 40,
     .own_output = true},
    {"starcoder2", "starcoder2", PRE, .layer_norm = true, .norm_bias = true, .halves = true,
     .n_kv = 2, .qkv_bias = true, .out_bias = true, .plain = true, .ffn_bias = true,
     .activation = GELU_TANH},
    {"phi2", "phi2", .mixer_norm = "attn_norm", .layer_norm = true, .norm_bias = true,
     .halves = true, .n_kv = 4, .n_rot = 6, .parallel = true, .qkv_bias = true, .out_bias = true,
     .plain = true, .ffn_bias = true, .activation = GELU_TANH, .own_output = true,
     .output_bias = true},
    {"falcon 7B", "falcon", .mixer_norm = "attn_norm", .layer_norm = true, .norm_bias = true,
     .halves = true, .n_kv = 1, .parallel = true, .fused_qkv = true, .plain = true,
     .activation = GELU_ERF},
    {"falcon 40B", "falcon", .mixer_norm = "attn_norm", .mixer_norm_2 = "attn_norm_2",
     .layer_norm = true, .norm_bias = true, .halves = true, .n_kv = 2, .parallel = true,
     .fused_qkv = true, .plain = true, .activation = GELU_ERF, .own_output = true},
    {"command-r", "command-r", .mixer_norm = "attn_norm", .layer_norm = true, .n_kv = 2,
     .parallel = true, .logit_multiplier = 0.0625},
    {"command-r plus", "command-r", .mixer_norm = "attn_norm", .layer_norm = true, .n_kv = 2,
     .parallel = true, .qk_norm = QK_OWN, .n_layer = 64, .logit_multiplier = 0.8},
    {"cohere2", "cohere2", .mixer_norm = "attn_norm", .layer_norm = true, .n_kv = 2,
     .parallel = true, .window = 16, .period = 4, .global_unrotated = true,
     .logit_multiplier = 0.25},
    {"chatglm", "chatglm", PRE, .n_kv = 2, .n_rot = 8, .fused_qkv = true, .qkv_bias = true,
     .fused_ffn = true, .own_output = true},
    {"glm4", "glm4", PRE, POST, .n_kv = 2, .n_rot = 8, .qkv_bias = true, .fused_ffn = true,
     .own_output = true},
    {"glm4moe", "glm4moe", .mixer_norm = "attn_norm", .ffn_norm = "post_attention_norm",
     .halves = true, .n_kv = 2, .n_rot = 8, .qkv_bias = true, .n_expert = 8, .n_dense = 1,
     .n_shared = 1, .router = ROUTER_SIGMOID, .normalise = true, .selection_bias = true,
     .expert_scale = 1.5, .own_output = true, .n_draft = 1},
    {"exaone", "exaone", PRE, .halves = true, .n_kv = 2, .own_output = true},
    {"exaone4 1.2B", "exaone4", POST, .halves = true, .n_kv = 2, .qk_norm = QK_SHARED},
    {"exaone4 32B", "exaone4", POST, .halves = true, .n_kv = 2, .qk_norm = QK_SHARED, .window = 16,
     .period = 4, .global_unrotated = true, .n_layer = 64, .own_output = true},
    {"olmo", "olmo", PRE, .layer_norm = true, .no_norm_weight = true, .n_kv = 4},
    {"internlm2", "internlm2", PRE, .n_kv = 2, .own_output = true},
    {"baichuan 7B", "baichuan", PRE, .n_kv = 4, .own_output = true, .n_layer = 32},
    {"hunyuan-dense", "hunyuan-dense", PRE, .halves = true, .n_kv = 2, .qk_norm = QK_SHARED,
     .qk_norm_last = true},
    {"ernie4_5", "ernie4_5", PRE, .n_kv = 2},
    {"ernie4_5-moe", "ernie4_5-moe", PRE, .n_kv = 2, .n_expert = 8, .n_dense = 1, .moe_step = 1,
     .n_shared = 1, .normalise = true, .selection_bias = true},
    {"ernie4_5-moe, every second layer", "ernie4_5-moe", PRE, .n_kv = 2, .n_expert = 8,
     .n_dense = 1, .moe_step = 2, .n_shared = 1, .normalise = true, .selection_bias = true},
    {"seed_oss", "seed_oss", .mixer_norm = "attn_norm", .ffn_norm = "post_attention_norm",
     .halves = true, .n_kv = 2, .qkv_bias = true, .own_output = true},
    {"qwen2vl, text", "qwen2vl", PRE, .halves = true, .n_kv = 2, .qkv_bias = true,
     .own_output = true},
    {"qwen3vl, text", "qwen3vl", PRE, .halves = true, .n_kv = 2, .qk_norm = QK_SHARED},
    {"qwen3vlmoe, text", "qwen3vlmoe", PRE, .halves = true, .n_kv = 2, .qk_norm = QK_SHARED,
     .n_expert = 8, .normalise = true, .own_output = true},
    {"gemma-embedding", "gemma-embedding", PRE, POST, .halves = true, .n_kv = 1,
     .qk_norm = QK_SHARED, .activation = GELU_TANH, .scaled_embedding = true, .both_ways = true,
     .window = 16, .period = 6, .local_base = 1000, .two_projections = true, .n_layer = 7},
};

enum { N_EMBD = 64, N_HEAD = 4, HEAD = 16, N_FF = 80, N_FF_EXPERT = 40, N_USED = 2, WIDE = 96 };

static uint32_t layers_of(const struct reference_family *f) {
    return (f->n_layer ? f->n_layer : 4) + f->n_draft;
}

static void add_settings(struct tiny *t, const struct reference_family *f) {
    tiny_u32(t, "block_count", layers_of(f));
    tiny_u32(t, "embedding_length", N_EMBD);
    tiny_u32(t, "feed_forward_length", N_FF);
    tiny_u32(t, "attention.head_count", N_HEAD);
    tiny_u32(t, "attention.head_count_kv", f->n_kv);
    tiny_u32(t, "rope.dimension_count", f->n_rot ? f->n_rot : HEAD);
    tiny_f32(t, "rope.freq_base", 5000);
    tiny_f32(t, f->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
             1e-5);
    if (f->window) tiny_u32(t, "attention.sliding_window", f->window);
    if (f->local_base > 0) tiny_f32(t, "rope.freq_base_swa", f->local_base);
    if (f->logit_multiplier != 0) tiny_f32(t, "logit_scale", f->logit_multiplier);
    if (f->n_draft) tiny_u32(t, "nextn_predict_layers", f->n_draft);
    if (f->both_ways) tiny_u32(t, "pooling_type", 1);
    if (f->two_projections) {
        tiny_u32(t, "dense_2_feat_in", N_EMBD);
        tiny_u32(t, "dense_2_feat_out", WIDE);
        tiny_u32(t, "dense_3_feat_in", WIDE);
        tiny_u32(t, "dense_3_feat_out", N_EMBD);
    }
}

static void add_expert_settings(struct tiny *t, const struct reference_family *f) {
    tiny_u32(t, "expert_count", f->n_expert);
    tiny_u32(t, "expert_used_count", N_USED);
    tiny_u32(t, "expert_feed_forward_length", N_FF_EXPERT);
    tiny_u32(t, "expert_shared_count", f->n_shared);
    tiny_u32(t, "expert_shared_feed_forward_length", f->n_shared * N_FF_EXPERT);
    if (f->n_dense) tiny_u32(t, "leading_dense_block_count", f->n_dense);
    if (f->moe_step) tiny_u32(t, "interleave_moe_layer_step", f->moe_step);
    if (f->normalise) tiny_bool(t, "expert_weights_norm", true);
    if (f->expert_scale > 0) tiny_f32(t, "expert_weights_scale", f->expert_scale);
    if (f->router == ROUTER_SIGMOID) tiny_u32(t, "expert_gating_func", 2);
}

static void add_norm(struct tiny *t, const struct reference_family *f, uint32_t layer,
                     const char *stem) {
    char name[64];
    if (!stem || f->no_norm_weight) return;
    snprintf(name, sizeof name, "%s.weight", stem);
    tiny_layer(t, FILL_NORM, layer, name, N_EMBD, 0, 0);
    snprintf(name, sizeof name, "%s.bias", stem);
    if (f->norm_bias) tiny_layer(t, FILL_BIAS, layer, name, N_EMBD, 0, 0);
}

static void add_linear(struct tiny *t, enum tiny_fill fill, uint32_t layer, const char *stem,
                       uint32_t n_in, uint32_t n_out, bool bias) {
    char name[64];
    snprintf(name, sizeof name, "%s.weight", stem);
    tiny_layer(t, fill, layer, name, n_in, n_out, 0);
    snprintf(name, sizeof name, "%s.bias", stem);
    if (bias) tiny_layer(t, FILL_BIAS, layer, name, n_out, 0, 0);
}

static void add_attention(struct tiny *t, const struct reference_family *f, uint32_t i) {
    uint32_t n_q = N_HEAD * HEAD, n_kv = f->n_kv * HEAD;
    bool own = f->qk_norm == QK_OWN;
    if (f->fused_qkv) {
        add_linear(t, FILL_SHARP, i, "attn_qkv", N_EMBD, n_q + 2 * n_kv, f->qkv_bias);
    } else {
        add_linear(t, FILL_SHARP, i, "attn_q", N_EMBD, n_q, f->qkv_bias);
        add_linear(t, FILL_SHARP, i, "attn_k", N_EMBD, n_kv, f->qkv_bias);
        add_linear(t, FILL_MATRIX, i, "attn_v", N_EMBD, n_kv, f->qkv_bias);
    }
    add_linear(t, FILL_MATRIX, i, "attn_output", n_q, N_EMBD, f->out_bias);
    if (f->qk_norm == QK_NONE) return;
    tiny_layer(t, FILL_NORM, i, "attn_q_norm.weight", HEAD, own ? N_HEAD : 0, 0);
    tiny_layer(t, FILL_NORM, i, "attn_k_norm.weight", HEAD, own ? f->n_kv : 0, 0);
}

static void add_experts(struct tiny *t, const struct reference_family *f, uint32_t i) {
    uint32_t n_shared = f->n_shared * N_FF_EXPERT;
    tiny_layer(t, FILL_SHARP, i, "ffn_gate_inp.weight", N_EMBD, f->n_expert, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_gate_exps.weight", N_EMBD, N_FF_EXPERT, f->n_expert);
    tiny_layer(t, FILL_MATRIX, i, "ffn_up_exps.weight", N_EMBD, N_FF_EXPERT, f->n_expert);
    tiny_layer(t, FILL_MATRIX, i, "ffn_down_exps.weight", N_FF_EXPERT, N_EMBD, f->n_expert);
    if (f->selection_bias) tiny_layer(t, FILL_BIAS, i, "exp_probs_b.bias", f->n_expert, 0, 0);
    if (f->n_shared == 0) return;
    add_linear(t, FILL_MATRIX, i, "ffn_gate_shexp", N_EMBD, n_shared, false);
    add_linear(t, FILL_MATRIX, i, "ffn_up_shexp", N_EMBD, n_shared, false);
    add_linear(t, FILL_MATRIX, i, "ffn_down_shexp", n_shared, N_EMBD, false);
    if (f->gated_shared) tiny_layer(t, FILL_MATRIX, i, "ffn_gate_inp_shexp.weight", N_EMBD, 0, 0);
}

static void add_layer(struct tiny *t, const struct reference_family *f, uint32_t i) {
    uint32_t step = f->moe_step ? f->moe_step : 1;
    add_norm(t, f, i, f->mixer_norm);
    add_norm(t, f, i, f->mixer_norm_2);
    add_norm(t, f, i, f->mixer_post);
    add_norm(t, f, i, f->ffn_norm);
    add_norm(t, f, i, f->ffn_post);
    add_attention(t, f, i);
    if (f->n_expert && i >= f->n_dense && (i + 1) % step == 0) {
        add_experts(t, f, i);
        return;
    }
    bool gate = !f->plain && !f->fused_ffn;
    if (gate) add_linear(t, FILL_MATRIX, i, "ffn_gate", N_EMBD, N_FF, false);
    add_linear(t, FILL_MATRIX, i, "ffn_up", N_EMBD, f->fused_ffn ? 2 * N_FF : N_FF, f->ffn_bias);
    add_linear(t, FILL_MATRIX, i, "ffn_down", N_FF, N_EMBD, f->ffn_bias);
}

static void build(struct tiny *t, const struct reference_family *f) {
    tiny_begin(t, f->family, 100 + layers_of(f));
    add_settings(t, f);
    if (f->n_expert) add_expert_settings(t, f);
    bool vision = f->family[4] == '2' || f->family[4] == '3';
    if (vision && f->family[5] == 'v') {
        static const uint32_t sections[] = {3, 3, 2, 0};
        tiny_u32s(t, "rope.dimension_sections", sections, 4);
    }
    tiny_tensor(t, f->scaled_embedding ? FILL_MATRIX : FILL_EMBEDDING, "token_embd.weight", N_EMBD,
                TINY_VOCAB, 0);
    if (!f->no_norm_weight) tiny_tensor(t, FILL_NORM, "output_norm.weight", N_EMBD, 0, 0);
    if (f->norm_bias) tiny_tensor(t, FILL_BIAS, "output_norm.bias", N_EMBD, 0, 0);
    if (f->own_output) tiny_tensor(t, FILL_MATRIX, "output.weight", N_EMBD, TINY_VOCAB, 0);
    if (f->output_bias) tiny_tensor(t, FILL_BIAS, "output.bias", TINY_VOCAB, 0, 0);
    if (f->two_projections) {
        tiny_tensor(t, FILL_MATRIX, "dense_2.weight", N_EMBD, WIDE, 0);
        tiny_tensor(t, FILL_MATRIX, "dense_3.weight", WIDE, N_EMBD, 0);
    }
    for (uint32_t i = 0; i < layers_of(f); i++)
        add_layer(t, f, i);
    tiny_write(t);
}

static void compare_embedding(const struct tiny *t, const double *reference) {
    float embedding[N_EMBD];
    struct model model;
    struct context *context;
    hearth_error err = {0};
    struct context_options options = context_defaults();
    options.n_threads = 2;
    if (model_open(&model, t->path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    if (context_open(&context, &model, &options, &err) != HEARTH_OK) fail_msg("%s", err.message);
    if (context_embed(context, 0, tiny_tokens(), TINY_TOKENS, embedding, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    double error = tiny_nmse(embedding, reference, N_EMBD);
    if (!(error <= 1e-8)) fail_msg("%s: NMSE %.3g", t->family, error);
    print_message("%s: NMSE %.2g\n", t->family, error);
    context_close(context);
    model_close(&model);
}

static void agrees_with_the_description(void **state) {
    static struct tiny t;
    static double reference[TINY_TOKENS * TINY_VOCAB];
    const struct reference_family *f = *state;
    struct directory dir;
    hearth_error err = {0};
    build(&t, f);
    if (gguf_open(&dir, t.path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    reference_decoder(&dir, f, tiny_tokens(), TINY_TOKENS, reference);
    directory_close(&dir);
    if (f->both_ways)
        compare_embedding(&t, reference);
    else
        tiny_compare_logits(&t, tiny_tokens(), reference, 1e-8);
    tiny_end(&t);
}

int main(void) {
    enum { N = sizeof families / sizeof families[0] };
    struct CMUnitTest tests[N];
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){families[i].title, agrees_with_the_description, NULL, NULL,
                                       (void *)(uintptr_t)&families[i]};
    return _cmocka_run_group_tests("model/variations", tests, N, NULL, NULL);
}
