/* Gemma 4 on tiny random models in the shapes of its three kinds: small with embeddings
 * for every layer and shared keys and values (E2B, E4B), large with values taken from the
 * keys (31B), and with experts (26B-A4B). The expected logits come from a plain
 * implementation of the published description (reference_gemma4.c), not from another
 * engine. */
#include "tiny_model.h"

#include "reference_gemma4.h"

struct shape {
    const char *name;
    uint32_t n_layer, n_embd, n_head, n_kv_local, n_kv_global, d_local, d_global, n_ff;
    uint32_t n_shared, n_each, n_expert;
    bool k_is_v;
};

static const struct shape shapes[] = {
    {"per-layer embeddings, shared keys and values", 9, 96, 4, 1, 1, 16, 32, 80, 3, 24, 0, false},
    {"values from keys", 6, 64, 4, 2, 1, 16, 32, 96, 0, 0, 0, true},
    {"experts", 6, 64, 4, 2, 1, 16, 32, 48, 0, 0, 8, true},
};

enum { WINDOW = 16, N_USED = 2, N_FF_EXPERT = 40 };

static bool is_local(const struct shape *s, uint32_t layer) {
    return layer % 3 != 2 && layer + 1 != s->n_layer;
}

static void add_settings(struct tiny *t, const struct shape *s) {
    bool pattern[16];
    uint32_t n_kv[16], n_ff[16];
    for (uint32_t i = 0; i < s->n_layer; i++) {
        pattern[i] = is_local(s, i);
        n_kv[i] = pattern[i] ? s->n_kv_local : s->n_kv_global;
        n_ff[i] = i < s->n_layer - s->n_shared ? s->n_ff : 2 * s->n_ff;
    }
    tiny_u32(t, "block_count", s->n_layer);
    tiny_u32(t, "embedding_length", s->n_embd);
    tiny_u32s(t, "feed_forward_length", n_ff, s->n_layer);
    tiny_u32(t, "attention.head_count", s->n_head);
    tiny_u32s(t, "attention.head_count_kv", n_kv, s->n_layer);
    tiny_u32(t, "attention.key_length", s->d_global);
    tiny_u32(t, "attention.value_length", s->d_global);
    tiny_u32(t, "attention.key_length_swa", s->d_local);
    tiny_u32(t, "attention.value_length_swa", s->d_local);
    tiny_u32(t, "attention.sliding_window", WINDOW);
    tiny_bools(t, "attention.sliding_window_pattern", pattern, s->n_layer);
    tiny_u32(t, "attention.shared_kv_layers", s->n_shared);
    tiny_u32(t, "embedding_length_per_layer_input", s->n_each);
    tiny_u32(t, "rope.dimension_count", s->d_global);
    tiny_u32(t, "rope.dimension_count_swa", s->d_local);
    tiny_f32(t, "rope.freq_base", 1e6);
    tiny_f32(t, "rope.freq_base_swa", 1e3);
    tiny_f32(t, "attention.layer_norm_rms_epsilon", 1e-6);
    tiny_f32(t, "final_logit_softcapping", 30.0);
    if (s->n_expert == 0) return;
    tiny_u32(t, "expert_count", s->n_expert);
    tiny_u32(t, "expert_used_count", N_USED);
    tiny_u32(t, "expert_feed_forward_length", N_FF_EXPERT);
}

static void add_attention(struct tiny *t, const struct shape *s, uint32_t i) {
    uint32_t d = is_local(s, i) ? s->d_local : s->d_global, n = s->n_embd;
    uint32_t n_kv = is_local(s, i) ? s->n_kv_local : s->n_kv_global;
    tiny_layer(t, FILL_NORM, i, "attn_norm.weight", n, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "attn_q.weight", n, s->n_head * d, 0);
    tiny_layer(t, FILL_NORM, i, "attn_q_norm.weight", d, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "attn_output.weight", s->n_head * d, n, 0);
    tiny_layer(t, FILL_NORM, i, "post_attention_norm.weight", n, 0, 0);
    if (i >= s->n_layer - s->n_shared) return;
    tiny_layer(t, FILL_MATRIX, i, "attn_k.weight", n, n_kv * d, 0);
    tiny_layer(t, FILL_NORM, i, "attn_k_norm.weight", d, 0, 0);
    if (!s->k_is_v || is_local(s, i))
        tiny_layer(t, FILL_MATRIX, i, "attn_v.weight", n, n_kv * d, 0);
}

static void add_feed_forward(struct tiny *t, const struct shape *s, uint32_t i) {
    uint32_t n = s->n_embd, n_ff = i < s->n_layer - s->n_shared ? s->n_ff : 2 * s->n_ff;
    tiny_layer(t, FILL_NORM, i, "ffn_norm.weight", n, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_gate.weight", n, n_ff, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_up.weight", n, n_ff, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_down.weight", n_ff, n, 0);
    tiny_layer(t, FILL_NORM, i, "post_ffw_norm.weight", n, 0, 0);
    tiny_layer(t, FILL_NORM, i, "layer_output_scale.weight", 1, 0, 0);
    if (s->n_expert == 0) return;
    tiny_layer(t, FILL_SHARP, i, "ffn_gate_inp.weight", n, s->n_expert, 0);
    float *scale = tiny_layer(t, FILL_NORM, i, "ffn_gate_inp.scale", n, 0, 0);
    for (uint32_t j = 0; j < n; j++)
        scale[j] *= 12.0f; /* undoes 1 / sqrt(n): a router that decides */
    tiny_layer(t, FILL_NORM, i, "pre_ffw_norm_2.weight", n, 0, 0);
    tiny_layer(t, FILL_NORM, i, "post_ffw_norm_1.weight", n, 0, 0);
    tiny_layer(t, FILL_NORM, i, "post_ffw_norm_2.weight", n, 0, 0);
    tiny_layer(t, FILL_MATRIX, i, "ffn_gate_up_exps.weight", n, 2 * N_FF_EXPERT, s->n_expert);
    tiny_layer(t, FILL_MATRIX, i, "ffn_down_exps.weight", N_FF_EXPERT, n, s->n_expert);
    tiny_layer(t, FILL_NORM, i, "ffn_down_exps.scale", s->n_expert, 0, 0);
}

static void add_layer_input(struct tiny *t, const struct shape *s, uint32_t i) {
    tiny_layer(t, FILL_MATRIX, i, "inp_gate.weight", s->n_embd, s->n_each, 0);
    tiny_layer(t, FILL_MATRIX, i, "proj.weight", s->n_each, s->n_embd, 0);
    tiny_layer(t, FILL_NORM, i, "post_norm.weight", s->n_embd, 0, 0);
}

static void build(struct tiny *t, const struct shape *s) {
    uint32_t n = s->n_embd, width = s->n_layer * s->n_each;
    tiny_begin(t, "gemma4", 40 + s->n_each);
    add_settings(t, s);
    tiny_tensor(t, FILL_MATRIX, "token_embd.weight", n, TINY_VOCAB, 0);
    tiny_tensor(t, FILL_NORM, "output_norm.weight", n, 0, 0);
    float *turns = tiny_tensor(t, FILL_NORM, "rope_freqs.weight", s->d_global / 2, 0, 0);
    for (uint32_t i = 0; i < s->d_global / 2; i++)
        turns[i] = i < s->d_global / 8 ? 1.0f : 1e30f; /* a quarter of the head turns */
    if (s->n_each) {
        float *own =
            tiny_tensor(t, FILL_EMBEDDING, "per_layer_token_embd.weight", width, TINY_VOCAB, 0);
        for (size_t i = 0; i < (size_t)width * TINY_VOCAB; i++)
            own[i] *= 0.2f;
        tiny_tensor(t, FILL_MATRIX, "per_layer_model_proj.weight", n, width, 0);
        tiny_tensor(t, FILL_NORM, "per_layer_proj_norm.weight", s->n_each, 0, 0);
    }
    for (uint32_t i = 0; i < s->n_layer; i++) {
        add_attention(t, s, i);
        add_feed_forward(t, s, i);
        if (s->n_each) add_layer_input(t, s, i);
    }
    tiny_write(t);
}

static void agrees_with_the_description(void **state) {
    static struct tiny t;
    static double reference[TINY_TOKENS * TINY_VOCAB];
    struct directory dir;
    hearth_error err = {0};
    build(&t, *state);
    if (gguf_open(&dir, t.path, &err) != HEARTH_OK) fail_msg("%s", err.message);
    reference_gemma4(&dir, tiny_tokens(), TINY_TOKENS, reference);
    directory_close(&dir);
    tiny_compare_logits(&t, tiny_tokens(), reference, 1e-8);
    tiny_end(&t);
}

int main(void) {
    enum { N = sizeof shapes / sizeof shapes[0] };
    struct CMUnitTest tests[N];
    for (size_t i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){shapes[i].name, agrees_with_the_description, NULL, NULL,
                                       (void *)(uintptr_t)&shapes[i]};
    return _cmocka_run_group_tests("model/gemma4", tests, N, NULL, NULL);
}
